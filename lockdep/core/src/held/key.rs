//! [`ChainKey`] and [`Point`]: numbers for a held sequence, and for an acquisition on top of it.

use super::Acquired;

/// A 64-bit hash of a sequence of acquisitions: classes, modes and trylocks, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainKey(pub(super) u64);

impl ChainKey {
    /// The key of holding nothing: zero, so that a thread-local stack starts as untouched memory.
    pub const EMPTY: Self = Self(0);

    /// Returns the key of this sequence with one more acquisition.
    ///
    /// One folded multiplication (the high half of the 128-bit product goes into the low one), as wyhash does it. What
    /// is multiplied is a key, which looks random, but for one that is empty.
    #[inline]
    #[must_use]
    pub const fn then(self, how: Acquired) -> Self {
        Self(folded(self.0 ^ how.as_u64()))
    }

    /// Returns the key of this sequence with all of another one on top.
    pub(super) const fn over(self, above: Self) -> Self {
        Self(folded(self.0 ^ above.0.rotate_left(32)))
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
pub struct Point(pub(super) u64);

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

    /// Returns the number of the same point if one of the locks is this one. Never 0.
    #[inline]
    pub(super) const fn among(self, instance: u64) -> Self {
        Self(folded(self.0 ^ instance.rotate_left(32)) | 1)
    }
}

#[inline]
const fn folded(number: u64) -> u64 {
    let product = number as u128 * 0xa076_1d64_78bd_642f_u128;
    (product ^ (product >> 64)) as u64
}
