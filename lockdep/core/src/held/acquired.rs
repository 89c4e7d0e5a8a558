//! [`Acquired`]: how a lock was acquired, in one word.

use crate::{class::ClassId, mode::Mode};

/// Class, mode and trylock of an acquisition, packed: what of it goes into the chain key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Acquired(u64);

const MODE_SHIFT: u32 = 32;
const TRYLOCK: u64 = 1 << 34;
const PINNED: u64 = 1 << 35;
/// A context was entered when this lock was the innermost one, so that releasing it moves a boundary.
const BOUNDARY: u64 = 1 << 36;
/// Always set: an acquisition that is zero would not change the key, and a sequence of them would look like one.
const PRESENT: u64 = 1 << 63;

impl Acquired {
    /// Packs class, mode and trylock.
    #[inline]
    pub const fn new(class: ClassId, mode: Mode, trylock: bool) -> Self {
        let trylock = if trylock { TRYLOCK } else { 0 };
        Self(PRESENT | class.as_u32() as u64 | (mode as u64) << MODE_SHIFT | trylock)
    }

    /// What a slot has that holds nothing.
    pub(super) const NONE: Self = Self(0);

    /// The same in another mode, which was not waited for.
    pub(super) const fn changed_to(self, mode: Mode) -> Self {
        let marks = PINNED | BOUNDARY;
        Self(Self::new(self.class(), mode, true).0 & !marks | self.0 & marks)
    }

    /// The same with or without a pin, at a boundary or not.
    pub(super) const fn marked(self, pinned: bool, boundary: bool) -> Self {
        let plain = self.0 & !(PINNED | BOUNDARY);
        let pin = if pinned { PINNED } else { 0 };
        let end = if boundary { BOUNDARY } else { 0 };
        Self(plain | pin | end)
    }

    /// Returns whether a context was entered when this lock was the innermost one.
    pub(super) const fn is_boundary(self) -> bool {
        self.0 & BOUNDARY != 0
    }

    /// Returns whether releasing this lock takes more than removing it.
    pub(super) const fn is_special(self) -> bool {
        self.0 & (PINNED | BOUNDARY) != 0
    }

    #[inline]
    pub(super) const fn as_u64(self) -> u64 {
        self.0
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
