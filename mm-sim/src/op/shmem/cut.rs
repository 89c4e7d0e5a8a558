//! Pages of shared memory that are cut off or punched out, in memory or on the swap device.
//!
//! Lock order: `sb_writers -> i_rwsem (write) -> i_mmap_rwsem (read) -> pte_lock` to unmap them; then per page
//! `-> folio_lock(shmem) -> i_mmap_rwsem (read)` if somebody has mapped it meanwhile, `-> inode->i_lock -> i_pages`, or,
//! of a huge folio that only a part is cut off of, what `split` takes; or, of one that is swapped out, `-> i_pages` and
//! `-> swap_cluster->lock`.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    machine::Machine,
    mem::{Folio, Inode, Place},
    op::{dirty, filemap, split, swap, unmap_mapping::unmap_mapping_pages},
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
    unmap_mapping_pages(m, &file.mapping, pages.clone(), false);
    shmem_undo_range(m, file, pages);
    m.model.end_hole(file.id);
    m.stats.holes.add(1);
}

/// Frees the pages of a range, in memory and on the swap device.
#[inline(never)]
pub(crate) fn shmem_undo_range(m: &Machine, file: &Arc<Inode>, pages: Range<u64>) {
    let mut left = pages.clone();
    while let Some(index) = file.mapping.shmem_next(&left) {
        // It may be swapped out, or come back, or be split while we wait for it.
        left.start = undo_page(m, file, index, &pages).unwrap_or_else(|| {
            sched::step();
            index
        });
    }
}

/// Frees the folio of a page, or what the range has of it. Returns the page behind that, or `None` if it has gone elsewhere
/// meanwhile.
fn undo_page(m: &Machine, file: &Arc<Inode>, index: u64, pages: &Range<u64>) -> Option<u64> {
    if let Some(folio) = file.mapping.get(index) {
        return undo_folio(m, file, folio, pages);
    }
    let slot = file.mapping.shmem.as_ref().and_then(|shmem| shmem.slot(index));
    (slot.is_some_and(|slot| undo_swap(m, file, index, slot))).then_some(index + 1)
}

#[inline(never)]
fn undo_folio(m: &Machine, file: &Arc<Inode>, folio: Arc<Folio>, pages: &Range<u64>) -> Option<u64> {
    let locked = folio.lock.lock();
    let place = folio.place().filter(|_| folio.is_in(&file.mapping));
    let Some(Place::File(_, base)) = place else {
        drop(locked);
        m.put_folio(&folio, 1);
        return None;
    };
    dirty::wait_on_writeback(&folio);
    let all = base..base + folio.pages();
    let part = all.start.max(pages.start)..all.end.min(pages.end);
    if folio.maps() > 0 {
        // Whoever maps a page of it has to lock the folio.
        unmap_mapping_pages(m, &file.mapping, part.clone(), false);
    }
    if part == all {
        folio.dirty.store(false, Relaxed);
        filemap::filemap_remove_folio(m, file, base, &folio);
    } else if undo_part(m, &folio, base, &part) {
        drop(locked);
        return None;
    }
    drop(locked);
    m.put_folio(&folio, 1);
    Some(part.end)
}

/// Makes zeros of a part of a locked huge folio, and splits it, so that the pages can be freed. If somebody uses it, zeros it
/// is (the kernel's `truncate_inode_partial_folio`). Returns whether the folio is gone, with the caller's reference.
#[inline(never)]
fn undo_part(m: &Machine, folio: &Arc<Folio>, base: u64, part: &Range<u64>) -> bool {
    folio.check_locked("cut");
    part.clone().for_each(|index| folio.write(folio.pfn + (index - base), 0));
    let is_split = split::split_folio(m, folio);
    if !is_split {
        m.split_queue.add(folio);
    }
    is_split
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
