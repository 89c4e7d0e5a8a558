//! Checking is not compiled in: records without size, hooks without code.

use std::{marker::PhantomData, panic::Location};

use crate::{Acquire, LockClass, Mode};

/// What users see of a build without checking.
pub(crate) mod api {
    use crate::Policy;

    /// Whether checking is compiled in: the feature `enabled`.
    pub const ENABLED: bool = false;

    /// How a lock is held or wanted.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Mode {
        /// Excludes everybody.
        Exclusive,
        /// Shares with readers; waits behind a waiting writer.
        Shared,
        /// Shares with readers; waits only for a writer that holds the lock.
        SharedRecursive,
        /// Shares with readers, excludes writers and other upgradable readers; may become exclusive.
        Upgradable,
    }

    /// A nesting level inside a class, 0 to 255.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Subclass(());

    impl Subclass {
        /// The level of an acquisition that names none.
        pub const DEFAULT: Self = Self(());

        /// Level `level`.
        pub const fn new(level: u8) -> Self {
            let _ = level;
            Self(())
        }
    }

    /// Sets what a report does, for the whole process.
    pub fn set_policy(policy: Policy) {
        let _ = policy;
    }
}

#[derive(Debug)]
pub(crate) struct ClassCell;

impl ClassCell {
    pub(crate) const fn new() -> Self {
        Self
    }
}

#[derive(Debug)]
pub(crate) struct Record;

impl Record {
    pub(crate) const fn at(_site: &'static Location<'static>) -> Self {
        Self
    }

    pub(crate) const fn of(_class: &'static LockClass) -> Self {
        Self
    }
}

/// What a guard carries: nothing.
#[derive(Debug)]
pub(crate) struct Held<'a>(PhantomData<&'a Record>);

impl Held<'_> {
    #[inline(always)]
    pub(crate) fn set_mode(&self, _mode: Mode) {}

    #[inline(always)]
    pub(crate) fn upgrade(&self, _site: &'static Location<'static>) {}

    #[inline(always)]
    pub(crate) fn wait(&self, _site: &'static Location<'static>) {}
}

#[inline(always)]
pub(crate) fn hold<'a>(_record: &'a Record, _how: Acquire, _site: &'static Location<'static>) -> Held<'a> {
    Held(PhantomData)
}

#[inline(always)]
pub(crate) fn acquire(_record: &Record, _how: Acquire, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn release(_record: &Record, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn release_transferred(_record: &Record) {}

#[inline(always)]
pub(crate) fn set_mode(_record: &Record, _mode: Mode) {}

#[inline(always)]
pub(crate) fn upgrade(_record: &Record, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn is_held(_record: &Record) -> Option<bool> {
    None
}
