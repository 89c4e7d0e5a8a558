//! `mremap` of hugetlbfs: the entries of a mapping go to another place.
//!
//! Lock order: `mmap_lock (write), vma_lock (marks) -> hugetlb vma_lock (write) -> i_mmap_rwsem (write)`, which keeps truncation
//! away, `-> fs_reclaim` for the tables of the new place, `-> pmd_lock -> pmd_lock (nested)`.

use std::{ops::Range, sync::Arc};

use super::{
    share::{check_entry_locked, for_each_entry},
    unmap::{Locked, lock_tables},
};
use crate::{
    machine::Machine,
    mem::{Entry, Mm, OutOfMemory, PAGE_SIZE, PMD_SIZE, Vma},
    op::mmu_notifier,
    sched,
};

/// Moves the entries of a whole VMA to `new`, in another one. Both are write-locked. Pages of a table that others use too are
/// left out: they fault in again.
#[inline(never)]
pub(crate) fn move_hugetlb_page_tables(
    m: &Machine,
    mm: &Mm,
    (vma, old): (&Arc<Vma>, Range<u64>),
    new: u64,
) -> Result<(), OutOfMemory> {
    let _scope = sched::scope("move_hugetlb_page_tables");
    let _told = mmu_notifier::invalidate_range_start(m, mm, &old);
    let _locked: Locked = lock_tables(m, vma);
    // The tables come first: under a pmd lock nothing is allocated.
    for addr in (new..new + (old.end - old.start)).step_by(PMD_SIZE as usize) {
        mm.pmd_alloc(m, addr)?;
    }
    let mut moves = Vec::new();
    for_each_entry(m, mm, vma, &old, &mut |slot, addr, _| moves.push((slot.clone(), addr)));
    for (from, addr) in moves {
        let to = mm.pmd_alloc(m, new + (addr - old.start))?;
        let same = Arc::ptr_eq(&from.table, &to.table);
        let _old_ptl = from.table.lock.lock();
        let _new_ptl = (!same).then(|| to.table.lock.lock_nested(1));
        check_entry_locked(&from);
        check_entry_locked(&to);
        to.store(from.store(Entry::NONE));
    }
    m.tlb.flush(mm.id, old.start / PAGE_SIZE..old.end / PAGE_SIZE);
    Ok(())
}
