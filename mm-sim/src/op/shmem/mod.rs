//! Files of shared memory: what they hold is in the page cache or on the swap device, and nowhere else.
//!
//! * `swap`: reclaim swaps a page out, an access brings it back, and so does turning swap off.
//! * `cut`: pages that are cut off or punched out.
//!
//! Where a file may have huge folios (`huge=always`) and none of the 512 pages is anywhere, they get one, if that needs no
//! reclaim; what of it is beyond the end of the file is of no use, and taken back when memory is short.
//!
//! Lock order of an access: under the VMA lock or the mmap lock, or `i_rwsem (write) -> fs_reclaim` for a new folio, then
//! `-> folio_lock(shmem) -> i_pages`, `-> split_queue_lock`. No invalidate lock: whoever has put a page into the cache looks at the size
//! again, with the folio locked, and who cuts the file sets the size first and locks each folio.

mod cut;
mod swap;

use std::sync::{Arc, atomic::Ordering::Relaxed};

pub(crate) use self::{
    cut::{shmem_evict_inode, shmem_punch_hole, shmem_undo_range},
    swap::{shmem_bring_in, shmem_swapin_range, shmem_unuse, shmem_writepage},
};
use super::{
    Signal,
    filemap::{self, Cached},
    neighbours::memcg,
};
use crate::{
    machine::Machine,
    mem::{Folio, FolioKind, HUGE_PAGES, Inode, OutOfMemory, local_node},
    sched,
};

/// Brings a page into the cache for a fault and locks its folio. `fail` decides what a page beyond the end is.
#[inline(never)]
pub(crate) fn shmem_fault(
    m: &Machine,
    file: &Arc<Inode>,
    index: u64,
    fail: impl Fn(Signal) -> Signal,
) -> Result<Cached, Signal> {
    match shmem_get_folio(m, file, index) {
        Ok(Some(cached)) => Ok(cached),
        Ok(None) => Err(fail(Signal::Bus)),
        Err(OutOfMemory) => Err(Signal::OutOfMemory),
    }
}

/// Finds the folio of a page, wherever it is, or makes one of zeros, and locks it. `None` beyond the end.
#[inline(never)]
pub(crate) fn shmem_get_folio(m: &Machine, file: &Arc<Inode>, index: u64) -> Result<Option<Cached>, OutOfMemory> {
    let _scope = sched::scope("shmem_get_folio");
    while index < file.size() {
        let slot = file.mapping.shmem.as_ref().and_then(|shmem| shmem.slot(index));
        let found = match (file.mapping.get(index), slot) {
            (Some(folio), _) => lock_cached(m, file, folio, index),
            (None, Some(slot)) => swap::shmem_swapin_folio(m, file, index, slot)?,
            (None, None) => shmem_alloc_and_add_folio(m, file, index)?,
        };
        let Some(cached) = found else { continue };
        if index < file.size() {
            return Ok(Some(cached));
        }
        // Who cuts the file waits for the lock, and takes it out.
        unlock(m, cached);
    }
    Ok(None)
}

/// Locks a folio, unless it has left the file meanwhile.
#[inline(never)]
fn lock_cached(m: &Machine, file: &Inode, folio: Arc<Folio>, index: u64) -> Option<Cached> {
    let locked = folio.lock.lock();
    let cached = Cached { pfn: filemap::page_of(&folio, index), folio, locked };
    if cached.folio.is_in(&file.mapping) {
        return Some(cached);
    }
    unlock(m, cached);
    None
}

/// Makes a folio of zeros. `None` if the page has come from elsewhere, or been cut off, meanwhile.
#[inline(never)]
fn shmem_alloc_and_add_folio(m: &Machine, file: &Inode, index: u64) -> Result<Option<Cached>, OutOfMemory> {
    memcg::mem_cgroup_charge(m)?;
    let base = index / HUGE_PAGES * HUGE_PAGES;
    if may_be_huge(file, base)
        && let Ok(huge) = m.alloc_folio_nowait(local_node(), FolioKind::Shmem, HUGE_PAGES)
        && let Some(cached) = add(m, file, huge, base, index)
    {
        if base + HUGE_PAGES > file.size() {
            m.split_queue.add(&cached.folio);
        }
        m.stats.shmem_huge.add(1);
        return Ok(Some(cached));
    }
    let folio = m.alloc_folio(FolioKind::Shmem, 1)?;
    Ok(add(m, file, folio, index, index))
}

/// Returns whether the 512 pages from `base` on may become one folio: nothing of them is anywhere.
fn may_be_huge(file: &Inode, base: u64) -> bool {
    let wants = file.mapping.shmem.as_ref().is_some_and(|shmem| shmem.wants_huge);
    wants && file.mapping.shmem_next(&(base..base + HUGE_PAGES)).is_none()
}

/// Puts a new folio, whose first page is `base`, into the cache and locks it.
#[inline(never)]
fn add(m: &Machine, file: &Inode, folio: Arc<Folio>, base: u64, index: u64) -> Option<Cached> {
    let locked = folio.lock.try_lock()?;
    folio.uptodate.store(true, Relaxed);
    let cached = Cached { pfn: folio.pfn + (index - base), folio, locked };
    if !file.mapping.shmem_add(base, &cached.folio, None) {
        unlock(m, cached);
        return None;
    }
    m.lru.add(&cached.folio);
    if index >= file.size() {
        // Who cuts the file may have been here already.
        filemap::filemap_remove_folio(m, file, base, &cached.folio);
        unlock(m, cached);
        return None;
    }
    Some(cached)
}

fn unlock(m: &Machine, cached: Cached) {
    drop(cached.locked);
    m.put_folio(&cached.folio, 1);
}
