//! A write to a page that a private mapping of hugetlbfs maps read-only: use it, or copy it.
//!
//! Lock order: under the locks of the fault and the folio lock, `-> pmd_lock`; it is dropped to allocate
//! (`-> fs_reclaim`, `-> hugetlb_lock`), and taken again, where everything is looked at anew. If the pool is empty, but the
//! process was promised a page, it is taken from the children that have it: for that everything is dropped, the folio of
//! the cache first, because whoever has the fault mutex may wait for it (H4), then
//! `resv_map->rw_sema (write) -> i_mmap_rwsem (write) -> pmd_lock`.

use std::sync::Arc;

use super::{
    reserve::{self, For},
    share, unmap,
    vm_fault::{HugetlbFault, Locked, Serial, is_same},
};
use crate::{
    Bug,
    mem::{Entry, Folio, HUGE_PAGES, PAGE_SIZE, PMD_SIZE, Place, Slot},
    op::{mmu_notifier, vm_fault::Outcome},
    sched,
    sync::{FolioGuard, SpinGuard},
};

/// What the fault has locked: the page that is mapped, and the page of the file's cache, or one of the two if it is both.
pub(super) type Folios = (Option<FolioGuard>, Option<Locked>);

/// Makes the entry of a fault writable, with the page that it maps or with a copy of it. Takes over the folio locks and the
/// pmd lock.
#[inline(never)]
pub(super) fn hugetlb_wp(
    fault: &HugetlbFault<'_>,
    slot: &Slot,
    old: &Arc<Folio>,
    (own, cached): Folios,
    pmd_lock: SpinGuard,
    serial: &mut Serial,
) -> Result<(), Outcome> {
    let _scope = sched::scope("hugetlb_wp");
    let entry = slot.load();
    let is_own = matches!(old.place(), Some(Place::Anon(..)));
    if fault.vma.flags().shared || is_own && old.maps() == 1 {
        share::check_entry_locked(slot);
        slot.update(|entry| entry.writable(true).young(true));
        drop(pmd_lock);
        fault.unlock(cached);
        return Ok(());
    }
    let is_cached = cached.as_ref().is_some_and(|(other, _)| other.pfn == old.pfn);
    // The promise was used for the page that is there already.
    let outside_reserve = fault.vma.hugetlb.resv_map.lock().is_some() && is_own && !is_cached;
    drop(pmd_lock);
    let (m, index) = (fault.m, fault.huge_index());
    match reserve::alloc_hugetlb_folio(m, fault.file, For::Vma(fault.vma), index, outside_reserve) {
        Ok(new) => {
            let result = copy(fault, entry, old, &new);
            fault.unlock(cached);
            drop(own);
            result
        }
        Err(_) if outside_reserve => {
            drop(own);
            take_from_children(fault, old, cached, serial);
            Ok(())
        }
        Err(error) => {
            fault.unlock(cached);
            Err(error.into())
        }
    }
}

/// Maps `new`, a copy of `old`, instead of it.
#[inline(never)]
fn copy(fault: &HugetlbFault<'_>, entry: Entry, old: &Arc<Folio>, new: &Arc<Folio>) -> Result<(), Outcome> {
    let m = fault.m;
    if let Err(outcome) = fault.anon_prepare() {
        reserve::restore_reserve_on_error(fault.file, For::Vma(fault.vma), fault.huge_index(), new);
        m.put_folio(new, 1);
        return Err(outcome);
    }
    new.uptodate.store(true, std::sync::atomic::Ordering::Relaxed);
    let told = mmu_notifier::invalidate_range_start(m, fault.mm, &(fault.addr..fault.addr + PMD_SIZE));
    let is_done = share::hugetlb_walk(m, fault.mm, fault.vma, fault.addr).is_some_and(|slot| {
        let _pmd_lock = slot.table.lock.lock();
        let unchanged = is_same(slot.load(), entry);
        if unchanged {
            replace(fault, &slot, old, new);
        }
        unchanged
    });
    drop(told);
    if is_done {
        m.put_folio(old, 1);
        m.stats.copies.add(1);
    } else {
        reserve::restore_reserve_on_error(fault.file, For::Vma(fault.vma), fault.huge_index(), new);
    }
    m.put_folio(new, 1);
    Ok(())
}

/// Puts the copy in the place of the page, under the pmd lock.
fn replace(fault: &HugetlbFault<'_>, slot: &Slot, old: &Folio, new: &Folio) {
    let (m, page) = (fault.m, fault.addr / PAGE_SIZE);
    slot.store(Entry::NONE);
    m.tlb.flush(fault.mm.id, page..page + HUGE_PAGES);
    for offset in 0..HUGE_PAGES {
        // A shared mapping of the file may write to the old page until now, but nobody through this entry.
        let word = old.read(old.pfn + offset);
        new.write(new.pfn + offset, word);
        m.model.privatise(fault.mm.id, page + offset, word);
    }
    old.unmap();
    fault.add_anon_rmap(new);
    fault.set_entry(slot, new, true);
}

/// The pool is empty: takes the page from the mappings that it was not promised to. The fault is taken again.
#[inline(never)]
fn take_from_children(fault: &HugetlbFault<'_>, old: &Arc<Folio>, cached: Option<Locked>, serial: &mut Serial) {
    if !fault.m.protocol.has(Bug::FolioLockedAcrossFaultMutex) {
        fault.unlock(cached);
        serial.unlock();
        unmap_ref_private(fault, old);
        return;
    }
    serial.unlock();
    unmap_ref_private(fault, old);
    *serial = fault.lock();
    fault.unlock(cached);
}

/// Unmaps a page from all private mappings that were not promised it.
#[inline(never)]
fn unmap_ref_private(fault: &HugetlbFault<'_>, old: &Arc<Folio>) {
    let (m, mapping) = (fault.m, &fault.file.mapping);
    let pages = fault.index()..fault.index() + HUGE_PAGES;
    {
        let _i_mmap = mapping.i_mmap_rwsem.write();
        let others = mapping.i_mmap.lock().overlapping(pages.clone());
        for other in others.iter().filter(|other| other.id != fault.vma.id && !other.flags().shared) {
            if other.hugetlb.resv_map.lock().is_none()
                && let Some(mm) = other.mm.upgrade()
            {
                let addr = other.addrs_of(&pages).start;
                unmap::unmap_from_file(m, &mm, other, addr..addr + PMD_SIZE, unmap::Wanted::Rob(old));
            }
        }
    }
    m.stats.pages_taken_from_children.add(1);
}
