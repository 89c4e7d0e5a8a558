//! An interval tree of VMAs, by the range of page offsets that each maps (the kernel's `i_mmap` and `rb_root`).

use std::{ops::Range, sync::Arc};

use iset::IntervalMap;

use super::Vma;
use crate::{sched, sync::RwSem};

/// The VMAs that map ranges of one file or one family of anonymous memory.
pub(crate) struct Intervals {
    vmas: IntervalMap<u64, Arc<Vma>>,
    /// Who reads or changes the tree holds this.
    lock: RwSem,
}

impl Intervals {
    /// A tree without VMAs, under a lock.
    pub(crate) fn under(lock: &RwSem) -> Self {
        Self { vmas: IntervalMap::default(), lock: lock.again() }
    }

    pub(crate) fn insert(&mut self, vma: &Arc<Vma>) {
        self.check(self.lock.is_mine_to_write(), "enters", vma);
        self.vmas.force_insert(vma.pgoffs(), vma.clone());
    }

    /// Removes a VMA. Returns whether it was there.
    pub(crate) fn remove(&mut self, vma: &Vma) -> bool {
        self.check(self.lock.is_mine_to_write(), "leaves", vma);
        self.vmas.remove_where(vma.pgoffs(), |other| other.id == vma.id).is_some()
    }

    fn check(&self, holds: bool, what: &str, vma: &Vma) {
        let lock = &self.lock;
        sched::must_hold(holds, || format!("vma {} {what} a reverse map without {}", vma.id, lock.label()));
    }

    /// Returns the VMAs that overlap the range, by offset and then in a fixed order.
    pub(crate) fn overlapping(&self, pgoffs: Range<u64>) -> Vec<Arc<Vma>> {
        sched::must_hold(self.lock.is_mine(), || format!("a reverse map is read without {}", self.lock.label()));
        self.peek(pgoffs)
    }

    /// The same without the lock: for the invariants.
    pub(crate) fn peek(&self, pgoffs: Range<u64>) -> Vec<Arc<Vma>> {
        let mut found: Vec<_> = self.vmas.values(pgoffs).cloned().collect();
        found.sort_by_key(|vma| order_of(vma));
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.vmas.is_empty()
    }
}

/// Returns whether walks visit a VMA before another one that maps the same pages.
pub(crate) fn is_visited_before(vma: &Vma, other: &Vma) -> bool {
    order_of(vma) < order_of(other)
}

/// By offset, and the older one first.
fn order_of(vma: &Vma) -> (u64, u64) {
    (vma.pgoffs().start, vma.id)
}
