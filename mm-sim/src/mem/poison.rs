//! Frames that have failed: what the hardware knows of them, and what memory failure has done about it.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// Failed frames. A frame that has failed stays so; its number is never used again.
#[derive(Default)]
pub(crate) struct Poison {
    is_any: AtomicBool,
    failed: Mutex<BTreeSet<u64>>,
    handled: Mutex<BTreeSet<u64>>,
}

impl Poison {
    /// A frame fails. Nobody has noticed.
    pub(crate) fn fail(&self, pfn: u64) {
        self.failed.lock().insert(pfn);
        self.is_any.store(true, Relaxed);
    }

    /// Returns whether a frame has failed.
    pub(crate) fn has_failed(&self, pfn: u64) -> bool {
        self.is_any.load(Relaxed) && self.failed.lock().contains(&pfn)
    }

    /// Memory failure has taken frames away from everybody. The caller has `mf_mutex`.
    pub(crate) fn handle(&self, pfns: Range<u64>) {
        self.handled.lock().extend(pfns);
    }

    /// Returns whether memory failure has been there before. The caller has `mf_mutex`.
    pub(crate) fn is_handled(&self, pfn: u64) -> bool {
        self.handled.lock().contains(&pfn)
    }
}
