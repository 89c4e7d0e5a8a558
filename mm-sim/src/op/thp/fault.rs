//! Page faults on huge pages of anonymous memory.
//!
//! Lock order: under the VMA lock or the mmap lock `-> khugepaged_mm_lock`, `-> fs_reclaim` for the page and the table that is
//! deposited beside it, then `-> pmd_lock -> lru_lock`. A write to one that is shared since a fork tries `-> folio_lock` under
//! the pmd lock, to see whether it is ours alone by now.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{huge_range, khugepaged};
use crate::{
    mem::{Entry, Folio, FolioKind, HUGE_PAGES, Level, PageTable, Place},
    op::{
        anon_fault, anon_vma, huge_pmd,
        vm_fault::{Outcome, VmFault},
    },
    sched,
};

/// Maps a huge page of zeros where nothing is mapped. `None` if the VMA wants none there, or there is no memory for it.
#[inline(never)]
pub(crate) fn do_huge_pmd_anonymous_page(fault: &VmFault<'_>) -> Option<Outcome> {
    let start = huge_range(fault.m, &fault.vma, fault.addr)?.start;
    let _scope = sched::scope("do_huge_pmd_anonymous_page");
    if let Err(outcome) = anon_vma::vmf_anon_prepare(fault.m, fault) {
        return Some(outcome);
    }
    khugepaged::enter(fault.m, fault.mm);
    let node = anon_fault::policy_node(&fault.vma);
    let folio = fault.m.alloc_folio_on(node, FolioKind::Anon, HUGE_PAGES).ok()?;
    let Ok(table) = fault.m.alloc_table(Level::Pte) else {
        fault.m.put_folio(&folio, 1);
        return None;
    };
    map_anon_folio_pmd(fault, start, &folio, table);
    fault.m.put_folio(&folio, 1);
    Some(Outcome::Done)
}

/// Maps a huge page, unless somebody was faster.
#[inline(never)]
fn map_anon_folio_pmd(fault: &VmFault<'_>, start: u64, folio: &Arc<Folio>, table: Arc<PageTable>) {
    let locked = fault.pmd.table.lock.lock();
    if !fault.pmd.load().is_none() {
        drop(locked);
        fault.m.free_table(&table);
        return;
    }
    fault.mm.check_install(&fault.vma);
    fault.vma.check_node(folio);
    let anon_vma = fault.vma.anon_vma.lock().clone();
    folio.set_place(anon_vma.map(|anon_vma| Place::Anon(anon_vma, fault.vma.pgoff_of(start))));
    folio.map();
    fault.m.lru.add(folio);
    fault.mm.deposit(&fault.pmd, table);
    fault.pmd.store(Entry::page(folio.pfn).writable(fault.vma.flags().write));
    fault.mm.rss.fetch_add(HUGE_PAGES as i64, Relaxed);
    fault.m.stats.huge_faults.add(1);
}

/// Handles a write to a huge page that is mapped read-only: ours alone it becomes writable, or else it is taken apart.
#[inline(never)]
pub(crate) fn do_huge_pmd_wp_page(fault: &VmFault<'_>) -> Outcome {
    let _scope = sched::scope("do_huge_pmd_wp_page");
    if !reuse(fault) {
        huge_pmd::split_huge_pmd(fault.m, fault.mm, &fault.vma, fault.addr);
    }
    Outcome::Done
}

/// Makes a huge page writable if nobody else has it. Returns whether nothing is left to do.
fn reuse(fault: &VmFault<'_>) -> bool {
    let _pmd_lock = fault.pmd.table.lock.lock();
    let entry = fault.pmd.load();
    let Some(folio) = entry.as_page().and_then(|pfn| fault.m.memory.folio(pfn)) else { return true };
    if entry.is_writable() {
        fault.pmd.update(|entry| entry.young(true));
        return true;
    }
    let Some(_locked) = folio.lock.try_lock() else { return false };
    folio.check_locked("looked at, whether it is ours alone,");
    let is_ours = folio.maps() == 1 && folio.refs() == 1;
    if is_ours {
        fault.pmd.update(|entry| entry.young(true).writable(true));
    }
    is_ours
}
