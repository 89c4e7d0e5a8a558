//! [`Budget`]: how much memory a session may take, and what it gives up first.
//!
//! What is counted are the tables that grow with a run, at what an entry takes on the average. When the limit is reached,
//! statistics go first and then stacks; dependencies and points are never given up, so that checking goes on.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::sync::{AtomicU8, AtomicUsize};

/// An acquisition point, in bytes.
pub(super) const POINT: usize = 64;
/// A dependency with its first witness.
pub(super) const DEPENDENCY: usize = 320;
/// What goes with a stack besides its addresses.
pub(super) const STACK: usize = 96;

/// The statistics of a class in one way of holding it.
pub(super) const STATISTICS: usize = 512;

/// A limit and what is used of it.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// 0 is no limit.
    limit: AtomicUsize,
    used: AtomicUsize,
    stage: AtomicU8,
}

/// The stages: between these two, what was to be given up is being given up, and nothing else is.
const STATISTICS_GO: u8 = 1;
const STATISTICS_GONE: u8 = 2;
const STACKS_GO: u8 = 3;

/// What has been given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dropped {
    Nothing,
    Statistics,
    Stacks,
}

impl Budget {
    pub(super) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Counts memory. Returns what must be given up now, by the caller and nobody else.
    pub(super) fn charge(&self, bytes: usize) -> Dropped {
        let used = self.used.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let (limit, stage) = (self.limit(), self.stage.load(Acquire));
        // Seen after the stage: what was given up before is no longer counted.
        let used = used.min(self.used());
        if limit == 0 || used <= limit {
            return Dropped::Nothing;
        }
        let (next, dropped) = match stage {
            0 => (STATISTICS_GO, Dropped::Statistics),
            STATISTICS_GONE => (STACKS_GO, Dropped::Stacks),
            // It is on its way, or there is nothing else.
            _ => return Dropped::Nothing,
        };
        match self.stage.compare_exchange(stage, next, Acquire, Relaxed) {
            Ok(_) => dropped,
            Err(_) => Dropped::Nothing,
        }
    }

    /// What [`charge`](Self::charge) said has been given up, and took so many bytes.
    pub(super) fn gave_up(&self, bytes: usize) {
        self.refund(bytes);
        let _ = self.stage.compare_exchange(STATISTICS_GO, STATISTICS_GONE, Release, Relaxed);
    }

    /// Counts memory that is in use no longer.
    pub(super) fn refund(&self, bytes: usize) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// Returns the last thing that was given up.
    pub(super) fn dropped(&self) -> Dropped {
        match self.stage.load(Relaxed) {
            0 => Dropped::Nothing,
            STATISTICS_GO | STATISTICS_GONE => Dropped::Statistics,
            _ => Dropped::Stacks,
        }
    }
}
