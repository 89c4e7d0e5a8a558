//! [`HeldStack`]: what one thread holds, in the order of acquisition, with the [`ChainKey`] of the whole.
//!
//! The key of a sequence is built up one lock at a time, so pushing costs one hash step. Every entry has the key of the
//! sequence that ends with it, so popping costs one store: the new length. Beyond [`INLINE`] locks, a third lock that is
//! acquired like the two below it leaves the key as it is: some programs hold hundreds of one class, and whatever is
//! acquired under them depends on the same classes however many they are. A release from the middle recomputes the keys
//! above: O(locks above it), without allocating. Up to [`INLINE`] locks are kept in place; a deeper stack grows on the
//! heap until it fits again.
//!
//! The entries are cells, so that a thread's own stack is pushed and popped through a shared reference: the stores of a
//! borrow flag would have to drain before the atomic operation of every lock.
//!
//! * [`ChainKey`], [`Point`]: numbers for a sequence (`key`); [`Acquired`]: how a lock was acquired (`acquired`).
//! * `release`: how locks are taken out, from the top or from the middle.
//! * `notes`: contexts, pins, ranks and nests, which few stacks have.

mod acquired;
mod key;
mod notes;
mod release;

use std::cell::{Cell, RefCell};

pub use acquired::Acquired;
pub use key::{ChainKey, Point};
use notes::Notes;

use crate::{
    class::ClassId,
    mode::{HoldKind, Mode, WaitKind},
};

/// How many held locks a stack keeps in place.
pub const INLINE: usize = 32;

/// A lock that a thread holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLock {
    how: Acquired,
    instance: u64,
    point: Point,
    /// The key of the sequence that ends with this lock.
    key: ChainKey,
}

impl HeldLock {
    const NONE: Self = Self { how: Acquired::NONE, instance: 0, point: Point(0), key: ChainKey::EMPTY };

    /// A lock as it will be held: how it is acquired, its identity, and where.
    pub(crate) const fn to_be(how: Acquired, instance: u64, point: Point) -> Self {
        Self { how, instance, point, key: ChainKey::EMPTY }
    }

    /// Returns class, mode and trylock.
    pub const fn how(&self) -> Acquired {
        self.how
    }

    /// Returns the class.
    pub const fn class(&self) -> ClassId {
        self.how.class()
    }

    /// Returns the mode it is held in now.
    pub const fn mode(&self) -> Mode {
        self.how.mode()
    }

    /// Returns what it keeps others from.
    pub const fn hold(&self) -> HoldKind {
        self.mode().hold()
    }

    /// Returns the identity of the lock.
    pub const fn instance(&self) -> u64 {
        self.instance
    }

    /// Returns where it was acquired.
    pub const fn point(&self) -> Point {
        self.point
    }

    /// Returns whether its acquisition was a full one: it could block on any holder, so that everything which was held
    /// at that time leads to this lock, and through it to whatever is acquired under it.
    pub(crate) const fn is_full(&self) -> bool {
        !self.how.is_trylock() && matches!(self.mode().wait(), WaitKind::Normal)
    }
}

/// What does not fit in place.
#[derive(Debug, Default)]
struct Spill(Vec<HeldLock>);

/// The place of a held lock. A cell a field, since a whole lock would be put together elsewhere and then copied by wider
/// loads than it was stored by, which stalls.
#[derive(Debug)]
struct Slot {
    how: Cell<Acquired>,
    instance: Cell<u64>,
    point: Cell<Point>,
    key: Cell<ChainKey>,
}

impl Slot {
    const fn new() -> Self {
        let HeldLock { how, instance, point, key } = HeldLock::NONE;
        Self { how: Cell::new(how), instance: Cell::new(instance), point: Cell::new(point), key: Cell::new(key) }
    }

    #[inline]
    fn get(&self) -> HeldLock {
        let (how, instance) = (self.how.get(), self.instance.get());
        HeldLock { how, instance, point: self.point.get(), key: self.key.get() }
    }

    #[inline]
    fn set(&self, lock: HeldLock) {
        self.how.set(lock.how);
        self.instance.set(lock.instance);
        self.point.set(lock.point);
        self.key.set(lock.key);
    }

    fn swap(&self, other: &Self) {
        let lock = self.get();
        self.set(other.get());
        other.set(lock);
    }
}

/// Computes the keys of a sequence, going up. Those of what does not fit in place begin anew, so that they stay as they are
/// when what is in place gets other keys, as with every change of the contexts.
struct Keys {
    /// How many locks are below.
    depth: usize,
    /// The two locks below, the lower one first.
    further: Acquired,
    below: Acquired,
    key: ChainKey,
}

impl Keys {
    /// Returns the key of the sequence with one more acquisition.
    fn next(&mut self, how: Acquired) -> ChainKey {
        if self.depth == INLINE {
            self.key = ChainKey::EMPTY;
        }
        let more_of_the_same = self.depth > INLINE && self.further == how && self.below == how;
        if !more_of_the_same {
            self.key = self.key.then(how);
        }
        (self.depth, self.further, self.below) = (self.depth + 1, self.below, how);
        self.key
    }
}

/// What one thread holds, in the order of acquisition.
///
/// ```
/// use lockdep_core::{Acquired, ChainKey, ClassId, HeldStack, Mode, Point};
///
/// let how = |class| Acquired::new(ClassId::new(class), Mode::Exclusive, false);
/// let held = HeldStack::new();
/// held.push(how(1), 10, Point::new(100));
/// held.push(how(2), 20, Point::new(200));
/// held.release(10).unwrap();
/// assert_eq!(held.key(), ChainKey::EMPTY.then(how(2)));
/// ```
#[derive(Debug)]
pub struct HeldStack {
    len: Cell<usize>,
    /// Releasing the innermost lock takes no more than removing it if more locks than these are held.
    floor: Cell<usize>,
    /// The lock at depth n is in slot n + 1. Slot 0 has the key of holding nothing in the present state of contexts.
    slots: [Slot; INLINE + 1],
    /// What does not fit. In a box, and none when empty, so that an empty stack is nothing but zeros.
    spill: RefCell<Option<Box<Spill>>>,
    notes: RefCell<Option<Box<Notes>>>,
}

impl Default for HeldStack {
    fn default() -> Self {
        Self::new()
    }
}

impl HeldStack {
    /// The stack of a thread that holds nothing.
    pub const fn new() -> Self {
        Self {
            len: Cell::new(0),
            floor: Cell::new(0),
            slots: [const { Slot::new() }; INLINE + 1],
            spill: RefCell::new(None),
            notes: RefCell::new(None),
        }
    }

    /// Returns the key of everything held.
    #[inline]
    pub fn key(&self) -> ChainKey {
        match self.slots.get(self.len.get()) {
            Some(slot) => slot.key.get(),
            None => self.whole(self.spilt(self.len.get()).key),
        }
    }

    /// Returns the key of everything, given that of what does not fit in place.
    fn whole(&self, spilt: ChainKey) -> ChainKey {
        self.slots[INLINE].key.get().over(spilt)
    }

    /// Returns the key of everything held and one more acquisition.
    pub fn key_with(&self, how: Acquired) -> ChainKey {
        let key = self.keys_from(self.len()).next(how);
        if self.len() < INLINE { key } else { self.whole(key) }
    }

    /// Returns what computes the keys of the locks from `depth` on.
    fn keys_from(&self, depth: usize) -> Keys {
        let further = if depth > INLINE { self.slot(depth - 1).how } else { Acquired::NONE };
        let HeldLock { how: below, key, .. } = self.slot(depth);
        Keys { depth, further, below, key }
    }

    /// Returns the slot of the innermost lock and the key of everything held, if one more lock fits in place.
    #[inline]
    pub fn top_in_place(&self) -> Option<(usize, ChainKey)> {
        let top = self.len.get();
        (top < INLINE).then(|| (top, self.slots[top].key.get()))
    }

    /// Adds a lock above the slot that [`top_in_place`](Self::top_in_place) returned, given the key that
    /// [`ChainKey::then`] computed already.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    #[inline]
    pub fn push_in_place(&self, top: usize, how: Acquired, instance: u64, point: Point, key: ChainKey) {
        debug_assert_eq!(top, self.len(), "nothing was pushed or popped meanwhile");
        self.slots[top + 1].set(HeldLock { how, instance, point, key });
        self.len.set(top + 1);
    }

    /// Returns how many locks are held.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Returns whether nothing is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what is in a slot, of which there are one more than held locks.
    #[inline]
    fn slot(&self, index: usize) -> HeldLock {
        match self.slots.get(index) {
            Some(slot) => slot.get(),
            None => self.spilt(index),
        }
    }

    #[cold]
    #[inline(never)]
    fn spilt(&self, index: usize) -> HeldLock {
        self.spill.borrow().as_ref().map_or(HeldLock::NONE, |spill| spill.0[index - self.slots.len()])
    }

    fn set_slot(&self, index: usize, lock: HeldLock) {
        match self.slots.get(index) {
            Some(slot) => slot.set(lock),
            None => self.spill.borrow_mut().get_or_insert_default().0[index - self.slots.len()] = lock,
        }
    }

    /// Adds a lock on top.
    #[inline]
    pub fn push(&self, how: Acquired, instance: u64, point: Point) {
        self.push_keyed(how, instance, point, self.key_with(how));
    }

    /// Adds a lock on top, given the key that [`key_with`](Self::key_with) computed already.
    #[inline]
    pub fn push_keyed(&self, how: Acquired, instance: u64, point: Point, key: ChainKey) {
        let index = self.len.get() + 1;
        match self.slots.get(index) {
            Some(slot) => slot.set(HeldLock { how, instance, point, key }),
            None => self.push_deep(how, instance, point),
        }
        self.len.set(index);
    }

    // Takes the words one by one: a lock as a whole would be passed in memory, and stored there by everybody.
    #[cold]
    #[inline(never)]
    fn push_deep(&self, how: Acquired, instance: u64, point: Point) {
        let key = self.keys_from(self.len()).next(how);
        let lock = HeldLock { how, instance, point, key };
        self.spill.borrow_mut().get_or_insert_default().0.push(lock);
    }

    /// Returns the lock at `depth`, 0 being the outermost.
    #[inline]
    pub fn get(&self, depth: usize) -> Option<HeldLock> {
        (depth < self.len()).then(|| self.slot(depth + 1))
    }

    /// Returns the locks, outermost first; reverse it for innermost first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = HeldLock> + ExactSizeIterator {
        (0..self.len()).map(|depth| self.slot(depth + 1))
    }

    /// Changes the mode of the innermost entry of the lock `instance`, without a wait: from then on it counts as
    /// trylocked, since nothing leads to the lock in its new mode. Returns whether this thread holds that lock.
    pub fn set_mode(&self, instance: u64, mode: Mode) -> bool {
        let Some(depth) = self.position(instance) else { return false };
        self.set_how(depth, self.slot(depth + 1).how.changed_to(mode));
        true
    }

    /// Changes how the lock at `depth` is held, and with it the keys from there on.
    fn set_how(&self, depth: usize, how: Acquired) {
        self.set_slot(depth + 1, HeldLock { how, ..self.slot(depth + 1) });
        self.rekey_from(depth);
    }

    fn rekey_from(&self, depth: usize) {
        let mut keys = self.keys_from(depth);
        self.each_from(depth, |lock| HeldLock { key: keys.next(lock.how), ..lock });
    }

    /// Changes each lock from `depth` on, going up.
    fn each_from(&self, depth: usize, mut change: impl FnMut(HeldLock) -> HeldLock) {
        for index in depth + 1..=self.len().min(INLINE) {
            self.slots[index].set(change(self.slots[index].get()));
        }
        let mut spill = self.spill.borrow_mut();
        let spilt = spill.as_mut().map_or(&mut [][..], |spill| &mut spill.0);
        spilt.iter_mut().skip(depth.saturating_sub(INLINE)).for_each(|lock| *lock = change(*lock));
    }

    /// Exchanges everything with another stack.
    pub fn swap(&self, other: &Self) {
        self.len.swap(&other.len);
        self.floor.swap(&other.floor);
        self.slots.iter().zip(&other.slots).for_each(|(slot, other)| slot.swap(other));
        self.spill.swap(&other.spill);
        self.notes.swap(&other.notes);
    }

    fn position(&self, instance: u64) -> Option<usize> {
        if self.len() > INLINE {
            let spill = self.spill.borrow();
            let spilt = spill.as_ref().map_or(&[][..], |spill| &spill.0);
            if let Some(index) = spilt.iter().rposition(|lock| lock.instance == instance) {
                return Some(INLINE + index);
            }
        }
        (0..self.len().min(INLINE)).rev().find(|&depth| self.slots[depth + 1].instance.get() == instance)
    }

    /// Returns the number of the acquisition of the lock `instance` at this point under the very locks that are held, if one
    /// of them is of the same class; only then does it matter which they are.
    pub fn point_within(&self, class: ClassId, instance: u64, point: Point) -> Option<Point> {
        let mut nests = false;
        let mut exact = point.among(instance);
        for lock in self.iter() {
            nests |= lock.class() == class;
            exact = exact.among(lock.instance);
        }
        nests.then_some(exact)
    }

    /// Returns the innermost entry of the lock `instance`.
    pub fn find(&self, instance: u64) -> Option<HeldLock> {
        self.get(self.position(instance)?)
    }

    /// Returns whether `lock` was acquired while the lock `nest` was held.
    pub(crate) fn is_above(&self, lock: HeldLock, nest: u64) -> bool {
        self.iter().skip_while(|other| other.instance != nest).skip(1).any(|other| other == lock)
    }

    /// Checks that length, storage and keys agree.
    ///
    /// # Panics
    ///
    /// If they do not: a bug of this crate.
    pub fn check_invariants(&self) {
        let spilt = self.spill.borrow().as_ref().map(|spill| spill.0.len());
        assert_eq!(spilt.unwrap_or(0), self.len().saturating_sub(INLINE), "what is not in place is spilt");
        assert_ne!(spilt, Some(0), "an empty spill is none");
        assert_eq!(self.slots[0].get(), HeldLock { key: self.start(), ..HeldLock::NONE }, "slot 0 is the start");
        let mut keys = self.keys_from(0);
        self.iter().enumerate().for_each(|(depth, lock)| {
            assert_eq!(lock.key, keys.next(lock.how), "an entry has the key of the sequence up to it");
            assert_eq!(lock.how.is_boundary(), self.is_base(depth + 1), "a boundary is marked");
            assert!(!lock.how.is_special() || self.floor.get() > depth, "what is special is not popped");
        });
        assert!(self.base() <= self.len(), "a context begins on the stack");
    }
}

#[cfg(test)]
mod tests;
