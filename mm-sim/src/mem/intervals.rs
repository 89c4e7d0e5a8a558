//! An interval tree of VMAs, by the range of page offsets that each maps (the kernel's `i_mmap` and `rb_root`).

use std::{ops::Range, sync::Arc};

use iset::IntervalMap;

use super::Vma;

/// The VMAs that map ranges of one file or one family of anonymous memory.
#[derive(Default)]
pub(crate) struct Intervals(IntervalMap<u64, Arc<Vma>>);

impl Intervals {
    pub(crate) fn insert(&mut self, vma: &Arc<Vma>) {
        self.0.force_insert(vma.pgoffs(), vma.clone());
    }

    /// Removes a VMA. Returns whether it was there.
    pub(crate) fn remove(&mut self, vma: &Vma) -> bool {
        self.0.remove_where(vma.pgoffs(), |other| other.id == vma.id).is_some()
    }

    /// Returns the VMAs that overlap the range, by offset and then in a fixed order.
    pub(crate) fn overlapping(&self, pgoffs: Range<u64>) -> Vec<Arc<Vma>> {
        let mut found: Vec<_> = self.0.values(pgoffs).cloned().collect();
        found.sort_by_key(|vma| (vma.pgoffs().start, vma.id));
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
