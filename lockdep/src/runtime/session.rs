//! [`Session`]: a validator with everything that belongs to it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use lockdep_core::{ClassListing, Fingerprint, Journal, Report, explain::dependency_record, stats::ClassStats};

use super::{
    enter, process,
    shared::{self, Shared, class_record},
    statistics,
    summary::Summary,
    thread::unwatched,
};
use crate::Policy;

/// A validator of its own, for the threads that enter it.
///
/// The process has one, to which every thread belongs at first. A session of your own starts from nothing, keeps its
/// findings to itself, and so lets tests run side by side. Clones are the same session.
///
/// ```
/// use lockdep::{Mutex, Policy, Session};
///
/// let (a, b) = (Mutex::new(0), Mutex::new(0));
/// let session = Session::new(Policy::Collect);
/// session.enter(|| {
///     drop((a.lock(), b.lock()));
///     drop((b.lock(), a.lock()));
/// });
/// assert_eq!(session.reports().len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Session(pub(super) Arc<Shared>);

static NEXT: AtomicU32 = AtomicU32::new(shared::PROCESS + 1);
impl Session {
    /// A session that has learnt nothing.
    pub fn new(policy: Policy) -> Self {
        unwatched(|| {
            process::session();
            Self(Shared::new(NEXT.fetch_add(1, Relaxed), policy))
        })
    }

    /// Returns the process's own session.
    pub fn process() -> Self {
        unwatched(|| Self(process::session().clone()))
    }

    /// Runs `f`; what this thread acquires in it goes to this session, as if it held nothing outside.
    ///
    /// Other threads must enter for themselves.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _back = enter::enter(self.0.clone());
        f()
    }

    /// Sets what a report does from now on.
    pub fn set_policy(&self, policy: Policy) {
        unwatched(|| self.0.learnt.lock().policy = policy);
    }

    /// Returns the findings so far, in order. Each is there once, however often it was made.
    pub fn reports(&self) -> Vec<Report> {
        unwatched(|| self.0.learnt.lock().reports.clone())
    }

    /// Returns the findings since the last call, in order.
    pub fn take_reports(&self) -> Vec<Report> {
        unwatched(|| std::mem::take(&mut self.0.learnt.lock().reports))
    }

    /// Returns how often a finding was made.
    pub fn times_seen(&self, fingerprint: Fingerprint) -> u64 {
        unwatched(|| self.0.learnt.lock().seen.get(&fingerprint).map_or(0, |(times, _)| *times))
    }

    /// Returns the lock statistics, the classes with the longest waits first. There are none unless
    /// [`set_statistics`](crate::set_statistics) or `LOCKDEP=stat` switched them on.
    pub fn statistics(&self) -> Vec<ClassStats> {
        unwatched(|| statistics::read(&self.0))
    }

    /// Forgets the lock statistics so far.
    pub fn clear_statistics(&self) {
        unwatched(|| self.0.budget.refund(self.0.statistics.clear()));
    }

    /// Returns what every class is known for, in the order in which they were met.
    ///
    /// # Complexity
    ///
    /// A search of all dependencies for every class.
    pub fn classes(&self) -> Vec<ClassListing> {
        unwatched(|| {
            let learnt = self.0.learnt.lock();
            lockdep_core::listing::list(&learnt.validator, learnt.classes.iter().copied(), &*self.0)
        })
    }

    /// Returns what came of the session so far.
    pub fn summary(&self) -> Summary {
        unwatched(|| Summary::of(&self.0))
    }

    /// Limits the memory of this session, in bytes, approximately. When it is reached, statistics are dropped and then
    /// stacks, never what is learnt and checked. The [summary](Self::summary) says what was dropped.
    pub fn set_memory_budget(&self, bytes: usize) {
        self.0.budget.set_limit(bytes);
        unwatched(|| self.0.charge(0));
    }

    /// Returns everything learnt so far, as a journal of `program`.
    pub fn journal(&self, program: &str) -> Journal {
        unwatched(|| self.journal_of(program))
    }

    fn journal_of(&self, program: &str) -> Journal {
        let learnt = self.0.learnt.lock();
        let mut journal = Journal::new(program);
        journal.classes = learnt.classes.iter().map(|&class| class_record(class)).collect();
        let dependencies = learnt.validator.dependencies().dependencies();
        journal.dependencies =
            dependencies.map(|(step, witness)| dependency_record(&step, witness, &*self.0)).collect();
        journal.reports = learnt.reports.clone();
        journal
    }
}
