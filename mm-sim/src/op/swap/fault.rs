//! A page fault on an entry whose page is on the swap device.
//!
//! Lock order: under the VMA lock (from 6.6 on) or the mmap lock `-> fs_reclaim`, `-> swap_cluster->lock`,
//! `-> swap_cache` to read it, `-> folio_lock` (under the VMA lock only tried: who has to wait lets go of that first; and so does
//! khugepaged, which brings pages back under the mmap lock), then
//! `-> pte_lock -> swap_cluster->lock`, `-> swap_cache` to map it and to give the slot back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::free_swap;
use crate::{
    machine::Machine,
    mem::{AnonVma, Entry, Folio, FolioKind, Place, swap::Prepared},
    op::vm_fault::{Outcome, VmFault},
    sched,
    sync::{FolioGuard, Irq},
};

/// Steps that the device takes for a page.
const DEVICE_STEPS: u32 = 16;

/// Handles a fault on `entry`, whose page is in `slot`.
#[inline(never)]
pub(crate) fn do_swap_fault(fault: &VmFault<'_>, entry: Entry, slot: u64) -> Outcome {
    if fault.under_vma_lock && !fault.m.protocol.swap_under_vma_lock {
        return Outcome::Retry;
    }
    let folio = match swapin(fault.m, slot, FolioKind::Anon) {
        Ok(folio) => folio,
        Err(outcome) => return outcome,
    };
    let outcome = match lock_or_retry(fault, &folio) {
        Some(_locked) => map_swapped(fault, entry, slot, &folio),
        None => Outcome::Retry,
    };
    fault.m.put_folio(&folio, 1);
    outcome
}

/// Locks a folio, unless that would have to wait under the VMA lock, or for nobody's need.
#[inline(never)]
fn lock_or_retry(fault: &VmFault<'_>, folio: &Folio) -> Option<FolioGuard> {
    if fault.under_vma_lock || fault.gives_up { folio.lock.try_lock() } else { Some(folio.lock.lock()) }
}

/// Returns the folio of a slot with a reference, and reads it if it is not in memory. `Done` if nobody uses the slot.
#[inline(never)]
pub(crate) fn swapin(m: &Machine, slot: u64, kind: FolioKind) -> Result<Arc<Folio>, Outcome> {
    let _scope = sched::scope("swapin");
    loop {
        if let Some(folio) = m.swap.cache_get(slot) {
            return Ok(folio);
        }
        let new = m.alloc_folio(kind, 1)?;
        let prepared = m.swap.prepare(slot);
        if prepared == Prepared::Yes {
            read_into_cache(m, slot, &new);
            return Ok(new);
        }
        m.put_folio(&new, 1);
        if prepared == Prepared::Gone {
            return Err(Outcome::Done);
        }
        // Somebody is between taking the slot and putting a folio there.
        sched::sleep(1);
    }
}

/// Reads a slot into a new folio. Whoever finds it in the cache meanwhile waits for its lock.
#[inline(never)]
fn read_into_cache(m: &Machine, slot: u64, folio: &Arc<Folio>) {
    let _locked = folio.lock.try_lock();
    folio.check_locked("read from the swap device");
    m.swap.cache_add(slot, folio);
    m.lru.add(folio);
    let arrived = Arc::new(AtomicBool::new(false));
    let (machine, target, done) = (m.arc(), folio.clone(), arrived.clone());
    let end_io = move || {
        target.write(target.pfn, machine.swap.read(slot));
        target.uptodate.store(true, Relaxed);
        done.store(true, Relaxed);
    };
    sched::raise(Irq::Soft, DEVICE_STEPS, Box::new(end_io));
    sched::idle_while(|| !arrived.load(Relaxed));
    m.stats.swapped_in.add(1);
}

/// Maps a locked folio where its slot is, if it still is.
#[inline(never)]
fn map_swapped(fault: &VmFault<'_>, entry: Entry, slot: u64, folio: &Arc<Folio>) -> Outcome {
    let (m, mm) = (fault.m, fault.mm);
    if folio.swap() != Some(slot) {
        return Outcome::Done;
    }
    let Some(map) = fault.map_pte() else { return Outcome::Done };
    let pte = map.slot(fault.addr);
    if pte.load() != entry {
        return Outcome::Done;
    }
    mm.check_install(&fault.vma);
    m.swap.free(slot);
    mm.swaps.fetch_sub(1, Relaxed);
    mm.rss.fetch_add(1, Relaxed);
    // Only the caller has it: nobody else ever shared the page, or nobody does any more.
    let is_ours = free_swap(m, folio) && folio.refs() == 1;
    set_place(fault, folio, is_ours);
    folio.map();
    let flags = fault.vma.flags();
    let new = Entry::page(folio.pfn).writable(is_ours && fault.write && flags.write).accessible(flags.read);
    pte.store(new.uffd_wp(entry.is_uffd_wp()));
    Outcome::Done
}

/// Says where a folio belongs that has come from the device: if others share it, all of the family may map it.
pub(super) fn set_place_in(folio: &Folio, anon_vma: Option<Arc<AnonVma>>, pgoff: u64, is_ours: bool) {
    if folio.place().is_none() {
        let target = |anon_vma: Arc<AnonVma>| if is_ours { anon_vma } else { anon_vma.root_of() };
        folio.set_place(anon_vma.map(|anon_vma| Place::Anon(target(anon_vma), pgoff)));
    }
}

fn set_place(fault: &VmFault<'_>, folio: &Folio, is_ours: bool) {
    let anon_vma = fault.vma.anon_vma.lock().clone();
    set_place_in(folio, anon_vma, fault.pgoff(), is_ours);
}
