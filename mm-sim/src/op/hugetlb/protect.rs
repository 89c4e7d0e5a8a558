//! `mprotect` of hugetlbfs.
//!
//! Lock order: `mmap_lock (write), vma_lock (mark) -> hugetlb vma_lock (write) -> i_mmap_rwsem (write) -> pmd_lock`; the TLBs
//! are flushed before i_mmap is dropped.

use std::{ops::Range, sync::Arc};

use super::{
    share::{check_entry_locked, for_each_entry, widen},
    unmap::lock_tables,
};
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE, VmFlags, Vma},
    op::mmu_notifier,
    sched,
};

/// Takes from the entries of a range what the VMA does not allow. A shared table is given up: its other users keep what
/// they have.
#[inline(never)]
pub(crate) fn hugetlb_change_protection(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: &Range<u64>, allowed: VmFlags) {
    let _scope = sched::scope("hugetlb_change_protection");
    let range = widen(vma, range.clone());
    let _told = mmu_notifier::invalidate_range_start(m, mm, &range);
    let _locked = lock_tables(m, vma);
    for_each_entry(m, mm, vma, &range, &mut |slot, _, entry| {
        if entry.is_page() {
            check_entry_locked(slot);
            slot.update(|entry| entry.writable(entry.is_writable() && allowed.write).accessible(allowed.read));
        }
    });
    m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE);
}
