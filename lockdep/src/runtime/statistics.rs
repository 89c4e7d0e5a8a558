//! Lock statistics of real threads: how often and how long locks are waited for and held.
//!
//! Off by default. While they are on, each acquisition that may block tries first, and only what it then waits counts as a
//! wait; the time that a lock is held begins when it is got.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use lockdep_core::{Acquired, HeldLock, Point, stats::ClassStats};
use once_cell::sync::Lazy;
use rustc_hash::FxBuildHasher;

use super::{
    budget::{self, Dropped},
    classes, process,
    shared::Shared,
    thread::Thread,
    wanted,
};

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

/// Returns whether they are on.
pub(crate) fn is_on() -> bool {
    wanted::wants(wanted::STATISTICS)
}

/// Returns what is known of every class, the longest waits first.
pub(super) fn read(session: &Shared) -> Vec<ClassStats> {
    let site = |point: Point| session.points.origin(point).map(|origin| classes::site_of(origin.location));
    let sum = session.statistics.sum();
    sum.iter().map(|(class, readers, usage)| usage.named(classes::label(class), readers, site)).collect()
}

/// A lock has been pushed. If it may have to be waited for, [`got`] starts its clock anew.
pub(super) fn acquired(thread: &Thread, session: &Shared, how: Acquired) {
    let Some(lock) = thread.held.iter().next_back() else { return };
    if session.budget.dropped() == Dropped::Nothing {
        let mut table = session.statistics.of(thread.number.get()).lock();
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
    process::of(thread, |session| {
        if session.budget.dropped() == Dropped::Nothing {
            session.statistics.of(thread.number.get()).lock().released(lock.class(), lock.hold(), ns);
        }
    });
}

/// A lock is really held from now on; if it had to be waited for, how long, and where its holder had acquired it.
pub(super) fn got(thread: &Thread, session: &Shared, instance: u64, contended: Option<(Duration, Option<Point>)>) {
    let Some(lock) = thread.held.find(instance) else { return };
    let counting = session.budget.dropped() == Dropped::Nothing;
    if let Some((waited, holder)) = contended.filter(|_| counting) {
        let mut table = session.statistics.of(thread.number.get()).lock();
        table.contended(lock.class(), lock.hold(), nanoseconds(waited), lock.point(), holder);
    }
    HOLDERS.insert(instance, lock.point());
    with_clocks(|clocks| {
        if let Some(clock) = clocks.iter_mut().rfind(|(other, _)| *other == instance) {
            clock.1 = Instant::now();
        }
    });
}

/// Returns where the lock was acquired that somebody waits for.
pub(super) fn holder(instance: u64) -> Option<Point> {
    HOLDERS.get(&instance).map(|point| *point)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
