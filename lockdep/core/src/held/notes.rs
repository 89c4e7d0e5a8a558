//! What few stacks have: contexts, pins, ranks and nests. On the heap, and only while there are any.
//!
//! The key of a sequence begins with the state of contexts; when that changes, the keys of what is in place are computed
//! anew, and no others: some programs disable and enable interrupts all the time while they hold hundreds of locks.

use super::{ChainKey, HeldLock, HeldStack, INLINE};
use crate::context::{ContextId, ContextSet, ContextState, Contexts, WaitType};

/// The notes of one stack.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) contexts: ContextState,
    pins: Vec<(u64, u32)>,
    ranks: Vec<(u64, u64)>,
    nests: Vec<(u64, u64)>,
}

impl Notes {
    /// Returns whether there is a note of this lock. The latest notes are those of the innermost locks.
    fn is_about(&self, instance: u64) -> bool {
        let about = |notes: &[(u64, u64)]| notes.iter().rev().any(|note| note.0 == instance);
        about(&self.ranks) || about(&self.nests) || self.pins.iter().any(|pin| pin.0 == instance)
    }

    fn forget(&mut self, instance: u64) {
        self.pins.retain(|note| note.0 != instance);
        self.ranks.retain(|note| note.0 != instance);
        self.nests.retain(|note| note.0 != instance);
    }
}

impl HeldStack {
    /// Runs `f` on the notes, which there are from now on.
    fn note<R>(&self, f: impl FnOnce(&mut Notes) -> R) -> R {
        f(self.notes.borrow_mut().get_or_insert_default())
    }

    /// Runs `f` on the notes if there are any.
    fn noted<R>(&self, f: impl FnOnce(&Notes) -> R) -> Option<R> {
        self.notes.borrow().as_ref().map(|notes| f(notes))
    }

    /// Returns the key of holding nothing in the present state of contexts.
    pub(super) fn start(&self) -> ChainKey {
        self.noted(|notes| notes.contexts.word()).map_or(ChainKey::EMPTY, ChainKey)
    }

    /// Computes the keys in place anew, from this one on.
    fn restart(&self, start: ChainKey) {
        let mut key = start;
        self.slots[0].key.set(key);
        for slot in &self.slots[1..=self.len().min(INLINE)] {
            key = key.then(slot.how.get());
            slot.key.set(key);
        }
    }

    pub(super) fn is_base(&self, depth: usize) -> bool {
        self.noted(|notes| notes.contexts.is_base(depth)).unwrap_or(false)
    }

    /// Returns how many locks were held when the thread was last interrupted.
    pub(super) fn base(&self) -> usize {
        self.noted(|notes| notes.contexts.base()).unwrap_or(0)
    }

    /// Returns how deep the innermost lock is whose release takes more than removing it: it is marked, or there is a note of
    /// it that must go with it.
    pub(super) fn innermost_special(&self) -> Option<usize> {
        self.noted(|notes| {
            let noted = !(notes.ranks.is_empty() && notes.nests.is_empty());
            if !noted && notes.pins.is_empty() && notes.contexts.is_outside() {
                return None;
            }
            self.iter().rposition(|lock| lock.how.is_special() || (noted && notes.is_about(lock.instance)))
        })?
    }

    /// Attends to the notes after the lock at `depth` has been removed.
    pub(super) fn released(&self, depth: usize, removed: HeldLock) {
        let moved = self.notes.borrow_mut().as_mut().map(|notes| {
            // It may be held twice; what is known of it stays until it is not held at all.
            if notes.is_about(removed.instance) && self.position(removed.instance).is_none() {
                notes.forget(removed.instance);
            }
            notes.contexts.released(depth)
        });
        let Some(moved) = moved else { return };
        if moved {
            self.restart(self.start());
        }
        if removed.how.is_boundary() {
            // The boundary is now at the lock below.
            self.mark_boundary(depth);
        }
        self.refloor();
    }

    /// Marks the innermost of the outermost `base` locks as a boundary, if a context was entered with these held.
    fn mark_boundary(&self, base: usize) {
        let Some(depth) = base.checked_sub(1).filter(|depth| *depth < self.len()) else { return };
        let how = self.slot(base).how;
        let marked = how.marked(how.is_pinned(), self.is_base(base));
        if marked != how {
            self.set_how(depth, marked);
        }
    }

    /// Changes the state of contexts. Returns those that are enabled now and were not before: whatever is held has to be
    /// [marked](crate::Validator::enabled) for them.
    fn change_contexts<R>(&self, change: impl FnOnce(&mut ContextState) -> R) -> (R, ContextSet) {
        let (result, word, enabled) = self.note(|notes| {
            let before = notes.contexts.contexts().enabled;
            let result = change(&mut notes.contexts);
            (result, notes.contexts.word(), notes.contexts.contexts().enabled.without(before))
        });
        self.restart(ChainKey(word));
        (result, enabled)
    }

    /// The boundary of a context that was entered with `base` locks is there now, or no longer.
    fn bounded(&self, base: usize) {
        self.mark_boundary(base);
        self.refloor();
    }

    /// Returns what an acquisition depends on besides the locks that are held.
    pub fn contexts(&self) -> Contexts {
        self.noted(|notes| notes.contexts.contexts()).unwrap_or(Contexts::NONE)
    }

    /// From now on these contexts count as able to interrupt this thread.
    pub fn watch(&self, contexts: ContextSet) -> ContextSet {
        self.change_contexts(|state| state.watch(contexts)).1
    }

    /// Enters a context, which keeps `disables` disabled as long as it lasts and allows waits up to `limit`.
    pub fn enter(&self, context: ContextId, disables: ContextSet, limit: WaitType) {
        let base = self.len();
        self.change_contexts(|state| state.enter(context, disables, limit, base));
        self.bounded(base);
    }

    /// Leaves the innermost context. Returns the contexts that this enables, or `None` if the innermost is another.
    pub fn exit(&self, context: ContextId) -> Option<ContextSet> {
        let (left, enabled) = self.change_contexts(|state| state.exit(context));
        self.bounded(left?);
        Some(enabled)
    }

    /// Leaves the innermost entry of a context, whatever was entered since. Returns the contexts that this enables, or
    /// `None` if the thread is not inside of it.
    pub fn leave(&self, context: ContextId) -> Option<ContextSet> {
        let (left, enabled) = self.change_contexts(|state| state.leave(context));
        self.bounded(left?);
        Some(enabled)
    }

    /// Disables contexts; it nests.
    pub fn disable(&self, contexts: ContextSet) {
        self.change_contexts(|state| state.disable(contexts));
    }

    /// Takes one disabling of each of these contexts back. Returns those that this enables, or `None` if none of them is
    /// disabled.
    pub fn enable(&self, contexts: ContextSet) -> Option<ContextSet> {
        let (known, enabled) = self.change_contexts(|state| state.enable(contexts));
        known.then_some(enabled)
    }

    /// Returns the locks acquired since the innermost context was entered, outermost first.
    pub fn since_entered(&self) -> impl DoubleEndedIterator<Item = HeldLock> + ExactSizeIterator {
        let base = self.noted(|notes| notes.contexts.entered()).unwrap_or(0);
        self.iter().skip(base.min(self.len()))
    }

    /// Returns the locks acquired since the thread was last interrupted by a context, outermost first.
    pub fn in_context(&self) -> impl DoubleEndedIterator<Item = HeldLock> + ExactSizeIterator {
        self.iter().skip(self.base().min(self.len()))
    }

    /// Pins a held lock: until it is unpinned with the same cookie, nobody may release it. Returns whether it is held.
    pub fn pin(&self, instance: u64, cookie: u32) -> bool {
        let Some(depth) = self.position(instance) else { return false };
        self.note(|notes| notes.pins.push((instance, cookie)));
        self.set_pinned(depth, true);
        true
    }

    /// Returns whether the lock `instance` must not be released now: it is pinned, or other locks are nested under it.
    pub fn must_stay(&self, instance: u64) -> bool {
        let may = self.noted(|notes| !notes.pins.is_empty() || !notes.nests.is_empty());
        may == Some(true)
            && (self.find(instance).is_some_and(|lock| lock.how().is_pinned()) || self.nested_under(instance).is_some())
    }

    /// Takes a pin back. Returns whether there was one with this cookie.
    pub fn unpin(&self, instance: u64, cookie: u32) -> bool {
        let Some(depth) = self.position(instance) else { return false };
        let still_pinned = self.note(|notes| {
            let index = notes.pins.iter().position(|pin| *pin == (instance, cookie))?;
            notes.pins.swap_remove(index);
            Some(notes.pins.iter().any(|pin| pin.0 == instance))
        });
        still_pinned.is_some_and(|pinned| {
            self.set_pinned(depth, pinned);
            true
        })
    }

    fn set_pinned(&self, depth: usize, pinned: bool) {
        let how = self.slot(depth + 1).how;
        self.set_how(depth, how.marked(pinned, how.is_boundary()));
        self.refloor();
    }

    /// Notes the rank of a held lock, for a class that orders its locks by rank.
    pub fn set_rank(&self, instance: u64, rank: u64) {
        self.note(|notes| notes.ranks.push((instance, rank)));
        self.refloor();
    }

    /// Returns the rank of a held lock, if one was noted.
    pub fn rank(&self, instance: u64) -> Option<u64> {
        self.noted(|notes| notes.ranks.iter().rfind(|note| note.0 == instance).map(|note| note.1))?
    }

    /// Notes that a held lock was nested under the lock `nest`, which therefore must stay held.
    pub fn set_nest(&self, instance: u64, nest: u64) {
        self.note(|notes| notes.nests.push((instance, nest)));
        self.refloor();
    }

    /// Returns a held lock that was nested under the lock `nest`.
    pub fn nested_under(&self, nest: u64) -> Option<HeldLock> {
        self.noted(|notes| notes.nests.iter().filter(|note| note.1 == nest).find_map(|note| self.find(note.0)))?
    }
}
