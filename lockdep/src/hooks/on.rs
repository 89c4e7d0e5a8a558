//! Checking is compiled in: a record names a class and a lock, a hook asks the runtime.

use std::{num::NonZeroUsize, panic::Location};

use once_cell::race::OnceNonZeroUsize;

pub(crate) use super::owner::Owner;
use super::runtime::{self, classes, observe, statistics, thread};
pub(crate) use super::runtime::{
    ContextCell, context_state,
    fork::{Alive, Child, End, fork, joined},
    guards::{Bar, Disabled, Inside, bar, disable, enter, enter_poll, is_barred, watch},
    placed::{Pin, acquire_ranked, acquire_under, pin},
    rules::ClassRules,
};
use crate::{Acquire, LockClass, Mode};

/// What users see of a build with checking.
pub(crate) mod api {
    pub use lockdep_core::{
        ClassListing, Code, Counts, Fingerprint, Grade, Journal, Mode, Report, Subclass, ThreadLocks, WaitType,
        stats::{ClassStats, Times},
    };

    pub use lockdep_report::{
        classes::render as render_classes, text::render as render_report, threads::render as render_held_table,
    };

    pub use super::super::runtime::{Session, SpanLayer, Summary, SummaryOnDrop};
    use crate::Policy;

    /// The thread that holds a lock, for whoever lets go of it in its stead (see
    /// [`LockMap::release_for`](crate::LockMap::release_for)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Holder(u32);

    impl Holder {
        /// This thread.
        pub fn current() -> Self {
            super::thread::introduce();
            Self::now()
        }

        /// This thread, if it ever took a lock.
        #[inline(always)]
        pub(crate) fn now() -> Self {
            Self(super::thread::number())
        }

        pub(crate) const fn number(self) -> u32 {
            self.0
        }
    }

    /// Whether checking is compiled in: the feature `enabled`.
    pub const ENABLED: bool = true;

    /// Sets what a report does, for the whole process. Overrides the environment.
    pub fn set_policy(policy: Policy) {
        Session::process().set_policy(policy);
    }

    /// Runs `f`; what this thread acquires in it is not watched, as if checking were off. For code that is known to break
    /// an order and must stay as it is. What is acquired in it must be released in it.
    pub fn unwatched<R>(f: impl FnOnce() -> R) -> R {
        super::super::runtime::unwatched(f)
    }

    /// Switches lock statistics on or off, for the whole process. They are off at first, unless `LOCKDEP=stat` says
    /// otherwise, and cost nothing while they are; while they are on, every acquisition takes the slow way.
    pub fn set_statistics(on: bool) {
        Session::process();
        super::super::runtime::set_statistics(on);
    }

    /// Returns the lock statistics of the whole process, the classes with the longest waits first.
    pub fn statistics() -> Vec<ClassStats> {
        Session::process().statistics()
    }

    /// Returns what this thread holds, with the stacks that acquired it.
    pub fn held_here() -> ThreadLocks {
        super::super::runtime::held_here()
    }

    /// Begins or ends keeping a table of what all threads hold and wait for, for the look at a program that hangs. It is not
    /// kept at first, unless `LOCKDEP=held` says otherwise; while it is, every acquisition takes the slow way.
    pub fn set_held_table(on: bool) {
        Session::process();
        super::super::runtime::set_held_table(on);
    }

    /// Returns what every thread that holds or waits for a lock holds and waits for, of what it has acquired since the table
    /// is [kept](set_held_table). [`render_held_table`] makes text of it.
    pub fn held_table() -> Vec<ThreadLocks> {
        super::super::runtime::held_table()
    }

    /// Returns what every class is known for, in the order in which they were met: in the whole process, of those acquired
    /// so far. [`render_classes`] makes of it what the kernel's `/proc/lockdep` is.
    pub fn classes() -> Vec<ClassListing> {
        Session::process().classes()
    }

    /// Returns what came of the run so far.
    pub fn summary() -> Summary {
        Session::process().summary()
    }

    /// Prints the [summary] to standard error when the result is dropped, and with it the statistics if they are on. A
    /// variable of `main` is the place for it.
    pub fn summary_on_drop() -> SummaryOnDrop {
        SummaryOnDrop::new()
    }

    /// Limits the memory of the whole process's validator, in bytes, approximately. When it is reached, statistics are
    /// dropped and then stacks, never what is learnt and checked. The summary says what was dropped.
    pub fn set_memory_budget(bytes: usize) {
        Session::process().set_memory_budget(bytes);
    }

    /// Returns the findings of the whole process since the last call, in order.
    pub fn take_reports() -> Vec<Report> {
        Session::process().take_reports()
    }
}

/// The number of a class, once it has one.
#[derive(Debug)]
pub(crate) struct ClassCell(pub(crate) OnceNonZeroUsize);

impl ClassCell {
    pub(crate) const fn new() -> Self {
        Self(OnceNonZeroUsize::new())
    }
}

/// What a lock carries: its class, and, once it has been acquired, class number and identity in one word.
#[derive(Debug)]
pub(crate) struct Record {
    class: ClassRef,
    id: OnceNonZeroUsize,
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

    #[inline]
    pub(crate) const fn class(self) -> lockdep_core::ClassId {
        class_of(self.0.get())
    }

    #[inline]
    pub(crate) const fn instance(self) -> u64 {
        self.0.get() as u64
    }
}

/// Returns the class number in the word of a lock; 0, which no class has, if the lock has no identity.
#[inline]
pub(crate) const fn class_of(word: usize) -> lockdep_core::ClassId {
    // The base number is above the eight bits of the subclass, so the shift also cuts the serial off.
    lockdep_core::ClassId::from_u32((word as u32) << (u32::BITS - CLASS_BITS))
}

impl Record {
    pub(crate) const fn at(site: &'static Location<'static>) -> Self {
        Self { class: ClassRef::Site(site), id: OnceNonZeroUsize::new() }
    }

    pub(crate) const fn of(class: &'static LockClass) -> Self {
        Self { class: ClassRef::Explicit(class), id: OnceNonZeroUsize::new() }
    }

    /// Returns the identity, if the lock has ever been acquired.
    #[inline]
    pub(crate) fn known_id(&self) -> Option<LockId> {
        self.id.get().map(LockId)
    }

    /// Returns the identity as a word, 0 if there is none.
    #[inline]
    pub(crate) fn word(&self) -> usize {
        self.id.get().map_or(0, NonZeroUsize::get)
    }

    /// Returns the identity, giving the lock one if it has none and that takes neither a lock nor memory.
    pub(crate) fn id_at_hand(&self) -> Option<LockId> {
        self.known_id().or_else(|| {
            let number = classes::number_at_hand(self.class)?;
            Some(LockId(self.id.get_or_init(|| classes::new_identity(number).0)))
        })
    }

    /// Returns the identity, giving the lock one if it has none.
    pub(crate) fn id(&self) -> LockId {
        LockId(self.id.get_or_init(|| classes::identify(self.class).0))
    }

    /// Returns whether the lock is of this declared class.
    pub(crate) fn is_of(&self, class: &'static LockClass) -> Option<bool> {
        Some(matches!(self.class, ClassRef::Explicit(own) if std::ptr::eq(own, class)))
    }

    /// Returns what its class says of itself.
    pub(crate) const fn rules(&self) -> ClassRules {
        match self.class {
            ClassRef::Explicit(class) => class.rules(),
            ClassRef::Site(_) => ClassRules::USUAL,
        }
    }

    /// Returns whether the locks of this class have an order of their own.
    pub(crate) const fn orders_instances(&self) -> bool {
        matches!(self.class, ClassRef::Site(_))
    }
}

impl Drop for Record {
    #[inline]
    fn drop(&mut self) {
        thread::dropped(self);
    }
}

/// What a guard carries: the way back to the record.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    record: &'a Record,
    owner: Owner,
}

impl Held<'_> {
    pub(crate) fn set_mode(&self, mode: Mode) {
        thread::set_mode(self.record, mode);
    }

    #[track_caller]
    pub(crate) fn upgrade(&self, site: &'static Location<'static>) {
        thread::upgrade(self.record, site);
    }

    /// A condition variable lets go of the lock and acquires it again.
    #[track_caller]
    pub(crate) fn wait(&self, site: &'static Location<'static>) {
        thread::reacquire(self.record, site);
    }

    /// The condition variable has given the lock back.
    pub(crate) fn waited(&self) {
        statistics::waited(self.record);
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        thread::release_guard(self.record, &self.owner);
    }
}

#[inline(always)]
#[track_caller]
pub(crate) fn hold<'a>(record: &'a Record, how: Acquire, site: &'static Location<'static>) -> Held<'a> {
    thread::acquire(record, how, site);
    Held { record, owner: Owner::current() }
}

/// Puts a lock into the books that is yet to be got with [`get`]. Returns whether somebody wants to see how.
#[inline(always)]
#[track_caller]
pub(crate) fn book(record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    thread::acquire(record, how, site)
}

/// Gets the lock that is in the books; if it is `watched`, with a clock and whatever else there is.
///
/// What guards the entry is made afterwards: a wait does not unwind, and a guard that might have to be dropped in the
/// middle would be code at every place that acquires.
#[inline(always)]
pub(crate) fn get<'a, G>(
    record: &'a Record,
    watched: bool,
    attempt: impl FnOnce() -> Option<G>,
    wait: impl FnOnce() -> G,
) -> (Held<'a>, G) {
    let guard = if watched { observe::get(record, attempt, wait) } else { wait() };
    (Held { record, owner: Owner::current() }, guard)
}

#[inline]
#[track_caller]
pub(crate) fn acquire(record: &Record, how: Acquire, site: &'static Location<'static>) {
    thread::acquire(record, how, site);
}

#[inline]
#[track_caller]
pub(crate) fn release(record: &Record, site: &'static Location<'static>) {
    thread::release(record, site);
}

#[inline]
pub(crate) fn release_for(record: &Record, holder: api::Holder) {
    thread::release_for(record, holder);
}

pub(crate) fn set_mode(record: &Record, mode: Mode) {
    thread::set_mode(record, mode);
}

#[track_caller]
pub(crate) fn upgrade(record: &Record, site: &'static Location<'static>) {
    thread::upgrade(record, site);
}

/// Returns how this thread holds the lock, if it does; `None` if nobody knows.
pub(crate) fn held_mode(record: &Record) -> Option<Option<Mode>> {
    thread::held_mode(record)
}

/// Returns the name of the lock's class, if it has been acquired before.
pub(crate) fn class_label(record: &Record) -> Option<String> {
    runtime::unwatched(|| record.known_id().map(|id| classes::label(id.class())))
}

/// Returns how many locks this thread holds; `None` if nobody knows.
pub(crate) fn held_count() -> Option<usize> {
    thread::held_count()
}

#[track_caller]
pub(crate) fn sync(record: &Record, how: Acquire, site: &'static Location<'static>) {
    thread::sync(record, how, site);
}

/// Gets a lock that is held in the books, with a clock if somebody wants to know.
pub(crate) fn timed<G>(record: &Record, attempt: impl FnOnce() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    if observe::is_on() { observe::get(record, attempt, wait) } else { wait() }
}
