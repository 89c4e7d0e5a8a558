//! [`LockId`]: class number and identity of a lock; [`ClassRef`]: what names its class until then.

use std::{num::NonZeroUsize, panic::Location};

use lockdep_core::ClassId;
use once_cell::race::OnceNonZeroUsize;

use crate::LockClass;

/// The number of a class, once it has one.
#[derive(Debug)]
pub(crate) struct ClassCell(pub(crate) OnceNonZeroUsize);

impl ClassCell {
    pub(crate) const fn new() -> Self {
        Self(OnceNonZeroUsize::new())
    }
}

/// What names the class of a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClassRef {
    Explicit(&'static LockClass),
    Site(&'static Location<'static>),
}

/// Class number and identity of a lock in one word, never 0. A moved lock stays itself, and a new lock at the address of
/// a dead one is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockId(NonZeroUsize);

const CLASS_BITS: u32 = 24;

impl LockId {
    pub(crate) fn new(class: u32, serial: usize) -> Self {
        let word = (serial << CLASS_BITS) | class as usize;
        // Serials count from 1, and wrap after 2^40 locks.
        Self(NonZeroUsize::new(word).unwrap_or(NonZeroUsize::MIN))
    }

    /// The identity that is in a word of a record.
    #[inline]
    pub(super) const fn of_word(word: NonZeroUsize) -> Self {
        Self(word)
    }

    #[inline]
    pub(super) const fn word(self) -> NonZeroUsize {
        self.0
    }

    #[inline]
    pub(crate) const fn class(self) -> ClassId {
        class_of(self.0.get())
    }

    #[inline]
    pub(crate) const fn instance(self) -> u64 {
        self.0.get() as u64
    }
}

/// Returns the class number in the word of a lock; 0, which no class has, if the lock has no identity.
#[inline]
pub(crate) const fn class_of(word: usize) -> ClassId {
    // The base number is above the eight bits of the subclass, so the shift also cuts the serial off.
    ClassId::from_u32((word as u32) << (u32::BITS - CLASS_BITS))
}
