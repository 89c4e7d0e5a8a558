//! Lock statistics of real threads: how often and how long locks are waited for and held.
//!
//! Off by default. While they are on, each acquisition that may block tries first, and only what it then waits counts as a
//! wait; the time that a lock is held begins when it is got. Counters are kept in a few tables, so that threads seldom
//! meet, and are added up when somebody reads them.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use lockdep_core::{Acquired, HeldLock, LockStats, Point, stats::ClassStats};
use once_cell::sync::Lazy;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::{
    budget::{self, Dropped},
    classes, cold, observe,
    output::Verdict,
    session::Shared,
    thread::Thread,
};
use crate::hooks::Record;

const SHARDS: usize = 16;

/// The tables of a session.
#[derive(Debug, Default)]
pub(super) struct Tables([Mutex<LockStats>; SHARDS]);

/// Where the lock was acquired that somebody may wait for, by lock.
static HOLDERS: Lazy<DashMap<u64, Point, FxBuildHasher>> = Lazy::new(Default::default);

thread_local! {
    /// Since when this thread has held what it holds.
    static CLOCKS: RefCell<Vec<(u64, Instant)>> = const { RefCell::new(Vec::new()) };
}

fn with_clocks<R>(f: impl FnOnce(&mut Vec<(u64, Instant)>) -> R) -> Option<R> {
    // There are none any more where a thread-local is being destroyed.
    CLOCKS.try_with(|clocks| clocks.try_borrow_mut().ok().map(|mut clocks| f(&mut clocks))).ok().flatten()
}

impl Tables {
    fn of(&self, thread: &Thread) -> &Mutex<LockStats> {
        &self.0[thread.number.get() as usize % SHARDS]
    }

    /// Returns everything counted.
    pub(super) fn sum(&self) -> LockStats {
        let mut sum = LockStats::new();
        self.0.iter().for_each(|table| sum.merge(&table.lock()));
        sum
    }

    /// Forgets everything. Returns how many bytes that were.
    pub(super) fn clear(&self) -> usize {
        let clear = |table: &Mutex<LockStats>| {
            let mut table = table.lock();
            let classes = table.len();
            table.clear();
            classes * budget::STATISTICS
        };
        self.0.iter().map(clear).sum()
    }
}

/// Returns whether they are on.
pub(crate) fn is_on() -> bool {
    observe::wants(observe::STATISTICS)
}

/// Returns what is known of every class, the longest waits first.
pub(super) fn read(session: &Shared) -> Vec<ClassStats> {
    let site = |point: Point| session.points.origin(point).map(|origin| classes::site_of(origin.location));
    let sum = session.statistics.sum();
    sum.iter().map(|(class, readers, usage)| usage.named(classes::label(class), readers, site)).collect()
}

/// A lock has been pushed. If it may have to be waited for, [`timed`] starts its clock anew.
pub(super) fn acquired(thread: &Thread, session: &Shared, how: Acquired) {
    let Some(lock) = thread.held.iter().next_back() else { return };
    if session.budget.dropped() == Dropped::Nothing {
        let mut table = session.statistics.of(thread).lock();
        let before = table.len();
        table.acquired(how.class(), how.mode().hold());
        let new = table.len() - before;
        drop(table);
        session.charge(new * budget::STATISTICS);
    }
    with_clocks(|clocks| clocks.push((lock.instance(), Instant::now())));
    if how.is_trylock() {
        HOLDERS.insert(lock.instance(), lock.point());
    }
}

/// A lock is about to be released.
pub(super) fn released(thread: &Thread, lock: HeldLock) {
    HOLDERS.remove(&lock.instance());
    let since = with_clocks(|clocks| {
        let index = clocks.iter().rposition(|(instance, _)| *instance == lock.instance())?;
        Some(clocks.swap_remove(index).1)
    });
    let Some(since) = since.flatten() else { return };
    let ns = nanoseconds(since.elapsed());
    super::Session::of(thread, |session| {
        if session.0.budget.dropped() == Dropped::Nothing {
            session.0.statistics.of(thread).lock().released(lock.class(), lock.hold(), ns);
        }
    });
}

/// Acquires the lock of `record`, which is held in the books already: tries, and waits if that fails.
pub(super) fn timed<G>(record: &Record, attempt: impl FnOnce() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    let Some(instance) = record.known_id().map(|id| id.instance()) else { return wait() };
    let holder = HOLDERS.get(&instance).map(|point| *point);
    let (guard, waited) = match attempt() {
        Some(guard) => (guard, None),
        None => {
            let begun = Instant::now();
            let guard = wait();
            (guard, Some(begun.elapsed()))
        }
    };
    got(instance, waited.map(|waited| (waited, holder)));
    guard
}

/// A condition variable has given the lock back.
pub(crate) fn waited(record: &Record) {
    if is_on()
        && let Some(id) = record.known_id()
    {
        got(id.instance(), None);
    }
}

/// A lock is really held from now on.
fn got(instance: u64, contended: Option<(Duration, Option<Point>)>) {
    let _ = cold::inside(|thread, session| {
        let Some(lock) = thread.held.find(instance) else { return Verdict::GoOn };
        let counting = session.0.budget.dropped() == Dropped::Nothing;
        if let Some((waited, holder)) = contended.filter(|_| counting) {
            let mut table = session.0.statistics.of(thread).lock();
            table.contended(lock.class(), lock.hold(), nanoseconds(waited), lock.point(), holder);
        }
        HOLDERS.insert(instance, lock.point());
        with_clocks(|clocks| {
            if let Some(clock) = clocks.iter_mut().rfind(|(other, _)| *other == instance) {
                clock.1 = Instant::now();
            }
        });
        Verdict::GoOn
    });
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
