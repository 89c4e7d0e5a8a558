//! `retract_page_tables`: frees the page tables above a collapsed range, so that it can be mapped by one entry.
//!
//! The function that the mail of January 2023 is about. Lock order, under the lock of the huge folio:
//! * 6.1: `i_mmap_rwsem (write) -> mmap_lock (trylock) -> pmd_lock`;
//! * January 2023: `i_mmap_rwsem (write) -> mmap_lock (trylock) -> vma_lock (waits) -> pmd_lock`;
//! * 6.4: the same, but the VMA lock is only tried;
//! * 6.6: `i_mmap_rwsem (read) -> pmd_lock -> pte_lock (nested)`, and the table is freed by RCU.
//!
//! Before 6.6 whoever has asked for the huge page gets it mapped in the same place, `-> pmd_lock` once more; from then on
//! `collapse_pte_mapped` does it afterwards.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{collapse_pte_mapped::set_huge_pmd, mmu_notifier, pgtables};
use crate::{
    Bug,
    machine::Machine,
    mem::{AddressSpace, Entry, Folio, HUGE_PAGES, Level, Mm, PMD_SIZE, Slot, Vma},
    protocol::{Exclusion, Retract},
    sched,
};

/// Where a process wants to have the huge folio mapped (`MADV_COLLAPSE`).
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) mm: u64,
    pub(crate) addr: u64,
}

/// Frees the tables that mapped the 512 pages of a file from `start` on, where the locks are to be had. Returns whether the huge
/// folio is mapped where it was wanted.
#[inline(never)]
pub(crate) fn retract_page_tables(
    m: &Machine,
    mapping: &AddressSpace,
    (start, huge): (u64, &Arc<Folio>),
    target: Option<Target>,
) -> bool {
    let _scope = sched::scope("retract_page_tables");
    if m.protocol.retract == Retract::PageTableLocks {
        let _i_mmap = mapping.i_mmap_rwsem.read();
        candidates(m, mapping, start).iter().for_each(|(vma, mm, addr)| retract_by_rcu(m, mm, vma, *addr));
        false
    } else {
        let i_mmap = mapping.i_mmap_rwsem.write();
        let candidates = candidates(m, mapping, start);
        let _i_mmap = (m.protocol.forgets != Some(Exclusion::Imap)).then_some(i_mmap);
        let mut is_mapped = false;
        for (vma, mm, addr) in &candidates {
            let is_wanted = target.is_some_and(|target| target.mm == mm.id && target.addr == *addr);
            is_mapped |= retract_one(m, mm, vma, *addr, is_wanted.then_some(huge));
        }
        is_mapped
    }
}

/// Returns the mappings that have a table of their own for the whole range, and nothing private in it.
fn candidates(m: &Machine, mapping: &AddressSpace, start: u64) -> Vec<(Arc<Vma>, Arc<Mm>, u64)> {
    let pgoffs = start..start + HUGE_PAGES;
    let forgets_anon = m.protocol.forgets == Some(Exclusion::AnonVma);
    let vmas = mapping.i_mmap.lock().overlapping(pgoffs.clone());
    let candidate = |vma: Arc<Vma>| {
        let addrs = vma.addrs_of(&pgoffs);
        let whole = addrs.end - addrs.start == PMD_SIZE && addrs.start.is_multiple_of(PMD_SIZE);
        let may_have_private = vma.anon_vma.lock().is_some() && !forgets_anon;
        let mm = vma.mm.upgrade().filter(|mm| is_used(m, mm))?;
        (whole && !may_have_private).then_some((vma, mm, addrs.start))
    };
    vmas.into_iter().filter_map(candidate).collect()
}

/// Frees one table at once, with everybody who could walk it kept out, and maps the huge folio if it is wanted there. Returns
/// whether it has mapped it.
fn retract_one(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64, wanted: Option<&Arc<Folio>>) -> bool {
    let Some(pmd) = find_pmd(m, mm, addr) else { return false };
    // The order is the reverse of everybody else's, so the mmap lock can only be tried.
    let forgets_mmap = m.protocol.forgets == Some(Exclusion::MmapLock);
    let locked = if forgets_mmap { None } else { mm.mmap_write_trylock() };
    if locked.is_none() && !forgets_mmap || !lock_vma(m, mm, vma) {
        m.stats.retracts_skipped.add(1);
        return false;
    }
    let still_fits = vma.range().start <= addr && addr + PMD_SIZE <= vma.range().end;
    if !is_used(m, mm) || vma.detached.load(Relaxed) || !still_fits {
        return false;
    }
    {
        let _told = mmu_notifier::invalidate_range_start(m, mm, &(addr..addr + PMD_SIZE));
        collapse_and_free_pmd(m, mm, vma, &pmd);
    }
    wanted.is_some_and(|huge| set_huge_pmd(m, mm, (vma, huge), pmd, addr))
}

/// Returns whether a process has not begun to end. Where that takes no mmap lock, only this keeps away from who ends it.
fn is_used(m: &Machine, mm: &Mm) -> bool {
    mm.users.load(Relaxed) > 0 || m.protocol.has(Bug::EndingProcessRetracted)
}

/// Keeps out the page faults that hold nothing but the VMA. This is what the protocols differ in.
#[inline(always)]
fn lock_vma(m: &Machine, mm: &Mm, vma: &Arc<Vma>) -> bool {
    if m.protocol.forgets == Some(Exclusion::VmaLock) {
        return true;
    }
    match m.protocol.retract {
        Retract::MmapLock | Retract::PageTableLocks => true,
        Retract::TryVmaLock => vma.vma_try_start_write(mm),
        Retract::BlockingVmaLock => {
            vma.vma_start_write(mm);
            true
        }
    }
}

#[inline(never)]
fn collapse_and_free_pmd(m: &Machine, mm: &Mm, vma: &Vma, pmd: &Slot) {
    let _pmd_lock = pmd.table.lock.lock();
    if pmd.load().as_table().is_some() {
        pgtables::free_pte_table(m, mm, vma, pmd);
        m.stats.tables_retracted.add(1);
    }
}

/// Takes one table out under its own locks, and frees it when nobody can be walking it any more.
#[inline(never)]
fn retract_by_rcu(m: &Machine, mm: &Mm, vma: &Vma, addr: u64) {
    let Some(pmd) = find_pmd(m, mm, addr) else { return };
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(addr..addr + PMD_SIZE));
    let _pmd_lock = pmd.table.lock.lock();
    let Some(table) = pmd.load().as_table().and_then(|id| m.memory.table(id)) else { return };
    let _ptl = table.lock.lock_nested(1);
    // An anon_vma may have come since: only under the pte lock is that for certain.
    sched::must_hold(table.lock.is_mine(), || format!("table {} is found empty without its lock", table.id));
    if vma.anon_vma.lock().is_some() || table.used().next().is_some() {
        m.stats.retracts_skipped.add(1);
        return;
    }
    pmd.store(Entry::NONE);
    m.tlb.await_accesses();
    mm.tables.fetch_sub(1, Relaxed);
    m.free_table_rcu(table.clone());
    m.stats.tables_retracted.add(1);
}

fn find_pmd(m: &Machine, mm: &Mm, addr: u64) -> Option<Slot> {
    mm.slot(m, addr, Level::Pmd).filter(|pmd| pmd.load().as_table().is_some())
}
