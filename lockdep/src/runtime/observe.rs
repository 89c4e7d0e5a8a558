//! Tells whoever wants to see everything: the trace, the statistics, the table of what is held.

use std::panic::Location;

use lockdep_core::{HeldLock, Mode};

use super::{
    attempt::Attempt,
    held_table,
    shared::Shared,
    statistics,
    thread::{self, Thread},
    trace,
    wanted::{HELD_TABLE, STATISTICS, TRACE, wants},
};

/// A lock has been pushed; `attempt` may wait for it yet.
pub(super) fn acquired(thread: &Thread, session: &Shared, attempt: &Attempt<'_>) {
    if wants(TRACE) {
        trace::acquired(thread, attempt);
    }
    if wants(STATISTICS) {
        statistics::acquired(thread, session, attempt.acquired);
    }
    if wants(HELD_TABLE) {
        held_table::acquired(thread, session);
    }
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
