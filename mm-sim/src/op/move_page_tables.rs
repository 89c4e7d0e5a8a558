//! `move_page_tables`: takes the entries of a range to another place, tables as a whole where it can.
//!
//! Lock order, under the mmap lock in write mode: `-> mmu_notifier_invalidate_range_start`, `-> fs_reclaim` for the tables of
//! the new place; then per 2 MiB `-> i_mmap_rwsem (write) -> anon_vma->rwsem (write) -> pmd_lock -> pmd_lock (nested)` to move a
//! table or a huge page, or `-> pte_lock -> pte_lock (nested)` to move single entries. A table needs the rmap locks, because
//! who walks it takes no pmd lock. Single entries need them (`-> i_mmap_rwsem (write) -> anon_vma->rwsem (write) -> pte_lock ->
//! pte_lock (nested)`) if walks of the reverse map visit the new VMA before the old one, for then a walk could be past the
//! one when the entry leaves the other. The TLBs are flushed while the locks are held: the moment they are dropped, somebody
//! else may unmap a page at its new place and free it.

use std::{ops::Range, sync::Arc};

use super::{gather::Gather, huge_pmd, hugetlb, mmu_notifier};
use crate::{
    Bug,
    machine::Machine,
    mem::{Absent, Entry, FolioKind, Level, Mm, OutOfMemory, PAGE_SIZE, PMD_SIZE, Slot, Vma, is_visited_before},
    sched,
    sync::WriteGuard,
};

/// Moves the entries of a range of one VMA to `new`, in another one. Both are write-locked. `need_rmap_locks`: the other one is
/// visited first.
#[inline(never)]
pub(crate) fn move_page_tables(
    m: &Machine,
    mm: &Mm,
    from: (&Arc<Vma>, Range<u64>),
    to: (&Arc<Vma>, u64),
    need_rmap_locks: bool,
) -> Result<(), OutOfMemory> {
    let _scope = sched::scope("move_page_tables");
    let (old, new) = (from.1, to.1);
    if from.0.is_hugetlb() {
        return hugetlb::move_tables::move_hugetlb_page_tables(m, mm, (from.0, old), new);
    }
    let _told = mmu_notifier::invalidate_range_start(m, mm, &old);
    let pages = old.start / PAGE_SIZE..old.end / PAGE_SIZE;
    let mut addr = old.start;
    while addr < old.end {
        let there = new + (addr - old.start);
        let next = addr + extent_of(addr).min(extent_of(there)).min(old.end - addr);
        if let Some(pmd) = mm.slot(m, addr, Level::Pmd).filter(|pmd| !pmd.load().is_none()) {
            move_pmd(m, mm, (from.0, &pmd, addr..next), (to.0, there), need_rmap_locks)?;
        }
        addr = next;
    }
    m.tlb.flush(mm.id, pages);
    Ok(())
}

/// Returns how far it is from an address to the end of its table.
const fn extent_of(addr: u64) -> u64 {
    PMD_SIZE - addr % PMD_SIZE
}

fn move_pmd(
    m: &Machine,
    mm: &Mm,
    (vma, pmd, old): (&Arc<Vma>, &Slot, Range<u64>),
    (new_vma, new): (&Arc<Vma>, u64),
    need_rmap_locks: bool,
) -> Result<(), OutOfMemory> {
    let early = m.protocol.has(Bug::TableAllocatedUnderRmapLocks).then(|| take_rmap_locks(vma));
    let new_pmd = mm.pmd_alloc(m, new)?;
    let whole = old.end - old.start == PMD_SIZE && new.is_multiple_of(PMD_SIZE);
    if !whole && vma.file.is_none() {
        huge_pmd::split_edges(m, mm, vma, &old);
    }
    if whole && new_pmd.load().is_none() {
        let forgets = m.protocol.has(Bug::TableMovedWithoutRmapLocks);
        let _rmap = (early.is_none() && !forgets).then(|| take_rmap_locks(vma));
        check_rmap_locks(vma);
        if move_whole_pmd(m, mm, pmd, &new_pmd, &old) {
            return Ok(());
        }
    }
    if pmd.load().is_page() && vma.file.is_none() {
        huge_pmd::split_huge_pmd(m, mm, vma, old.start);
    }
    if pmd.load().is_page() {
        // Part of a huge page: its pages fault in again one by one.
        let mut gather = Gather::default();
        gather.zap(m, mm, vma, old, &|folio| folio.is_huge());
        gather.finish(m);
        return Ok(());
    }
    mm.pte_alloc(m, &new_pmd)?;
    drop(early);
    let rmap = need_rmap_locks.then(|| take_rmap_locks(vma));
    check_not_missed(vma, new_vma);
    move_ptes(m, mm, (vma, pmd, old), (new_vma, &new_pmd, new));
    drop(rmap);
    Ok(())
}

#[inline(never)]
fn take_rmap_locks(vma: &Vma) -> (Option<WriteGuard>, Option<WriteGuard>) {
    let i_mmap = vma.file.as_ref().map(|file| file.mapping.i_mmap_rwsem.write());
    let anon_vma = vma.anon_vma.lock().clone();
    (i_mmap, anon_vma.map(|anon_vma| anon_vma.rwsem().write()))
}

/// Checks that no reverse-map walk is in the table that is about to move, where it would not see that.
fn check_rmap_locks(vma: &Vma) {
    sched::must_hold(has_rmap_locks(vma), || format!("a page table of vma {} moves without the rmap locks", vma.id));
}

/// Checks that no reverse-map walk has been past the new place of the entries that are about to leave the old one.
fn check_not_missed(vma: &Vma, new_vma: &Vma) {
    let is_in_order = !is_visited_before(new_vma, vma);
    sched::must_hold(is_in_order || has_rmap_locks(vma), || {
        format!("pages of vma {} move to vma {}, which walks visit first, without the rmap locks", vma.id, new_vma.id)
    });
}

fn has_rmap_locks(vma: &Vma) -> bool {
    let by_file = vma.file.as_ref().is_none_or(|file| file.mapping.i_mmap_rwsem.is_mine_to_write());
    let by_anon = vma.anon_vma.lock().as_ref().is_none_or(|anon_vma| anon_vma.rwsem().is_mine_to_write());
    by_file && by_anon
}

/// Moves a table or a huge page. Returns whether the old place is empty now.
#[inline(never)]
fn move_whole_pmd(m: &Machine, mm: &Mm, pmd: &Slot, new_pmd: &Slot, old: &Range<u64>) -> bool {
    let same = Arc::ptr_eq(&pmd.table, &new_pmd.table);
    let _old_ptl = pmd.table.lock.lock();
    let _new_ptl = (!same).then(|| new_pmd.table.lock.lock_nested(1));
    let mut entry = pmd.load();
    if entry.is_none() {
        // khugepaged has retracted the table since we looked.
        if !m.protocol.has(Bug::MovedPmdNotCheckedAgain) {
            return true;
        }
        // What an empty entry makes of the address of the table that it does not have.
        entry = Entry::table(0);
    }
    pmd.store(Entry::NONE);
    new_pmd.store(entry);
    if is_anon_huge(m, entry)
        && !same
        && let Some(table) = pmd.table.withdraw()
    {
        new_pmd.table.deposit(table);
    }
    sched::step();
    m.tlb.flush(mm.id, old.start / PAGE_SIZE..old.end / PAGE_SIZE);
    true
}

/// Returns whether an entry maps a huge page of anonymous memory, which has a table deposited beside it.
fn is_anon_huge(m: &Machine, entry: Entry) -> bool {
    let pfn = match entry.as_absent() {
        Some(Absent::Migration(pfn)) => Some(pfn),
        _ => entry.as_page(),
    };
    pfn.and_then(|pfn| m.memory.folio(pfn)).is_some_and(|folio| folio.kind == FolioKind::Anon)
}

#[inline(never)]
fn move_ptes(m: &Machine, mm: &Mm, from: (&Vma, &Slot, Range<u64>), to: (&Vma, &Slot, u64)) {
    let (old, new) = (from.2, to.2);
    let Some(src) = mm.pte_offset_map_lock(m, from.0, from.1, 0) else { return };
    let same = to.1.load() == from.1.load();
    let dst = if same { None } else { mm.pte_offset_map_lock(m, to.0, to.1, 1) };
    if dst.is_none() && !same {
        return;
    }
    for addr in old.clone().step_by(PAGE_SIZE as usize) {
        let slot = src.slot(addr);
        let entry = slot.load();
        if !entry.is_none() {
            slot.store(Entry::NONE);
            dst.as_ref().unwrap_or(&src).slot(new + (addr - old.start)).store(entry);
        }
    }
    if !m.protocol.has(Bug::FlushAfterPteLock) {
        m.tlb.flush(mm.id, old.start / PAGE_SIZE..old.end / PAGE_SIZE);
    }
}
