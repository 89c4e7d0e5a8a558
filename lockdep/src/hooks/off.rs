//! Checking is not compiled in: records without size, hooks without code.

use std::{marker::PhantomData, panic::Location};

use super::owner::Owner;
use crate::{Acquire, Context, LockClass, Mode, WaitType};

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

    /// The thread that holds a lock, for whoever lets go of it in its stead (see
    /// [`LockMap::release_for`](crate::LockMap::release_for)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Holder(());

    impl Holder {
        /// This thread.
        #[inline(always)]
        pub fn current() -> Self {
            Self(())
        }

        #[allow(dead_code, reason = "whether it is asked for depends on who may drop a guard")]
        #[inline(always)]
        pub(crate) fn now() -> Self {
            Self(())
        }
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

    /// What a lock needs in order to be waited for, and what may be waited for while it is held; a scale.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum WaitType {
        /// Never waits.
        Free = 1,
        /// Spins, always.
        Spin = 2,
        /// Spins or sleeps, as a kernel is configured.
        Config = 3,
        /// Blocks the thread.
        Sleep = 4,
        /// Suspends the task.
        Await = 5,
        /// Anything.
        Any = 6,
    }

    /// Switches lock statistics on or off: without checking there are none.
    pub fn set_statistics(on: bool) {
        let _ = on;
    }

    /// Begins or ends keeping a table of what all threads hold: without checking nobody knows.
    pub fn set_held_table(on: bool) {
        let _ = on;
    }

    /// Limits the memory of the validator, in bytes: without checking there is none.
    pub fn set_memory_budget(bytes: usize) {
        let _ = bytes;
    }

    /// Would print a summary when it is dropped; without checking there is none.
    #[must_use = "the summary is printed when this is dropped"]
    #[derive(Debug)]
    pub struct SummaryOnDrop(());

    /// Returns what prints a summary when it is dropped.
    pub fn summary_on_drop() -> SummaryOnDrop {
        SummaryOnDrop(())
    }

    /// Runs `f` unwatched; without checking everything is.
    pub fn unwatched<R>(f: impl FnOnce() -> R) -> R {
        f()
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
pub(crate) struct Child;

#[derive(Clone, Debug)]
pub(crate) struct End;

#[derive(Debug)]
pub(crate) struct Alive(PhantomData<*const ()>);

impl Child {
    #[inline(always)]
    pub(crate) fn begin(self) -> Alive {
        Alive(PhantomData)
    }
}

#[inline(always)]
pub(crate) fn fork(_name: Option<&str>) -> (Child, End) {
    (Child, End)
}

#[inline(always)]
pub(crate) fn joined(_end: &End) {}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassRules;

impl ClassRules {
    pub(crate) const USUAL: Self = Self;

    pub(crate) const fn waiting(self, _needs: WaitType, _allows: WaitType) -> Self {
        self
    }

    pub(crate) const fn learnt(self) -> Self {
        self
    }

    pub(crate) const fn compared(self, _precedes: fn(u64, u64) -> bool) -> Self {
        self
    }

    pub(crate) const fn ranked(self, _by_address: bool) -> Self {
        self
    }

    pub(crate) const fn stack_only(self) -> Self {
        self
    }

    pub(crate) const fn per_cpu(self) -> Self {
        self
    }

    pub(crate) const fn untracked(self) -> Self {
        self
    }
}

#[derive(Debug)]
pub(crate) enum ContextCell {
    Known,
    Declared,
}

impl ContextCell {
    pub(crate) const HARDIRQ: Self = Self::Known;
    pub(crate) const SOFTIRQ: Self = Self::Known;
    pub(crate) const SIGNAL: Self = Self::Known;

    pub(crate) const fn new() -> Self {
        Self::Declared
    }
}

#[derive(Debug)]
pub(crate) struct Inside;

#[inline(always)]
pub(crate) fn enter(_context: &'static Context, _site: &'static Location<'static>) -> Inside {
    Inside
}

#[inline(always)]
pub(crate) fn watch(_context: &'static Context, _site: &'static Location<'static>) {}

#[derive(Debug)]
pub(crate) struct Disabled;

#[inline(always)]
pub(crate) fn disable(
    _context: &'static Context,
    _others: &[&'static Context],
    _site: &'static Location<'static>,
) -> Disabled {
    Disabled
}

#[inline(always)]
pub(crate) fn context_state(_context: &'static Context) -> Option<(bool, bool)> {
    None
}

pub(crate) struct Poll;

impl Poll {
    #[inline(always)]
    pub(crate) fn leave(self, _suspended: bool) {}
}

#[inline(always)]
pub(crate) fn enter_poll(_limit: WaitType, _site: &'static Location<'static>) -> Poll {
    Poll
}

#[derive(Debug)]
pub(crate) struct Bar<'a>(PhantomData<&'a Record>);

#[inline(always)]
pub(crate) fn bar(_record: &Record) -> Bar<'_> {
    Bar(PhantomData)
}

#[inline(always)]
pub(crate) fn is_barred(_record: &Record) -> bool {
    false
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

    #[inline(always)]
    pub(crate) fn is_of(&self, _class: &'static LockClass) -> Option<bool> {
        None
    }
}

/// What a guard carries: nothing.
#[derive(Debug)]
pub(crate) struct Held<'a>(PhantomData<(&'a Record, Owner)>);

impl Held<'_> {
    #[inline(always)]
    pub(crate) fn set_mode(&self, _mode: Mode) {}

    #[inline(always)]
    pub(crate) fn upgrade(&self, _site: &'static Location<'static>) {}

    #[inline(always)]
    pub(crate) fn wait(&self, _site: &'static Location<'static>) {}

    #[inline(always)]
    pub(crate) fn waited(&self) {}
}

#[inline(always)]
pub(crate) fn hold<'a>(_record: &'a Record, _how: Acquire, _site: &'static Location<'static>) -> Held<'a> {
    Held(PhantomData)
}

#[inline(always)]
pub(crate) fn book(_record: &Record, _how: Acquire, _site: &'static Location<'static>) -> bool {
    false
}

#[inline(always)]
pub(crate) fn get<'a, G>(
    _record: &'a Record,
    _watched: bool,
    _attempt: impl FnOnce() -> Option<G>,
    wait: impl FnOnce() -> G,
) -> (Held<'a>, G) {
    (Held(PhantomData), wait())
}

#[inline(always)]
pub(crate) fn acquire_ranked(_record: &Record, _how: Acquire, _rank: u64, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn acquire_under(_record: &Record, _how: Acquire, _nest: &Record, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn acquire(_record: &Record, _how: Acquire, _site: &'static Location<'static>) {}

#[derive(Debug)]
pub(crate) struct Pin<'a>(PhantomData<&'a Record>);

#[inline(always)]
pub(crate) fn pin<'a>(_record: &'a Record, _site: &'static Location<'static>) -> Pin<'a> {
    Pin(PhantomData)
}

#[inline(always)]
pub(crate) fn release(_record: &Record, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn release_for(_record: &Record, _holder: api::Holder) {}

#[inline(always)]
pub(crate) fn set_mode(_record: &Record, _mode: Mode) {}

#[inline(always)]
pub(crate) fn upgrade(_record: &Record, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn held_mode(_record: &Record) -> Option<Option<Mode>> {
    None
}

#[inline(always)]
pub(crate) fn class_label(_record: &Record) -> Option<String> {
    None
}

#[inline(always)]
pub(crate) fn held_count() -> Option<usize> {
    None
}

#[inline(always)]
pub(crate) fn sync(_record: &Record, _how: Acquire, _site: &'static Location<'static>) {}

#[inline(always)]
pub(crate) fn timed<G>(_record: &Record, _attempt: impl FnOnce() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    wait()
}
