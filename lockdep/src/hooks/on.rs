//! Checking is compiled in: a record names a class and a lock, a hook asks the runtime.

use std::panic::Location;

pub(crate) use super::owner::Owner;
use super::runtime::{self, classes, hot, queries, thread, waits, wanted};
pub(crate) use super::runtime::{
    context_id::ContextCell,
    contexts::context_state,
    fork::{Alive, Child, End, fork, joined},
    guards::{Bar, Disabled, Inside, bar, disable, enter, enter_poll, is_barred, watch},
    lock_id::ClassCell,
    pins::{Pin, pin},
    placed::{acquire_ranked, acquire_under},
    record::Record,
    rules::ClassRules,
};
use crate::{Acquire, Mode};

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
            super::hot::introduce();
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
        super::queries::held_here()
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
        super::super::runtime::summary_on_drop()
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

/// What a guard carries: the way back to the record.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    record: &'a Record,
    owner: Owner,
}

impl Held<'_> {
    pub(crate) fn set_mode(&self, mode: Mode) {
        hot::set_mode(self.record, mode);
    }

    #[track_caller]
    pub(crate) fn upgrade(&self, site: &'static Location<'static>) {
        hot::upgrade(self.record, site);
    }

    /// A condition variable lets go of the lock and acquires it again.
    #[track_caller]
    pub(crate) fn wait(&self, site: &'static Location<'static>) {
        hot::reacquire(self.record, site);
    }

    /// The condition variable has given the lock back.
    pub(crate) fn waited(&self) {
        waits::waited(self.record);
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        hot::release_guard(self.record, self.owner.is_current(), || self.owner.holder().number());
    }
}

#[inline(always)]
#[track_caller]
pub(crate) fn hold<'a>(record: &'a Record, how: Acquire, site: &'static Location<'static>) -> Held<'a> {
    hot::acquire(record, how, site);
    Held { record, owner: Owner::current() }
}

/// Puts a lock into the books that is yet to be got with [`get`]. Returns whether somebody wants to see how.
#[inline(always)]
#[track_caller]
pub(crate) fn book(record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    hot::acquire(record, how, site)
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
    let guard = if watched { waits::get(record, attempt, wait) } else { wait() };
    (Held { record, owner: Owner::current() }, guard)
}

#[inline]
#[track_caller]
pub(crate) fn acquire(record: &Record, how: Acquire, site: &'static Location<'static>) {
    hot::acquire(record, how, site);
}

#[inline]
#[track_caller]
pub(crate) fn release(record: &Record, site: &'static Location<'static>) {
    hot::release(record, site);
}

#[inline]
pub(crate) fn release_for(record: &Record, holder: api::Holder) {
    hot::release_for(record, holder.number());
}

pub(crate) fn set_mode(record: &Record, mode: Mode) {
    hot::set_mode(record, mode);
}

#[track_caller]
pub(crate) fn upgrade(record: &Record, site: &'static Location<'static>) {
    hot::upgrade(record, site);
}

/// Returns how this thread holds the lock, if it does; `None` if nobody knows.
pub(crate) fn held_mode(record: &Record) -> Option<Option<Mode>> {
    queries::held_mode(record)
}

/// Returns the name of the lock's class, if it has been acquired before.
pub(crate) fn class_label(record: &Record) -> Option<String> {
    runtime::unwatched(|| record.known_id().map(|id| classes::label(id.class())))
}

/// Returns how many locks this thread holds; `None` if nobody knows.
pub(crate) fn held_count() -> Option<usize> {
    queries::held_count()
}

#[track_caller]
pub(crate) fn sync(record: &Record, how: Acquire, site: &'static Location<'static>) {
    hot::sync(record, how, site);
}

/// Gets a lock that is held in the books, with a clock if somebody wants to know.
pub(crate) fn timed<G>(record: &Record, attempt: impl FnOnce() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    if wanted::is_on() { waits::get(record, attempt, wait) } else { wait() }
}
