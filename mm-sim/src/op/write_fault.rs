//! A write to a page that is mapped read-only: use it, ask the file system, or copy.
//!
//! Lock order: `pte_lock -> folio_lock (trylock)` to see whether the page is ours alone; to copy, the pte lock is dropped,
//! `-> fs_reclaim` for the copy, `-> mmu_notifier_invalidate_range_start`, and the pte lock taken again, where everything is
//! looked at anew.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    anon_fault, anon_vma, dirty, file_fault, mmu_notifier, swap, userfaultfd,
    vm_fault::{Outcome, VmFault},
    walk::PteMap,
};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Entry, Folio, FolioKind, PAGE_SIZE},
    sched,
};

/// Handles a write to the present, read-only `entry`.
#[inline(never)]
pub(crate) fn do_wp_page(fault: &VmFault<'_>, map: PteMap<'_>, entry: Entry) -> Outcome {
    let _scope = sched::scope("do_wp_page");
    let Some(pfn) = entry.as_page() else { return Outcome::Done };
    if entry.is_uffd_wp() && fault.vma.flags().uffd_wp {
        drop(map);
        return userfaultfd::fault::handle_userfault(fault, true);
    }
    let Some(folio) = fault.m.memory.folio(pfn) else { return Outcome::Done };
    if !fault.vma.flags().shared && folio.kind == FolioKind::Anon && is_ours_alone(fault.m, &folio) {
        map.slot(fault.addr).store(entry.writable(true).young(true));
        return Outcome::Done;
    }
    folio.get(1);
    drop(map);
    if fault.vma.flags().shared {
        return wp_page_shared(fault, folio, pfn, entry);
    }
    let result = wp_page_copy(fault, &folio, pfn, entry);
    fault.m.put_folio(&folio, 1);
    result.map_or_else(|outcome| outcome, |()| Outcome::Done)
}

/// Returns whether nobody else has the folio. The caller has the pte lock.
fn is_ours_alone(m: &Machine, folio: &Arc<Folio>) -> bool {
    if folio.is_pinned() && folio.maps() == 1 && !folio.is_ksm() {
        // A fork copies what is pinned, so it has never been shared since.
        return true;
    }
    let Some(_locked) = folio.lock.try_lock() else { return false };
    folio.check_locked("looked at, whether it is ours alone,");
    swap::free_swap(m, folio) && folio.maps() == 1 && folio.refs() == 1 && !folio.is_ksm()
}

/// Checks that nobody writes to a page past the page tables of whoever has just got a copy of it.
fn check_not_pinned(old: &Folio) {
    if old.kind == FolioKind::Anon && old.is_pinned() {
        sched::finding(Invariant::PinBroken, format!("pinned folio {} is replaced by a copy", old.pfn));
    }
}

#[inline(never)]
fn wp_page_shared(fault: &VmFault<'_>, folio: Arc<Folio>, pfn: u64, entry: Entry) -> Outcome {
    let cached = match file_fault::do_page_mkwrite(fault, folio, pfn) {
        Ok(cached) => cached,
        Err(outcome) => return outcome,
    };
    if let Some(map) = fault.map_pte() {
        let slot = map.slot(fault.addr);
        if slot.load().young(true) == entry.young(true) {
            slot.store(entry.writable(true).young(true));
        }
    }
    dirty::folio_mark_dirty(fault.m, &cached.folio);
    drop(cached.locked);
    fault.m.put_folio(&cached.folio, 1);
    Outcome::Done
}

#[inline(never)]
fn wp_page_copy(fault: &VmFault<'_>, old: &Arc<Folio>, pfn: u64, entry: Entry) -> Result<(), Outcome> {
    anon_vma::vmf_anon_prepare(fault.m, fault)?;
    let copy = anon_fault::alloc_anon_folio(fault)?;
    // Nobody writes to the old page meanwhile: no entry and no TLB lets anybody.
    let word = old.read(pfn);
    copy.write(copy.pfn, word);
    let told = mmu_notifier::invalidate_range_start(fault.m, fault.mm, &(fault.addr..fault.addr + PAGE_SIZE));
    if let Some(map) = fault.map_pte() {
        let slot = map.slot(fault.addr);
        if slot.load().young(true) == entry.young(true) {
            fault.m.model.privatise(fault.mm.id, fault.addr / PAGE_SIZE, word);
            slot.store(Entry::NONE);
            fault.m.tlb.flush(fault.mm.id, fault.addr / PAGE_SIZE..fault.addr / PAGE_SIZE + 1);
            fault.mm.rss.fetch_sub(1, Relaxed);
            anon_fault::set_anon_pte(fault, &map, &copy);
            old.unmap();
            fault.m.put_folio(old, 1);
            fault.m.stats.copies.add(1);
            check_not_pinned(old);
        }
    }
    drop(told);
    fault.m.put_folio(&copy, 1);
    Ok(())
}
