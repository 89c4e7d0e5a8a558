//! Who wants to see every acquisition and every release: the trace, the statistics, the table of what is held.
//!
//! While anybody does, no thread is ever up to date and no stack ever thawed, so that all goes through `cold`, which tells
//! it here. The fast path itself knows nothing of it.

use std::{
    panic::Location,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use lockdep_core::{HeldLock, Mode};

use super::{
    cold::Attempt,
    held_table,
    session::Session,
    state, statistics,
    thread::{self, Thread},
    trace,
};
use crate::hooks::Record;

/// The trace is being written.
pub(super) const TRACE: u8 = 1;
/// Statistics are being kept.
pub(super) const STATISTICS: u8 = 2;
/// The table of what all threads hold is being kept.
pub(super) const HELD_TABLE: u8 = 4;

static WANTED: AtomicU8 = AtomicU8::new(0);

/// Returns whether anybody wants to see everything.
pub(crate) fn is_on() -> bool {
    WANTED.load(Relaxed) != 0
}

pub(super) fn wants(what: u8) -> bool {
    WANTED.load(Relaxed) & what != 0
}

/// Begins or ends showing everything to somebody.
pub(super) fn set(what: u8, on: bool) {
    let before = if on { WANTED.fetch_or(what, Relaxed) } else { WANTED.fetch_and(!what, Relaxed) };
    if (before & what != 0) != on {
        state::ATTENTION.advance();
    }
}

/// A lock has been pushed; `attempt` may wait for it yet.
pub(super) fn acquired(thread: &Thread, session: &Session, attempt: &Attempt<'_>) {
    if wants(TRACE) {
        trace::acquired(thread, attempt);
    }
    if wants(STATISTICS) {
        statistics::acquired(thread, &session.0, attempt.acquired);
    }
    if wants(HELD_TABLE) {
        held_table::acquired(thread, &session.0);
    }
}

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
    if wants(STATISTICS) { statistics::timed(record, attempt, told_wait) } else { attempt().unwrap_or_else(told_wait) }
}

/// An acquisition was refused.
pub(super) fn refused(thread: &Thread, attempt: &Attempt<'_>) {
    if wants(TRACE) {
        trace::refused(thread, attempt);
    }
}

/// A lock is waited for, and not held afterwards.
pub(super) fn synced(thread: &Thread, attempt: &Attempt<'_>) {
    if wants(TRACE) {
        trace::synced(thread, attempt);
    }
}

/// An upgrade was made.
pub(super) fn upgraded(thread: &Thread, attempt: &Attempt<'_>) {
    if wants(TRACE) {
        trace::upgraded(thread, attempt);
    }
}

/// A lock is about to be released by its own thread.
pub(super) fn releasing(thread: &Thread, lock: HeldLock) {
    if wants(TRACE) {
        trace::released(thread, lock);
    }
    if wants(STATISTICS) {
        statistics::released(thread, lock);
    }
    if wants(HELD_TABLE) {
        held_table::releasing(thread, lock);
    }
}

/// A held lock is held in another mode from now on.
pub(super) fn changed_mode(instance: u64, mode: Mode) {
    if wants(TRACE) {
        thread::with(|thread| trace::changed_mode(thread, instance, mode));
    }
}

/// A lock was released that was not held.
pub(super) fn released_unheld(thread: &Thread, class: lockdep_core::ClassId, instance: u64, site: &Location<'_>) {
    if wants(TRACE) {
        trace::released_unheld(thread, class, instance, site);
    }
}
