//! Emptying the entries of a VMA that ends, or of a part of it, whatever sort of memory it maps.
//!
//! Lock order: under the mmap lock, or a lock of the reverse map, as [`Gather`] and hugetlbfs have it:
//! `-> mmu_notifier_invalidate_range_start -> pte_lock, pmd_lock`, or `-> hugetlb vma_lock -> i_mmap_rwsem -> pte_lock`.

use std::{ops::Range, sync::Arc};

use super::{gather::Gather, huge_pmd, hugetlb};
use crate::{
    machine::Machine,
    mem::{Mm, Vma},
};

/// Empties a range of a VMA into `gather`.
pub(crate) fn unmap_single_vma(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>, gather: &mut Gather) {
    if vma.is_hugetlb() {
        hugetlb::unmap::zap_final(m, mm, vma, range, gather);
    } else {
        huge_pmd::split_edges(m, mm, vma, &range);
        gather.zap_all(m, mm, vma, range);
    }
}
