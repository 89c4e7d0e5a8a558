//! A memory policy: from which node the pages of a VMA come.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{finding::Invariant, sched};

/// The policy of one VMA. A page fault uses it without a reference, for as long as it keeps the VMA in place.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) node: u8,
    freed: AtomicBool,
}

impl Policy {
    pub(crate) const fn new(node: u8) -> Self {
        Self { node, freed: AtomicBool::new(false) }
    }

    /// It belongs to no VMA any more.
    pub(crate) fn free(&self) {
        self.freed.store(true, Relaxed);
    }

    /// Checks that it is not used after it has been freed.
    pub(crate) fn check_alive(&self) {
        if self.freed.load(Relaxed) {
            let text = format!("a policy for node {} is used after it was freed", self.node);
            sched::finding(Invariant::PolicyUsedAfterFree, text);
        }
    }
}
