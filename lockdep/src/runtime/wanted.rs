//! Whether anybody wants to see every acquisition and every release.
//!
//! While anybody does, no thread is ever up to date and no stack ever thawed, so that all goes through `cold`, which tells
//! it to `observe`. The fast path itself knows nothing of it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use super::state;

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

/// Whether the summary is printed when the main thread ends.
pub(super) static SUMMARY: AtomicBool = AtomicBool::new(false);
