//! Getting a lock that is held in the books already, for whoever wants to know how: whether it was free, how long it was
//! waited for, and who waits now.

use std::time::{Duration, Instant};

use lockdep_core::Point;

use super::{
    held_table,
    inside::inside,
    output::Verdict,
    record::Record,
    statistics,
    wanted::{HELD_TABLE, STATISTICS, wants},
};

/// Gets the lock of `record`, which is held in the books already, and tells whoever wants to know how.
#[cold]
#[inline(never)]
pub(crate) fn get<G>(record: &Record, attempt: impl FnOnce() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    let Some(id) = record.known_id().filter(|_| wants(STATISTICS | HELD_TABLE)) else { return wait() };
    let told_wait = || {
        if !wants(HELD_TABLE) {
            return wait();
        }
        held_table::waits(id.instance(), true);
        let guard = wait();
        held_table::waits(id.instance(), false);
        guard
    };
    if wants(STATISTICS) { timed(record, attempt, told_wait) } else { attempt().unwrap_or_else(told_wait) }
}

/// Acquires the lock of `record`, which is held in the books already: tries, and waits if that fails.
fn timed<G>(record: &Record, attempt: impl FnOnce() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    let Some(instance) = record.known_id().map(|id| id.instance()) else { return wait() };
    let holder = statistics::holder(instance);
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
    if statistics::is_on()
        && let Some(id) = record.known_id()
    {
        got(id.instance(), None);
    }
}

/// A lock is really held from now on.
fn got(instance: u64, contended: Option<(Duration, Option<Point>)>) {
    let _ = inside(|thread, session| {
        statistics::got(thread, session, instance, contended);
        Verdict::GoOn
    });
}
