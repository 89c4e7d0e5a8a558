//! Taking huge pages apart: what one PMD entry maps is mapped page by page from then on.
//!
//! Lock order: under the mmap lock or the VMA lock `-> pmd_lock`. When a VMA is cut, the locks of the reverse maps are held
//! around it, so nothing here may take them, or allocate.

use std::ops::Range;

use super::fault::VmFault;
use crate::{
    machine::Machine,
    mem::{Gather, Level, Mm, PMD_SIZE, Vma},
    sched,
};

/// Takes the huge page of a fault out; its pages fault in again one by one.
#[inline(never)]
pub(crate) fn split_for_fault(fault: &VmFault<'_>) {
    split_huge_pmd(fault.m, fault.mm, &fault.vma, fault.addr);
    // From now on the range has a PTE table, and stays out of huge pages.
    let _ = fault.mm.pte_alloc(fault.m, &fault.pmd);
}

/// Takes apart the huge page that a cut at `addr` would go through (`vma_adjust_trans_huge`).
#[inline(never)]
pub(crate) fn vma_adjust_trans_huge(m: &Machine, mm: &Mm, vma: &Vma, addr: u64) {
    let is_huge = || mm.slot(m, addr, Level::Pmd).is_some_and(|pmd| pmd.load().is_page());
    if !vma.is_hugetlb() && !addr.is_multiple_of(PMD_SIZE) && is_huge() {
        split_huge_pmd(m, mm, vma, addr);
    }
}

/// Takes apart the huge pages of anonymous memory that a range has only part of.
pub(crate) fn split_edges(m: &Machine, mm: &Mm, vma: &Vma, range: &Range<u64>) {
    if vma.file.is_none() {
        [range.start, range.end].into_iter().for_each(|addr| vma_adjust_trans_huge(m, mm, vma, addr));
    }
}

/// Takes apart the huge page that maps `addr`. One of a file is only unmapped.
#[inline(never)]
pub(crate) fn split_huge_pmd(m: &Machine, mm: &Mm, vma: &Vma, addr: u64) {
    let _scope = sched::scope("split_huge_pmd");
    let start = addr / PMD_SIZE * PMD_SIZE;
    let mut gather = Gather::default();
    gather.zap(m, mm, vma, start..start + PMD_SIZE, &|folio| folio.is_huge());
    gather.finish(m);
}
