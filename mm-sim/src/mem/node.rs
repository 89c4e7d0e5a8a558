//! Memory nodes: every folio is on one, near to some of the processors and far from the others.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::sched;

/// Nodes of the machine.
pub(crate) const NODES: u8 = 2;

/// Processors that are next to each other on a node.
const PROCESSORS: u32 = 2;

/// Returns the node that is nearest to this processor. Every actor is a processor.
pub(crate) fn local() -> u8 {
    (sched::current().0 / PROCESSORS % u32::from(NODES)) as u8
}

/// How many pages of folios each node has.
#[derive(Default)]
pub(crate) struct Nodes([AtomicI64; NODES as usize]);

impl Nodes {
    /// Counts pages that a node has from now on, or no more.
    pub(super) fn add(&self, node: u8, pages: i64) {
        self.0[usize::from(node)].fetch_add(pages, Relaxed);
    }

    /// Returns what each node has.
    pub(crate) fn pages(&self) -> [i64; NODES as usize] {
        std::array::from_fn(|node| self.0[node].load(Relaxed))
    }
}
