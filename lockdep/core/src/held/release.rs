//! How locks are taken out of a held stack: the innermost one by a store, others by computing the keys above anew.
//!
//! The quick ways, [`HeldStack::pop`] and [`HeldStack::pull`], are for a stack of which nothing else has to be told: they
//! keep above the *floor*, which is below the innermost lock that has contexts, pins or the like, and out of reach while
//! the stack is frozen.

use super::{HeldLock, HeldStack, INLINE, Spill};

impl HeldStack {
    /// Removes the lock `instance` if it is the innermost and its release takes no more than that. Returns whether it
    /// did; if not, [`release`](Self::release) can tell.
    #[inline]
    #[must_use]
    pub fn pop(&self, instance: u64) -> bool {
        let index = self.len.get();
        let innermost =
            index > self.floor.get() && self.slots.get(index).is_some_and(|slot| slot.instance.get() == instance);
        if innermost {
            self.len.set(index - 1);
        }
        innermost
    }

    /// Returns how many locks are below those whose release takes no more than removing them; `None` while the stack is
    /// frozen.
    #[inline]
    pub fn floor(&self) -> Option<usize> {
        Some(self.floor.get()).filter(|floor| *floor != usize::MAX)
    }

    /// Removes the innermost entry of the lock `instance` if it is above this [`floor`](Self::floor) and everything is in
    /// place; the stack is frozen meanwhile. Returns whether it did; if not, [`release`](Self::release) can tell.
    #[must_use]
    pub fn pull(&self, instance: u64, floor: usize) -> bool {
        self.freeze();
        let pulled = self.close_over(instance, floor);
        self.floor.set(floor);
        pulled
    }

    // A call of its own, so that a signal handler finds the stack frozen.
    #[inline(never)]
    fn close_over(&self, instance: u64, floor: usize) -> bool {
        let len = self.len.get();
        let above = if len <= INLINE { floor + 1..len + 1 } else { 0..0 };
        let Some(index) = above.rev().find(|index| self.slots[*index].instance.get() == instance) else { return false };
        let mut key = self.slots[index - 1].key.get();
        for index in index..len {
            let lock = self.slots[index + 1].get();
            key = key.then(lock.how);
            self.slots[index].set(HeldLock { key, ..lock });
        }
        self.len.set(len - 1);
        true
    }

    /// From now on until [`thaw`](Self::thaw), no lock is [popped](Self::pop).
    pub fn freeze(&self) {
        self.floor.set(usize::MAX);
    }

    /// Undoes [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.floor.set(0);
        self.refloor();
    }

    /// Computes the floor anew.
    pub(super) fn refloor(&self) {
        if self.floor.get() != usize::MAX {
            self.floor.set(self.innermost_special().map_or(0, |depth| depth + 1));
        }
    }

    /// Removes the innermost entry of the lock `instance`, wherever in the stack it is. Returns it, or `None` if this
    /// thread does not hold that lock.
    pub fn release(&self, instance: u64) -> Option<HeldLock> {
        let depth = self.position(instance)?;
        let removed = self.slot(depth + 1);
        self.close_gap(depth);
        self.len.set(self.len() - 1);
        self.shrink();
        self.released(depth, removed);
        Some(removed)
    }

    /// Moves everything above the lock at `depth` one down, with the keys that it then has.
    fn close_gap(&self, depth: usize) {
        let len = self.len();
        let mut keys = self.keys_from(depth);
        let mut rekeyed = |lock: HeldLock| HeldLock { key: keys.next(lock.how), ..lock };
        for index in depth + 1..len.min(INLINE) {
            self.slots[index].set(rekeyed(self.slots[index + 1].get()));
        }
        let mut spill = self.spill.borrow_mut();
        let Some(Spill(spilt)) = spill.as_deref_mut() else { return };
        if depth < INLINE {
            self.slots[INLINE].set(rekeyed(spilt[0]));
        }
        let first = depth.saturating_sub(INLINE);
        for index in first..spilt.len() - 1 {
            let lock = spilt[index + 1];
            spilt[index] = rekeyed(lock);
            // Two locks on, everybody has the same two below as before; and the same key, if this one has.
            if index >= first + 2 && spilt[index].key == lock.key {
                spilt.copy_within(index + 2.., index + 1);
                break;
            }
        }
    }

    /// Gives back the memory of what has been released. The stack of a thread-local is never dropped, so it keeps none
    /// once everything fits in place.
    fn shrink(&self) {
        let mut spill = self.spill.borrow_mut();
        match self.len().saturating_sub(INLINE) {
            0 => *spill = None,
            left => spill.iter_mut().for_each(|spill| spill.0.truncate(left)),
        }
    }
}
