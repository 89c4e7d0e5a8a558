//! [`HeldStack`]: what one thread holds, in the order of acquisition, with the [`ChainKey`] of the whole.
//!
//! The key of a sequence is built up one lock at a time, so pushing costs one hash step, and popping none, because every
//! entry remembers the key below it. A release from the middle recomputes the keys above: O(locks above it), without
//! allocating. Up to [`INLINE`] locks are kept in place; a deeper stack grows on the heap until it is empty again.

use crate::{
    class::ClassId,
    mode::{HoldKind, Mode, WaitKind},
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
}

impl Default for HeldStack {
    fn default() -> Self {
        Self::new()
    }
}

impl HeldStack {
    /// The stack of a thread that holds nothing.
    pub const fn new() -> Self {
        Self { len: 0, key: ChainKey::EMPTY, inline: [HeldLock::NONE; INLINE], spill: Vec::new() }
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
            Some(lock) if lock.instance == instance => {
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
        let depth = (0..self.len).rev().find(|&depth| self.get(depth).is_some_and(|lock| lock.instance == instance))?;
        let removed = *self.get_mut(depth);
        let mut below = removed.below;
        for depth in depth..self.len - 1 {
            let lock = HeldLock { below, ..*self.get_mut(depth + 1) };
            *self.get_mut(depth) = lock;
            below = below.then(lock.how);
        }
        self.len -= 1;
        self.key = below;
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
        let Some(depth) = self.iter().rposition(|lock| lock.instance == instance) else { return false };
        let lock = self.get_mut(depth);
        lock.how = Acquired::new(lock.how.class(), mode, true);
        let mut below = lock.below;
        for depth in depth..self.len {
            let lock = self.get_mut(depth);
            lock.below = below;
            below = below.then(lock.how);
        }
        self.key = below;
        true
    }

    /// Checks that length, storage and keys agree.
    ///
    /// # Panics
    ///
    /// If they do not: a bug of this crate.
    pub fn check_invariants(&self) {
        assert_eq!(self.spill.len(), self.len.saturating_sub(INLINE), "what is not in place is spilt");
        let key = self.iter().fold(ChainKey::EMPTY, |key, lock| {
            assert_eq!(lock.below, key, "an entry knows the key below it");
            key.then(lock.how)
        });
        assert_eq!(self.key, key, "the key is that of the sequence");
        assert!(!self.spill.is_empty() || self.spill.capacity() == 0, "an empty spill owns nothing");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(u32, Mode, bool),
        Release(usize),
        SetMode(usize, Mode),
    }

    fn op() -> impl Strategy<Value = Op> {
        let mode = prop::sample::select(Mode::ALL.to_vec());
        prop_oneof![
            3 => (0u32..6, mode.clone(), any::<bool>()).prop_map(|(class, mode, trylock)| Op::Push(class, mode, trylock)),
            2 => any::<usize>().prop_map(Op::Release),
            1 => (any::<usize>(), mode).prop_map(|(index, mode)| Op::SetMode(index, mode)),
        ]
    }

    /// The twin: a plain list, whose key is computed from scratch.
    #[derive(Default)]
    struct Twin(Vec<(Acquired, u64)>);

    impl Twin {
        fn key(&self) -> ChainKey {
            self.0.iter().fold(ChainKey::EMPTY, |key, (how, _)| key.then(*how))
        }

        fn instance(&self, index: usize) -> u64 {
            if self.0.is_empty() { u64::MAX } else { self.0[index % self.0.len()].1 }
        }

        fn position(&self, instance: u64) -> Option<usize> {
            self.0.iter().rposition(|(_, held)| *held == instance)
        }
    }

    proptest! {
        #[test]
        fn the_stack_behaves_like_a_list(ops in prop::collection::vec(op(), 0..120), deep in 0u32..60) {
            let mut stack = HeldStack::new();
            let mut twin = Twin::default();
            let deepen = (0..deep).map(|class| Op::Push(class, Mode::Exclusive, false));
            for (step, op) in deepen.chain(ops).enumerate() {
                match op {
                    Op::Push(class, mode, trylock) => {
                        let how = Acquired::new(ClassId::new(class), mode, trylock);
                        // Every third lock is one that is held already, if there is one.
                        let instance = if step % 3 == 0 { twin.instance(step) } else { step as u64 };
                        stack.push(how, instance, Point::new(step as u64));
                        twin.0.push((how, instance));
                    }
                    Op::Release(index) => {
                        let instance = twin.instance(index);
                        let expected = twin.position(instance).map(|position| twin.0.remove(position));
                        let removed = stack.release(instance).map(|lock| (lock.how(), lock.instance()));
                        prop_assert_eq!(removed, expected);
                    }
                    Op::SetMode(index, mode) => {
                        let instance = twin.instance(index);
                        let position = twin.position(instance);
                        prop_assert_eq!(stack.set_mode(instance, mode), position.is_some());
                        if let Some(position) = position {
                            let class = twin.0[position].0.class();
                            twin.0[position].0 = Acquired::new(class, mode, true);
                        }
                    }
                }
                stack.check_invariants();
                prop_assert_eq!(stack.key(), twin.key());
                let held: Vec<_> = stack.iter().map(|lock| (lock.how(), lock.instance())).collect();
                prop_assert_eq!(&held, &twin.0);
                prop_assert_eq!(stack.get(held.len()), None);
            }
        }
    }

    #[test]
    fn the_key_tells_order_class_mode_and_trylock_apart() {
        let how = |class, mode, trylock| Acquired::new(ClassId::new(class), mode, trylock);
        let a = how(1, Mode::Exclusive, false);
        let others = [how(2, Mode::Exclusive, false), how(1, Mode::Shared, false), how(1, Mode::Exclusive, true)];
        for other in others {
            assert_ne!(ChainKey::EMPTY.then(a), ChainKey::EMPTY.then(other));
            assert_ne!(ChainKey::EMPTY.then(a).then(other), ChainKey::EMPTY.then(other).then(a));
        }
    }
}
