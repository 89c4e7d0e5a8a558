//! [`HeldStack`]: what one thread holds, in the order of acquisition, with the [`ChainKey`] of the whole.
//!
//! The key of a sequence is built up one lock at a time, so pushing costs one hash step, and popping none, because every
//! entry remembers the key below it. A release from the middle recomputes the keys above: O(locks above it), without
//! allocating. Up to [`INLINE`] locks are kept in place; a deeper stack grows on the heap until it is empty again.
//!
//! Contexts, pins and ranks are rare. They live beside the stack, on the heap, and only while there are any. The key of
//! a sequence begins with the state of contexts; when that changes, the keys are computed anew.

use crate::{
    class::ClassId,
    context::{ContextId, ContextSet, ContextState, Contexts, WaitType},
    mode::{HoldKind, Mode, WaitKind},
    request::Request,
};

/// How many held locks a stack keeps in place.
pub const INLINE: usize = 32;

/// A 64-bit hash of a sequence of acquisitions: classes, modes and trylocks, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainKey(u64);

impl ChainKey {
    /// The key of holding nothing: zero, so that a thread-local stack starts as untouched memory.
    pub const EMPTY: Self = Self(0);

    /// Returns the key of this sequence with one more acquisition.
    ///
    /// One folded multiplication (the high half of the 128-bit product goes into the low one), as wyhash does it.
    #[inline]
    #[must_use]
    pub const fn then(self, how: Acquired) -> Self {
        let product = (self.0 ^ how.0.wrapping_mul(0xd6e8_feb8_6659_fd93)) as u128 * 0xa076_1d64_78bd_642f_u128;
        Self((product ^ (product >> 64)) as u64)
    }

    /// Returns the number of the acquisition that made this sequence at the place `site`, any number that stands for a
    /// place in the source. Never 0.
    #[inline]
    pub const fn at(self, site: u64) -> Point {
        Point((self.0 ^ site).wrapping_mul(0xe703_7ed1_a0b4_28db) | 1)
    }

    /// Returns the hash.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// An acquisition point: a chain and the place in the source that acquired its last lock. Never 0.
///
/// It is the key of what is kept per place: whether the chain is proven there, the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point(u64);

impl Point {
    /// The point numbered `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Class, mode and trylock of an acquisition, packed: what of it goes into the chain key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Acquired(u64);

const MODE_SHIFT: u32 = 32;
const TRYLOCK: u64 = 1 << 34;
/// Always set: an acquisition that is zero would not change the key, and a sequence of them would look like one.
const PRESENT: u64 = 1 << 63;
const PINNED: u64 = 1 << 35;
/// A context was entered when this lock was the innermost one, so that releasing it moves a boundary.
const BOUNDARY: u64 = 1 << 36;

impl Acquired {
    /// Packs class, mode and trylock.
    #[inline]
    pub const fn new(class: ClassId, mode: Mode, trylock: bool) -> Self {
        Self(PRESENT | class.as_u32() as u64 | (mode as u64) << MODE_SHIFT | if trylock { TRYLOCK } else { 0 })
    }

    /// Returns the class.
    #[inline]
    pub const fn class(self) -> ClassId {
        ClassId::from_u32(self.0 as u32)
    }

    /// Returns the mode.
    #[inline]
    pub const fn mode(self) -> Mode {
        Mode::from_bits((self.0 >> MODE_SHIFT) as u8)
    }

    /// Returns whether the acquisition could not block.
    #[inline]
    pub const fn is_trylock(self) -> bool {
        self.0 & TRYLOCK != 0
    }

    /// Returns whether the lock must not be released.
    #[inline]
    pub const fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }
}

impl std::fmt::Debug for Acquired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}{}", self.class(), self.mode(), if self.is_trylock() { " try" } else { "" })
    }
}

/// A lock that a thread holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLock {
    how: Acquired,
    instance: u64,
    point: Point,
    below: ChainKey,
}

impl HeldLock {
    const NONE: Self = Self { how: Acquired(0), instance: 0, point: Point(0), below: ChainKey::EMPTY };

    /// The lock as it will be held.
    pub(crate) const fn acquired_by(request: &Request) -> Self {
        Self { how: request.how, instance: request.instance, point: request.point, below: ChainKey::EMPTY }
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

/// What one thread holds, in the order of acquisition.
///
/// ```
/// use lockdep_core::{Acquired, ChainKey, ClassId, HeldStack, Mode, Point};
///
/// let how = |class| Acquired::new(ClassId::new(class), Mode::Exclusive, false);
/// let mut held = HeldStack::new();
/// held.push(how(1), 10, Point::new(100));
/// held.push(how(2), 20, Point::new(200));
/// held.release(10).unwrap();
/// assert_eq!(held.key(), ChainKey::EMPTY.then(how(2)));
/// ```
#[derive(Debug)]
pub struct HeldStack {
    len: usize,
    key: ChainKey,
    inline: [HeldLock; INLINE],
    spill: Vec<HeldLock>,
    side: Option<Box<Side>>,
}

/// What few stacks have.
#[derive(Debug, Default)]
struct Side {
    contexts: ContextState,
    pins: Vec<(u64, u32)>,
    ranks: Vec<(u64, u64)>,
    nests: Vec<(u64, u64)>,
}

impl Default for HeldStack {
    fn default() -> Self {
        Self::new()
    }
}

impl HeldStack {
    /// The stack of a thread that holds nothing.
    pub const fn new() -> Self {
        Self { len: 0, key: ChainKey::EMPTY, inline: [HeldLock::NONE; INLINE], spill: Vec::new(), side: None }
    }

    /// Returns the key of everything held.
    #[inline]
    pub const fn key(&self) -> ChainKey {
        self.key
    }

    /// Returns how many locks are held.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether nothing is held.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a lock on top.
    #[inline]
    pub fn push(&mut self, how: Acquired, instance: u64, point: Point) {
        self.push_keyed(how, instance, point, self.key.then(how));
    }

    /// Adds a lock on top, given the key that [`ChainKey::then`] computed already.
    #[inline]
    pub fn push_keyed(&mut self, how: Acquired, instance: u64, point: Point, key: ChainKey) {
        let lock = HeldLock { how, instance, point, below: self.key };
        match self.inline.get_mut(self.len) {
            Some(slot) => *slot = lock,
            None => self.spill.push(lock),
        }
        self.len += 1;
        self.key = key;
    }

    /// Returns the lock at `depth`, 0 being the outermost.
    #[inline]
    pub fn get(&self, depth: usize) -> Option<&HeldLock> {
        if depth >= self.len {
            return None;
        }
        self.inline.get(depth).or_else(|| self.spill.get(depth - INLINE))
    }

    fn get_mut(&mut self, depth: usize) -> &mut HeldLock {
        if depth < INLINE { &mut self.inline[depth] } else { &mut self.spill[depth - INLINE] }
    }

    /// Returns the locks, outermost first; reverse it for innermost first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &HeldLock> + ExactSizeIterator {
        (0..self.len).map(|depth| if depth < INLINE { &self.inline[depth] } else { &self.spill[depth - INLINE] })
    }

    /// Removes the innermost entry of the lock `instance`, wherever in the stack it is. Returns it, or `None` if this
    /// thread does not hold that lock.
    #[inline]
    pub fn release(&mut self, instance: u64) -> Option<HeldLock> {
        let top = self.len.wrapping_sub(1);
        match self.inline.get(top) {
            Some(lock) if lock.instance == instance && lock.how.0 & BOUNDARY == 0 => {
                let lock = *lock;
                self.len = top;
                self.key = lock.below;
                Some(lock)
            }
            _ => self.release_slow(instance),
        }
    }

    #[inline(never)]
    fn release_slow(&mut self, instance: u64) -> Option<HeldLock> {
        let depth = self.position(instance)?;
        let removed = *self.get_mut(depth);
        let mut below = removed.below;
        for depth in depth..self.len - 1 {
            let lock = HeldLock { below, ..*self.get_mut(depth + 1) };
            *self.get_mut(depth) = lock;
            below = below.then(lock.how);
        }
        self.len -= 1;
        self.key = below;
        if let Some(side) = &mut self.side {
            side.contexts.released(depth);
            self.rekey();
        }
        self.spill.truncate(self.len.saturating_sub(INLINE));
        if self.spill.is_empty() {
            // The stack of a thread-local is never dropped, so it gives its memory back as soon as it can.
            self.spill = Vec::new();
        }
        Some(removed)
    }

    /// Changes the mode of the innermost entry of the lock `instance`, without a wait: from then on it counts as
    /// trylocked, since nothing leads to the lock in its new mode. Returns whether this thread holds that lock.
    pub fn set_mode(&mut self, instance: u64, mode: Mode) -> bool {
        let Some(depth) = self.position(instance) else { return false };
        let lock = self.get_mut(depth);
        let flags = lock.how.0 & (PINNED | BOUNDARY);
        lock.how = Acquired(Acquired::new(lock.how.class(), mode, true).0 | flags);
        let mut below = lock.below;
        for depth in depth..self.len {
            let lock = self.get_mut(depth);
            lock.below = below;
            below = below.then(lock.how);
        }
        self.key = below;
        true
    }

    /// Returns the key of holding nothing in the present state of contexts.
    fn start(&self) -> ChainKey {
        match self.side.as_ref().map_or(0, |side| side.contexts.word()) {
            0 => ChainKey::EMPTY,
            word => ChainKey(word),
        }
    }

    /// Computes all boundaries and keys anew.
    fn rekey(&mut self) {
        let mut below = self.start();
        for depth in 0..self.len {
            let is_boundary = self.side.as_ref().is_some_and(|side| side.contexts.is_base(depth + 1));
            let lock = self.get_mut(depth);
            lock.how.0 = if is_boundary { lock.how.0 | BOUNDARY } else { lock.how.0 & !BOUNDARY };
            lock.below = below;
            below = below.then(lock.how);
        }
        self.key = below;
    }

    /// Changes the state of contexts. Returns those that are enabled now and were not before: whatever is held has to be
    /// [marked](crate::Validator::enabled) for them.
    fn change_contexts<R>(&mut self, change: impl FnOnce(&mut ContextState, usize) -> R) -> (R, ContextSet) {
        let before = self.contexts().enabled;
        let held = self.len;
        let result = change(&mut self.side.get_or_insert_default().contexts, held);
        self.rekey();
        (result, self.contexts().enabled.without(before))
    }

    /// Returns what an acquisition depends on besides the locks that are held.
    pub fn contexts(&self) -> Contexts {
        self.side.as_ref().map_or(Contexts::NONE, |side| side.contexts.contexts())
    }

    /// From now on these contexts count as able to interrupt this thread.
    pub fn watch(&mut self, contexts: ContextSet) -> ContextSet {
        self.change_contexts(|state, _| state.watch(contexts)).1
    }

    /// Enters a context, which keeps `disables` disabled as long as it lasts and allows waits up to `limit`.
    pub fn enter(&mut self, context: ContextId, disables: ContextSet, limit: WaitType) {
        self.change_contexts(|state, held| state.enter(context, disables, limit, held));
    }

    /// Leaves the innermost context. Returns the contexts that this enables, or `None` if the innermost is another.
    pub fn exit(&mut self, context: ContextId) -> Option<ContextSet> {
        let (left, enabled) = self.change_contexts(|state, _| state.exit(context));
        left.then_some(enabled)
    }

    /// Leaves the innermost entry of a context, whatever was entered since. Returns the contexts that this enables, or
    /// `None` if the thread is not inside of it.
    pub fn leave(&mut self, context: ContextId) -> Option<ContextSet> {
        let (left, enabled) = self.change_contexts(|state, _| state.leave(context));
        left.then_some(enabled)
    }

    /// Disables a context; it nests.
    pub fn disable(&mut self, context: ContextId) {
        self.change_contexts(|state, _| state.disable(context));
    }

    /// Takes one disabling back. Returns the contexts that this enables, or `None` if the context is not disabled.
    pub fn enable(&mut self, context: ContextId) -> Option<ContextSet> {
        let (known, enabled) = self.change_contexts(|state, _| state.enable(context));
        known.then_some(enabled)
    }

    /// Returns the locks acquired since the innermost context was entered, outermost first.
    pub fn since_entered(&self) -> impl DoubleEndedIterator<Item = &HeldLock> + ExactSizeIterator {
        let base = self.side.as_ref().map_or(0, |side| side.contexts.entered());
        self.iter().skip(base.min(self.len))
    }

    /// Returns the locks acquired since the thread was last interrupted by a context, outermost first.
    pub fn in_context(&self) -> impl DoubleEndedIterator<Item = &HeldLock> + ExactSizeIterator {
        let base = self.side.as_ref().map_or(0, |side| side.contexts.base());
        self.iter().skip(base.min(self.len))
    }

    fn position(&self, instance: u64) -> Option<usize> {
        (0..self.len).rev().find(|&depth| self.get(depth).is_some_and(|lock| lock.instance == instance))
    }

    /// Returns the innermost entry of the lock `instance`.
    pub fn find(&self, instance: u64) -> Option<&HeldLock> {
        self.get(self.position(instance)?)
    }

    /// Pins a held lock: until it is unpinned with the same cookie, nobody may release it. Returns whether it is held.
    pub fn pin(&mut self, instance: u64, cookie: u32) -> bool {
        let Some(depth) = self.position(instance) else { return false };
        self.forget_notes();
        self.side.get_or_insert_default().pins.push((instance, cookie));
        self.set_pinned(depth, true);
        true
    }

    /// Takes a pin back. Returns whether there was one with this cookie.
    pub fn unpin(&mut self, instance: u64, cookie: u32) -> bool {
        let Some(depth) = self.position(instance) else { return false };
        let Some(side) = &mut self.side else { return false };
        let Some(index) = side.pins.iter().position(|pin| *pin == (instance, cookie)) else { return false };
        side.pins.swap_remove(index);
        let pinned = side.pins.iter().any(|pin| pin.0 == instance);
        self.set_pinned(depth, pinned);
        true
    }

    fn set_pinned(&mut self, depth: usize, pinned: bool) {
        let lock = self.get_mut(depth);
        lock.how.0 = if pinned { lock.how.0 | PINNED } else { lock.how.0 & !PINNED };
        self.rekey();
    }

    /// Notes the rank of a held lock, for a class that orders its locks by rank.
    pub fn set_rank(&mut self, instance: u64, rank: u64) {
        self.forget_notes();
        self.side.get_or_insert_default().ranks.push((instance, rank));
    }

    /// Returns the rank of a held lock, if one was noted.
    pub fn rank(&self, instance: u64) -> Option<u64> {
        self.side.as_ref()?.ranks.iter().rfind(|note| note.0 == instance).map(|note| note.1)
    }

    /// Notes that a held lock was nested under the lock `nest`, which therefore must stay held.
    pub fn set_nest(&mut self, instance: u64, nest: u64) {
        self.forget_notes();
        self.side.get_or_insert_default().nests.push((instance, nest));
    }

    /// Returns a held lock that was nested under the lock `nest`.
    pub fn nested_under(&self, nest: u64) -> Option<&HeldLock> {
        let notes = &self.side.as_ref()?.nests;
        notes.iter().filter(|note| note.1 == nest).find_map(|note| self.find(note.0))
    }

    /// Returns whether `lock` was acquired while the lock `nest` was held.
    pub(crate) fn is_above(&self, lock: &HeldLock, nest: u64) -> bool {
        self.iter().skip_while(|other| other.instance != nest).skip(1).any(|other| other == lock)
    }

    /// Drops the notes of locks that are no longer held; releasing one does not look for them.
    fn forget_notes(&mut self) {
        let Some(mut side) = self.side.take() else { return };
        side.pins.retain(|note| self.position(note.0).is_some());
        side.ranks.retain(|note| self.position(note.0).is_some());
        side.nests.retain(|note| self.position(note.0).is_some());
        self.side = Some(side);
    }

    /// Checks that length, storage and keys agree.
    ///
    /// # Panics
    ///
    /// If they do not: a bug of this crate.
    pub fn check_invariants(&self) {
        assert_eq!(self.spill.len(), self.len.saturating_sub(INLINE), "what is not in place is spilt");
        let key = self.iter().fold(self.start(), |key, lock| {
            assert_eq!(lock.below, key, "an entry knows the key below it");
            key.then(lock.how)
        });
        for (depth, lock) in self.iter().enumerate() {
            let is_boundary = self.side.as_ref().is_some_and(|side| side.contexts.is_base(depth + 1));
            assert_eq!(lock.how.0 & BOUNDARY != 0, is_boundary, "a boundary is marked");
        }
        assert!(
            self.side.as_ref().is_none_or(|side| side.contexts.base() <= self.len),
            "a context begins on the stack"
        );
        assert_eq!(self.key, key, "the key is that of the sequence");
        assert!(!self.spill.is_empty() || self.spill.capacity() == 0, "an empty spill owns nothing");
    }
}

#[cfg(test)]
mod tests;
