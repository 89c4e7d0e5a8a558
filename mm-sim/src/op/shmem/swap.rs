//! Pages of shared memory that go to the swap device and come back.
//!
//! Lock order, out: `folio_lock(shmem) -> swap_info->lock` for a slot, `-> shmem_swaplist_mutex -> swap_cache`,
//! `-> info->lock`, `-> swap_cluster->lock`, `-> i_pages`. The file is on the list before the slot is in its cache, so that
//! swapoff finds it. In: `folio_lock(shmem) -> i_pages`, `-> info->lock`, `-> swap_cache`, `-> swap_cluster->lock`.
//! `shmem_unuse` drops the list's mutex before it waits for a folio: reclaim takes it with the folio locked.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    machine::Machine,
    mem::{Folio, FolioKind, Inode, OutOfMemory},
    op::{dirty, filemap::Cached, swap, vm_fault::Outcome},
    sched,
};

/// Puts a slot in the place of a locked folio that nobody maps, and begins to write it there. Returns whether there was a
/// slot.
#[inline(never)]
pub(crate) fn shmem_writepage(m: &Machine, file: &Arc<Inode>, folio: &Arc<Folio>, index: u64) -> bool {
    let _scope = sched::scope("shmem_writepage");
    folio.check_locked("swapped out");
    let Some(shmem) = &file.mapping.shmem else { return false };
    let Some(slot) = m.swap.take_slot() else { return false };
    {
        let _swaplist = m.swap.swaplist_lock();
        m.swap.swaplist_add(file);
        m.swap.cache_add(slot, folio);
        shmem.recalc(|swapped| swapped + 1);
        m.swap.duplicate(slot);
        file.mapping.shmem_swap_out(index, folio, slot);
    }
    m.put_folio(folio, 1);
    m.stats.shmem_swapped_out.add(1);
    swap::write_to_swap(m, folio, slot);
    true
}

/// Brings a page back from its slot, and locks its folio. `None` if it is not there any more.
#[inline(never)]
pub(super) fn shmem_swapin_folio(
    m: &Machine,
    file: &Inode,
    index: u64,
    slot: u64,
) -> Result<Option<Cached>, OutOfMemory> {
    let _scope = sched::scope("shmem_swapin_folio");
    let folio = match swap::swapin(m, slot, FolioKind::Shmem) {
        Ok(folio) => folio,
        Err(Outcome::Done) => return Ok(None),
        Err(_) => return Err(OutOfMemory),
    };
    let locked = folio.lock.lock();
    dirty::wait_on_writeback(&folio);
    if folio.swap() != Some(slot) || !file.mapping.shmem_add(index, &folio, Some(slot)) {
        drop(locked);
        m.put_folio(&folio, 1);
        return Ok(None);
    }
    if let Some(shmem) = &file.mapping.shmem {
        shmem.recalc(|swapped| swapped.saturating_sub(1));
    }
    m.swap.cache_delete(&folio);
    m.put_folio(&folio, 1);
    // Nowhere else is what it holds, from now on.
    folio.dirty.store(true, Relaxed);
    m.swap.free(slot);
    m.stats.shmem_swapped_in.add(1);
    Ok(Some(Cached { pfn: folio.pfn, folio, locked }))
}

/// Reads what is swapped out of a range into the swap cache, ahead of its use.
#[inline(never)]
pub(crate) fn shmem_swapin_range(m: &Machine, file: &Inode, pages: Range<u64>) {
    let Some(shmem) = &file.mapping.shmem else { return };
    for (_, slot) in shmem.slots(pages) {
        if let Ok(folio) = swap::swapin(m, slot, FolioKind::Shmem) {
            m.put_folio(&folio, 1);
        }
    }
}

/// Brings back into the cache what is swapped out of a range.
#[inline(never)]
pub(crate) fn shmem_bring_in(m: &Machine, file: &Inode, pages: Range<u64>) {
    let slots = file.mapping.shmem.as_ref().map(|shmem| shmem.slots(pages));
    for (index, slot) in slots.into_iter().flatten() {
        if let Ok(Some(cached)) = shmem_swapin_folio(m, file, index, slot) {
            super::unlock(m, cached);
        }
    }
}

/// Brings everything back, file by file. Returns whether there was memory for it.
#[inline(never)]
pub(crate) fn shmem_unuse(m: &Machine) -> bool {
    let mut last = 0;
    loop {
        let next = {
            let _swaplist = m.swap.swaplist_lock();
            m.swap.swaplist_next(last)
        };
        let Some(file) = next else { return true };
        last = file.id;
        if !shmem_unuse_inode(m, &file) {
            return false;
        }
    }
}

#[inline(never)]
fn shmem_unuse_inode(m: &Machine, file: &Inode) -> bool {
    let slots = file.mapping.shmem.as_ref().map(|shmem| shmem.slots(0..u64::MAX));
    slots.into_iter().flatten().all(|(index, slot)| match shmem_swapin_folio(m, file, index, slot) {
        Ok(Some(cached)) => {
            super::unlock(m, cached);
            true
        }
        Ok(None) => true,
        Err(OutOfMemory) => false,
    })
}
