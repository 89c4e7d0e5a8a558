//! Pages of shared memory that are cut off or punched out, in memory or on the swap device.
//!
//! Lock order: `sb_writers -> i_rwsem (write) -> i_mmap_rwsem (read) -> pte_lock` to unmap them; then per page
//! `-> folio_lock(shmem) -> i_mmap_rwsem (read)` if somebody has mapped it meanwhile, `-> inode->i_lock -> i_pages`; or, of
//! one that is swapped out, `-> i_pages` and `-> swap_cluster->lock`.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    machine::Machine,
    mem::{Folio, Inode},
    op::{dirty, swap, truncate},
    sched,
};

/// Punches a hole.
#[inline(never)]
pub(crate) fn shmem_punch_hole(m: &Machine, file: &Arc<Inode>, pages: Range<u64>) {
    let _scope = sched::scope("shmem_fallocate");
    let _i_rwsem = file.i_rwsem.write();
    let pages = pages.start..pages.end.min(file.size());
    if pages.is_empty() {
        return;
    }
    let holds = file.i_rwsem.is_mine_to_write();
    sched::must_hold(holds, || format!("file {} gets a hole without its lock", file.id));
    m.sb.check_writing(file.id, "gets a hole");
    m.model.begin_hole(file.id, pages.clone());
    truncate::unmap_mapping_pages(m, &file.mapping, pages.clone(), false);
    shmem_undo_range(m, file, pages);
    m.model.end_hole(file.id);
    m.stats.holes.add(1);
}

/// Frees the pages of a range, in memory and on the swap device.
#[inline(never)]
pub(crate) fn shmem_undo_range(m: &Machine, file: &Arc<Inode>, pages: Range<u64>) {
    let cached = file.mapping.from(pages.start).into_iter().map(|(index, _)| index);
    let swapped = file.mapping.shmem.as_ref().map(|shmem| shmem.slots(pages.clone()));
    let swapped = swapped.into_iter().flatten().map(|(index, _)| index);
    let all: BTreeSet<u64> = cached.chain(swapped).filter(|index| pages.contains(index)).collect();
    for index in all {
        // It may be swapped out, or come back, while we wait for it.
        while !undo_page(m, file, index) {}
    }
}

/// Frees a page. `false` if it has gone elsewhere meanwhile.
fn undo_page(m: &Machine, file: &Arc<Inode>, index: u64) -> bool {
    if let Some(folio) = file.mapping.get(index) {
        let done = undo_folio(m, file, index, &folio);
        m.put_folio(&folio, 1);
        return done;
    }
    let slot = file.mapping.shmem.as_ref().and_then(|shmem| shmem.slot(index));
    slot.is_none_or(|slot| undo_swap(m, file, index, slot))
}

#[inline(never)]
fn undo_folio(m: &Machine, file: &Arc<Inode>, index: u64, folio: &Arc<Folio>) -> bool {
    let _locked = folio.lock.lock();
    if !folio.is_in(&file.mapping) {
        return false;
    }
    dirty::wait_on_writeback(folio);
    if folio.maps() > 0 {
        truncate::unmap_mapping_pages(m, &file.mapping, index..index + 1, false);
    }
    folio.dirty.store(false, Relaxed);
    truncate::filemap_remove_folio(m, file, index, folio);
    true
}

#[inline(never)]
fn undo_swap(m: &Machine, file: &Inode, index: u64, slot: u64) -> bool {
    let is_there = file.mapping.shmem_free_swap(index, slot);
    if is_there {
        if let Some(shmem) = &file.mapping.shmem {
            shmem.recalc(|swapped| swapped.saturating_sub(1));
        }
        swap::free_swap_and_cache(m, slot);
    }
    is_there
}

/// A file that has been emptied goes: swapoff need not look at it any more.
#[inline(never)]
pub(crate) fn shmem_evict_inode(m: &Machine, file: &Inode) {
    let _swaplist = m.swap.swaplist_lock();
    m.swap.swaplist_remove(file);
}
