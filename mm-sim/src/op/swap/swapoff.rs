//! `swapoff`: brings everything back from the swap device.
//!
//! Lock order: `swap_info->lock` to stop it, alone; `shmem_swaplist_mutex` to find a file of shared memory, alone, and
//! `folio_lock(shmem) -> i_pages`; `mmlist_lock` to find a process, alone; per process
//! `mmap_lock (read) -> folio_lock -> pte_lock -> swap_cluster->lock`, `-> swap_cache`; at last, when nothing is left on it,
//! `swapon_mutex -> swap_info->lock -> mmlist_lock`; and a file is given back under its `i_rwsem (write)`, alone.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{fault::set_place_in, free_swap, swapin};
use crate::{
    machine::Machine,
    mem::{Entry, Folio, FolioKind, Level, Mm, PAGE_SIZE, Vma},
    op::{dirty, shmem},
    sched,
};

/// Turns swap off. Returns whether everything had room in memory; if not, it stays on.
#[inline(never)]
pub(crate) fn swapoff(m: &Machine) -> bool {
    let _scope = sched::scope("swapoff");
    if !m.swap.begin_off() {
        return true;
    }
    if !try_to_unuse(m) {
        m.swap.cancel_off();
        return false;
    }
    let file = {
        let _swapon_mutex = m.swap.swapon_mutex.write();
        super::check_alone(m);
        m.swap.end_off()
    };
    if let Some(file) = file {
        let _i_rwsem = file.i_rwsem.write();
        file.set_swapfile(false);
        m.model.give_back(file.id);
    }
    true
}

/// Brings back what the device has, round by round: a process may have forked meanwhile, and its child come to the list
/// behind us.
#[inline(never)]
fn try_to_unuse(m: &Machine) -> bool {
    while m.swap.in_use() > 0 {
        if !shmem::shmem_unuse(m) {
            return false;
        }
        let mut last = 0;
        while let Some(mm) = m.swap.mmlist_next(last) {
            last = mm.id;
            if !unuse_mm(m, &mm) {
                return false;
            }
        }
        unuse_cache(m);
    }
    true
}

/// Takes what nobody maps out of the swap cache.
#[inline(never)]
fn unuse_cache(m: &Machine) {
    for (slot, _) in m.swap.cached() {
        let Some(folio) = m.swap.cache_get(slot) else { continue };
        let locked = folio.lock.lock();
        dirty::wait_on_writeback(&folio);
        free_swap(m, &folio);
        drop(locked);
        m.put_folio(&folio, 1);
    }
    // Whoever has a slot and no entry yet gets on.
    sched::sleep(1);
}

#[inline(never)]
fn unuse_mm(m: &Machine, mm: &Arc<Mm>) -> bool {
    let _mmap = mm.mmap_lock.read();
    mm.all().iter().all(|vma| unuse_vma(m, mm, vma))
}

fn unuse_vma(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>) -> bool {
    let mut swapped = Vec::new();
    mm.walk(m, vma, vma.range(), &mut |_, addr, entry| {
        swapped.extend(entry.as_swap().map(|slot| (addr, entry, slot)));
    });
    swapped.into_iter().all(|(addr, entry, slot)| unuse_pte(m, mm, vma, addr, entry, slot))
}

/// Brings one page back. Returns whether there was memory for it.
#[inline(never)]
fn unuse_pte(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64, entry: Entry, slot: u64) -> bool {
    let folio = match swapin(m, slot, FolioKind::Anon) {
        Ok(folio) => folio,
        Err(outcome) => return outcome == crate::op::vm_fault::Outcome::Done,
    };
    let locked = folio.lock.lock();
    dirty::wait_on_writeback(&folio);
    if folio.swap() == Some(slot) {
        replace_pte(m, mm, vma, addr, entry, &folio);
        free_swap(m, &folio);
    }
    drop(locked);
    m.put_folio(&folio, 1);
    true
}

fn replace_pte(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64, entry: Entry, folio: &Arc<Folio>) {
    let (Some(slot), Some(pmd)) = (entry.as_swap(), mm.slot(m, addr, Level::Pmd)) else { return };
    let Some(map) = mm.pte_offset_map_lock(m, vma, &pmd, 0) else { return };
    let pte = map.slot(addr / PAGE_SIZE * PAGE_SIZE);
    if pte.load() != entry {
        return;
    }
    mm.check_install(vma);
    m.swap.free(slot);
    mm.swaps.fetch_sub(1, Relaxed);
    mm.rss.fetch_add(1, Relaxed);
    let anon_vma = vma.anon_vma.lock().clone();
    set_place_in(folio, anon_vma, vma.pgoff_of(addr), false);
    folio.map();
    pte.store(Entry::page(folio.pfn).young(false).accessible(vma.flags().read).uffd_wp(entry.is_uffd_wp()));
}
