//! Taking huge pages apart: what one PMD entry maps is mapped page by page from then on.
//!
//! Lock order: under the mmap lock, the VMA lock or a lock of the reverse map `-> mmu_notifier_invalidate_range_start`,
//! `-> pmd_lock`. When a VMA is cut, the locks of the reverse maps are held around it, so nothing here may take them
//! ([`Bug::MunlockUnderImap`]), or allocate: for a huge page of anonymous memory a table has been deposited.

use std::{ops::Range, sync::Arc};

use super::{gather::Gather, mmu_notifier, vm_fault::VmFault};
use crate::{
    Bug,
    machine::Machine,
    mem::{ENTRIES, Entry, Folio, HUGE_PAGES, Level, Mm, PAGE_SIZE, PMD_SIZE, PageTable, Slot, Vma, rmap},
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
    if addr.is_multiple_of(PMD_SIZE) {
        return;
    }
    let Some(pmd) = mm.slot(m, addr, Level::Pmd) else { return };
    let entry = pmd.load();
    if entry.is_page() || vma.file.is_none() && entry.as_absent().is_some() {
        if vma.flags().locked && m.protocol.has(Bug::MunlockUnderImap) {
            entry.as_page().and_then(|pfn| m.memory.folio(pfn)).iter().for_each(|folio| munlock(m, folio));
        }
        split_huge_pmd(m, mm, vma, addr);
    }
}

/// What the first version did with the pages of a locked mapping: ask the reverse map whether somebody else has locked them.
#[inline(never)]
fn munlock(m: &Machine, folio: &Folio) {
    let _scope = sched::scope("try_to_munlock");
    m.lru.set_mlocked(folio, rmap::is_locked_elsewhere(folio));
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
    if vma.file.is_none() {
        return split_anon(m, mm, vma, start);
    }
    let mut gather = Gather::default();
    gather.zap(m, mm, vma, start..start + PMD_SIZE, &|folio| folio.is_huge());
    gather.finish(m);
}

/// Maps the pages of a huge page of anonymous memory by the table that was deposited.
#[inline(never)]
fn split_anon(m: &Machine, mm: &Mm, vma: &Vma, start: u64) {
    let Some(pmd) = mm.slot(m, start, Level::Pmd) else { return };
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(start..start + PMD_SIZE));
    mm.check_walk(vma);
    let _pmd_lock = pmd.table.lock.lock();
    let entry = pmd.load();
    let Some(table) = (entry.is_page() || entry.as_absent().is_some()).then(|| pmd.table.withdraw()).flatten() else {
        return;
    };
    fill(&table, entry);
    if let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) {
        folio.map_more(HUGE_PAGES - 1);
    }
    // In one go, because whoever looks without the lock must never see nothing there.
    let old = pmd.store(Entry::table(table.id));
    if old != entry {
        // The hardware has used it meanwhile.
        for index in 0..ENTRIES {
            table.update(index, |small| small.used_as(old));
        }
    }
    m.tlb.flush(mm.id, start / PAGE_SIZE..start / PAGE_SIZE + HUGE_PAGES);
    m.stats.huge_splits.add(1);
}

/// Fills a table that nobody can reach with the pages of a huge one, there or being moved.
fn fill(table: &Arc<PageTable>, entry: Entry) {
    for index in 0..ENTRIES {
        Slot { table: table.clone(), index }.store_unlocked(entry.plus(index as u64));
    }
}
