//! Who wants to see every acquisition and every release: the trace and the statistics.
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
    session::Session,
    state, statistics,
    thread::{self, Thread},
    trace,
};

/// The trace is being written.
pub(super) const TRACE: u8 = 1;
/// Statistics are being kept.
pub(super) const STATISTICS: u8 = 2;

static WANTED: AtomicU8 = AtomicU8::new(0);

/// Returns whether anybody wants to see everything.
pub(super) fn is_on() -> bool {
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
}

/// An acquisition was refused.
pub(super) fn refused(thread: &Thread, attempt: &Attempt<'_>) {
    if wants(TRACE) {
        trace::refused(thread, attempt);
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
