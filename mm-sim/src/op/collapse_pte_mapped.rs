//! `collapse_pte_mapped_thp`: frees the table of a process that maps a huge folio of a file page by page, and maps the folio with
//! one entry (the last step of `MADV_COLLAPSE`).
//!
//! Lock order up to 6.5: `mmap_lock (write) -> folio_lock -> vma_lock (mark) -> i_mmap_rwsem (write)`, `-> pte_lock` to look at the
//! table, `-> anon_vma->rwsem (write) -> mmu_notifier_invalidate_range_start`, `-> pmd_lock` to take it out. The mark under the
//! folio lock is where the place of the VMA lock in the kernel's documented order comes from; a page fault that holds
//! the VMA lock and waits for a folio of a file would deadlock with it, but there was none yet.
//!
//! From 6.6 on: `mmap_lock (read) -> folio_lock`, `-> pte_lock` to look, `-> mmu_notifier_invalidate_range_start`,
//! `-> pte_lock` to empty the table, `-> pmd_lock -> pte_lock (nested)` to take it out; freed by RCU. In between the folio
//! lock keeps page faults from filling the table. It does not keep userfaultfd: for its private mappings the pmd lock is
//! taken first and held throughout.
//!
//! With only the mmap lock and the folio lock left, `-> pmd_lock` for the one entry (`set_huge_pmd`).

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{dirty, file_fault, filemap, mmu_notifier, pgtables, vm_fault::VmFault};
use crate::{
    Bug,
    machine::Machine,
    mem::{Entry, Folio, HUGE_PAGES, Inode, Level, Mm, PAGE_SIZE, PMD_SIZE, PageTable, Slot, Vma},
    protocol::Retract,
    sched,
    sync::SpinGuard,
};

/// Frees the table for the 2 MiB from `start` on, and has them mapped with one entry if `install_pmd`. Returns whether it did.
#[inline(never)]
pub(crate) fn collapse_pte_mapped_thp(m: &Machine, mm: &Arc<Mm>, start: u64, install_pmd: bool) -> bool {
    let _scope = sched::scope("collapse_pte_mapped_thp");
    if m.protocol.retract == Retract::PageTableLocks {
        let _mmap = mm.mmap_lock.read();
        return with_folio(m, mm, start, &|vma, _, folio| {
            let collapse = |pmd: &Slot| collapse_by_rcu(m, mm, vma, (pmd, folio), start);
            collapse_and_map(m, mm, (vma, folio), (start, install_pmd), &collapse)
        });
    }
    let _mmap = mm.mmap_write_lock();
    with_folio(m, mm, start, &|vma, file, folio| {
        let collapse = |pmd: &Slot| collapse_at_once(m, mm, vma, (file, folio), (pmd, start));
        collapse_and_map(m, mm, (vma, folio), (start, install_pmd), &collapse)
    })
}

/// Frees the table under a locked folio, and maps the folio. The table may be gone already.
fn collapse_and_map(
    m: &Machine,
    mm: &Arc<Mm>,
    (vma, folio): (&Arc<Vma>, &Arc<Folio>),
    (start, install_pmd): (u64, bool),
    collapse: &dyn Fn(&Slot) -> bool,
) -> bool {
    let Some(pmd) = mm.slot(m, start, Level::Pmd) else { return false };
    let entry = pmd.load();
    let is_out = if entry.as_table().is_some() { collapse(&pmd) } else { entry.is_none() && install_pmd };
    is_out && (!install_pmd || set_huge_pmd(m, mm, (vma, folio), pmd, start))
}

/// Maps a locked huge folio with one entry, if nobody has filled it meanwhile. The caller has the mmap lock.
#[inline(never)]
pub(super) fn set_huge_pmd(
    m: &Machine,
    mm: &Arc<Mm>,
    (vma, folio): (&Arc<Vma>, &Arc<Folio>),
    pmd: Slot,
    addr: u64,
) -> bool {
    let _scope = sched::scope("set_huge_pmd");
    let fault = VmFault::new(m, mm, vma, addr, pmd);
    let is_mapped = file_fault::do_set_pmd(&fault, folio, false);
    if is_mapped {
        m.stats.huge_pmds_set.add(1);
    }
    is_mapped
}

/// What is done to a VMA, its file, and the locked folio.
type Collapse<'a> = &'a dyn Fn(&Arc<Vma>, &Arc<Inode>, &Arc<Folio>) -> bool;

/// Finds the VMA and locks the huge folio that it maps there.
fn with_folio(m: &Machine, mm: &Arc<Mm>, start: u64, collapse: Collapse<'_>) -> bool {
    let whole = start..start + PMD_SIZE;
    let fits = |vma: &Arc<Vma>| vma.range().start <= whole.start && whole.end <= vma.range().end;
    let Some(vma) = mm.find(start).filter(|vma| start.is_multiple_of(PMD_SIZE) && fits(vma)) else { return false };
    let flags = vma.flags();
    let may_be_huge = !flags.uffd_wp && !flags.hugetlb && !flags.nohuge;
    let Some(file) = vma.file.clone().filter(|_| may_be_huge) else { return false };
    mm.check_walk(&vma);
    let Some(folio) = file.mapping.get(vma.pgoff_of(start)) else { return false };
    let done = {
        let _locked = folio.lock.lock();
        let is_whole = folio.is_huge() && folio.is_in(&file.mapping);
        is_whole && filemap::page_of(&folio, vma.pgoff_of(start)) == folio.pfn && collapse(&vma, &file, &folio)
    };
    m.put_folio(&folio, 1);
    done
}

/// Returns whether the entries of the table are empty or map just this folio. Takes its lock to look.
#[inline(never)]
fn is_usable(m: &Machine, mm: &Mm, vma: &Vma, (pmd, folio): (&Slot, &Folio), start: u64) -> bool {
    let Some(map) = mm.pte_offset_map_lock(m, vma, pmd, 0) else { return false };
    let entries = (0..HUGE_PAGES).map(|page| (page, map.slot(start + page * PAGE_SIZE).load()));
    entries.into_iter().all(|(page, entry)| entry.is_none() || entry.as_page() == Some(folio.pfn + page))
}

/// The same under the lock that the caller has.
fn maps_only(table: &PageTable, folio: &Folio) -> bool {
    table.used().all(|(index, entry)| entry.as_page() == Some(folio.pfn + index as u64))
}

/// Up to 6.5: with everybody kept out who could walk the table.
#[inline(never)]
fn collapse_at_once(
    m: &Machine,
    mm: &Mm,
    vma: &Arc<Vma>,
    (file, folio): (&Arc<Inode>, &Arc<Folio>),
    (pmd, start): (&Slot, u64),
) -> bool {
    vma.vma_start_write(mm);
    let _i_mmap = file.mapping.i_mmap_rwsem.write();
    if !is_usable(m, mm, vma, (pmd, folio), start) {
        return false;
    }
    // Walks that come from private copies elsewhere in the VMA go through the same tables.
    let anon_vma = vma.anon_vma.lock().clone();
    let _anon_vma = anon_vma.as_ref().map(|anon_vma| anon_vma.rwsem().write());
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(start..start + PMD_SIZE));
    let _pmd_lock = pmd.table.lock.lock();
    let Some(table) = pmd.load().as_table().and_then(|id| m.memory.table(id)) else { return false };
    pgtables::check_excluded(m, mm, vma);
    // Nobody else can change an entry.
    empty(m, mm, &table, folio, start, &Slot::store_unlocked);
    pgtables::free_pte_table(m, mm, vma, pmd);
    m.stats.tables_retracted.add(1);
    true
}

/// From 6.6 on: under the locks of the table only.
#[inline(never)]
fn collapse_by_rcu(m: &Machine, mm: &Mm, vma: &Vma, (pmd, folio): (&Slot, &Arc<Folio>), start: u64) -> bool {
    if !is_usable(m, mm, vma, (pmd, folio), start) {
        return false;
    }
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(start..start + PMD_SIZE));
    let may_be_filled = vma.uffd().is_some() && !vma.flags().shared;
    let early = (may_be_filled && !m.protocol.has(Bug::PmdLockAfterPteLock)).then(|| pmd.table.lock.lock());
    let rcu = m.rcu.read();
    let Some(table) = pmd.load().as_table().and_then(|id| m.memory.table(id)) else { return false };
    let ptl = table.lock.lock_nested(u8::from(early.is_some()));
    if !maps_only(&table, folio) {
        return false;
    }
    empty(m, mm, &table, folio, start, &Slot::store);
    match early {
        Some(pmd_lock) => take_out(m, mm, pmd, &table, (pmd_lock, ptl)),
        None => {
            drop(ptl);
            let pmd_lock = pmd.table.lock.lock();
            let ptl = table.lock.lock_nested(1);
            if pmd.load() != Entry::table(table.id) {
                return false;
            }
            take_out(m, mm, pmd, &table, (pmd_lock, ptl));
        }
    }
    drop(rcu);
    true
}

/// Empties the table, under its lock or with everybody kept out.
fn empty(
    m: &Machine,
    mm: &Mm,
    table: &Arc<PageTable>,
    folio: &Arc<Folio>,
    start: u64,
    store: &dyn Fn(&Slot, Entry) -> Entry,
) {
    let holds = mm.mmap_lock.is_mine();
    sched::must_hold(holds, || format!("table {} is emptied without the mmap lock", table.id));
    let used: Vec<_> = table.used().map(|(index, _)| index).collect();
    folio.check_locked("taken out of a table");
    for &index in &used {
        if store(&Slot { table: table.clone(), index }, Entry::NONE).is_dirty() {
            dirty::folio_mark_dirty(m, folio);
        }
        folio.unmap();
    }
    mm.rss.fetch_sub(used.len() as i64, Relaxed);
    m.tlb.flush(mm.id, start / PAGE_SIZE..start / PAGE_SIZE + HUGE_PAGES);
    m.put_folio(folio, used.len() as u64);
}

/// Takes the empty table out, under both locks.
fn take_out(m: &Machine, mm: &Mm, pmd: &Slot, table: &Arc<PageTable>, locks: (SpinGuard, SpinGuard)) {
    // Whoever has the pte lock knows that the table is in place.
    sched::must_hold(table.lock.is_mine(), || format!("table {} is taken out without its lock", table.id));
    pmd.store(Entry::NONE);
    m.tlb.await_accesses();
    mm.tables.fetch_sub(1, Relaxed);
    m.free_table_rcu(table.clone());
    m.stats.tables_retracted.add(1);
    drop(locks.1);
    drop(locks.0);
}
