//! `mprotect`: what a range of addresses allows from now on.
//!
//! Lock order: `mmap_lock (write)`, per VMA `vma_modify` and `-> vma_lock (mark)`, then `-> pmd_lock` or `-> pte_lock` for
//! the entries. A right that is lost is lost in the entries and in the TLBs before the mmap lock is dropped; one that is
//! won is given by the next page fault.

use std::{ops::Range, sync::Arc};

use super::{hugetlb, mmu_notifier, vma::modify};
use crate::{
    machine::Machine,
    mem::{Absent, Mm, PAGE_SIZE, VmFlags, Vma},
    model::Access,
    sched,
};

/// Sets what a range allows. Returns whether all of it was mapped; what comes behind a hole is left alone.
#[inline(never)]
pub(crate) fn mprotect(m: &Machine, mm: &Arc<Mm>, range: Range<u64>, access: Access) -> bool {
    let _scope = sched::scope("mprotect");
    let _mmap = mm.mmap_write_lock();
    if ![range.start, range.end].into_iter().all(|border| hugetlb::mmap::may_split(mm, border)) {
        return false;
    }
    let mut addr = range.start;
    while addr < range.end {
        let Some(vma) = mm.find(addr) else { return false };
        let part = addr..vma.range().end.min(range.end);
        mprotect_fixup(m, mm, &vma, &part, access);
        addr = part.end;
    }
    true
}

#[inline(never)]
fn mprotect_fixup(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, part: &Range<u64>, access: Access) {
    let old = vma.flags();
    let new = VmFlags { read: access.read, write: access.write, ..old };
    if new == old {
        return;
    }
    let pages = part.start / PAGE_SIZE..part.end / PAGE_SIZE;
    m.model.begin_protect(mm.id, pages.clone(), access);
    let vma = modify::vma_modify_flags(m, mm, vma, part, new);
    change_protection(m, mm, &vma, part, new);
    m.model.end_protect(mm.id, pages);
}

/// Takes from the entries of a range what the VMA does not allow, and flushes.
#[inline(never)]
fn change_protection(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: &Range<u64>, allowed: VmFlags) {
    if vma.is_hugetlb() {
        return hugetlb::protect::hugetlb_change_protection(m, mm, vma, range, allowed);
    }
    let _told = mmu_notifier::invalidate_range_start(m, mm, range);
    mm.walk(m, vma, range.clone(), &mut |slot, _, entry| {
        if entry.is_page() {
            slot.update(|entry| entry.writable(entry.is_writable() && allowed.write).accessible(allowed.read));
        } else if let Some(Absent::Migration(_)) = entry.as_absent() {
            slot.update(|entry| entry.writable(entry.is_writable() && allowed.write));
        }
    });
    m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE);
}
