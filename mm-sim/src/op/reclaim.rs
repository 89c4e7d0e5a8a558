//! Reclaim: gets memory back from the page cache and from anonymous memory, by kswapd or by whoever needs it.
//!
//! Lock order: `fs_reclaim -> lru_lock`, then per folio `-> folio_lock (trylock)`,
//! `-> i_mmap_rwsem or anon_vma->rwsem (read, trylock) -> pte_lock` to see whether it is in use,
//! `-> i_mmap_rwsem or anon_vma->rwsem (read, waits) -> pte_lock` to unmap it, `-> mapping->private_lock` to free its buffers,
//! `-> inode->i_lock -> i_pages` or `-> swap_cache` to take it out; and `-> lru_lock -> split_queue_lock` to put back what stays.
//! What is dirty is written first: it is freed in a later round. For swap see `swap`.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{buffer, lazyfree, rmap, shmem, split, swap, writeback};
use crate::{
    machine::Machine,
    mem::{AddressSpace, Folio, FolioKind, Place},
    sched,
};

/// Folios that one round looks at.
const BATCH: usize = 32;
/// Moments that a round without success waits for devices.
const THROTTLE: u32 = 8;
/// References of an isolated folio of a cache: the cache's (one a page) and ours.
const OURS: u64 = 1;

/// Reclaims on behalf of an allocation of `pages` pages.
#[inline(never)]
pub(crate) fn try_to_free_pages(m: &Machine, pages: u64) {
    let _scope = sched::scope("direct_reclaim");
    m.stats.direct_reclaims.add(1);
    do_reclaim(m, pages);
}

/// One round of the kernel thread that keeps memory free. Returns whether it has unmapped anything.
#[inline(never)]
pub(crate) fn balance_pgdat(m: &Machine, pages: u64) -> bool {
    let _scope = sched::scope("kswapd");
    let before = m.stats.unmapped.get();
    do_reclaim(m, pages);
    m.stats.unmapped.get() > before
}

#[inline(always)]
fn do_reclaim(m: &Machine, pages: u64) {
    m.fs_reclaim.acquire();
    sched::set_in_reclaim(true);
    let mut freed = 0;
    let mut rounds = m.lru.len().div_ceil(BATCH) * 2;
    m.lru.add_drain();
    split::deferred_split_scan(m);
    while freed < pages && rounds > 0 {
        let some = shrink_lruvec(m);
        if some == 0 {
            throttle();
        }
        freed += some;
        rounds -= 1;
    }
    sched::set_in_reclaim(false);
    m.fs_reclaim.release();
}

/// Gives the devices a moment: what is under writeback is freed as soon as that has ended.
fn throttle() {
    let _waits = (0..THROTTLE).all(|_| sched::idle());
}

/// Returns how many pages a round has freed.
#[inline(never)]
fn shrink_lruvec(m: &Machine) -> u64 {
    let folios = m.lru.isolate(BATCH);
    let (freed, stay) = shrink_folio_list(m, folios);
    move_folios_to_lru(m, stay);
    freed
}

/// Puts folios back, all at once. Everybody else may have let go of one meanwhile: it ends here, and from 6.9 on leaves the queue of
/// those that are to be split while the list is still locked.
#[inline(never)]
fn move_folios_to_lru(m: &Machine, folios: Vec<Arc<Folio>>) {
    let (locked, others): (Vec<_>, Vec<_>) = folios.into_iter().partition(|folio| folio.mlocked.load(Relaxed));
    let gone = m.lru.move_folios(others, |folio| {
        if m.protocol.unqueues_under_lru_lock {
            m.split_queue.remove(folio);
        }
    });
    gone.iter().for_each(|folio| m.free_folio(folio));
    m.stats.ended_in_reclaim.add(gone.iter().filter(|folio| folio.is_huge()).count() as u64);
    locked.iter().for_each(|folio| putback(m, folio));
}

/// Puts one folio back.
fn putback(m: &Machine, folio: &Arc<Folio>) {
    m.lru.add(folio);
    m.put_folio(folio, 1);
}

/// Tries to free folios that somebody has taken off the list for that (`reclaim_pages`).
#[inline(never)]
pub(crate) fn reclaim_folios(m: &Machine, folios: Vec<Arc<Folio>>) -> u64 {
    sched::set_in_reclaim(true);
    let (freed, stay) = shrink_folio_list(m, folios);
    stay.iter().for_each(|folio| putback(m, folio));
    sched::set_in_reclaim(false);
    freed
}

/// Returns how many pages it has freed, and the folios that stay.
#[inline(never)]
fn shrink_folio_list(m: &Machine, folios: Vec<Arc<Folio>>) -> (u64, Vec<Arc<Folio>>) {
    let (gone, stay): (Vec<_>, Vec<_>) = folios.into_iter().partition(|folio| shrink_folio(m, folio));
    let freed = gone.iter().map(|folio| folio.pages()).sum();
    m.stats.reclaimed.add(freed);
    (freed, stay)
}

/// Frees a folio if nobody needs it. Returns whether it is gone.
fn shrink_folio(m: &Machine, folio: &Arc<Folio>) -> bool {
    let Some(_locked) = folio.lock.try_lock() else { return false };
    if folio.mlocked.load(Relaxed) {
        return false;
    }
    if writeback::is_under_writeback(folio) || folio.is_pinned() || is_referenced(m, folio) {
        return false;
    }
    match folio.place() {
        Some(Place::File(mapping, index)) => shrink_cached(m, folio, &mapping, index),
        Some(Place::Anon(..)) if folio.lazyfree.load(Relaxed) && folio.swap().is_none() => {
            lazyfree::discard(m, folio) || shrink_anon(m, folio)
        }
        Some(Place::Anon(..)) => shrink_anon(m, folio),
        // Pages that KSM shares stay.
        Some(Place::Ksm(_)) => false,
        // Read from the swap device, and nobody has mapped it.
        None => folio.swap().is_some() && shrink_anon(m, folio),
    }
}

#[inline(never)]
fn shrink_cached(m: &Machine, folio: &Arc<Folio>, mapping: &AddressSpace, index: u64) -> bool {
    if !matches!(folio.kind, FolioKind::File | FolioKind::Shmem) {
        return false;
    }
    if folio.maps() > 0 {
        rmap::try_to_unmap(m, folio);
        m.stats.unmapped.add(1);
    }
    let Some(file) = m.files.lock().iter().find(|file| file.id == mapping.file).cloned() else { return false };
    if folio.kind == FolioKind::Shmem {
        let stays = folio.maps() > 0 || folio.is_pinned();
        if stays || folio.dirty.load(Relaxed) {
            // From the swap cache it goes as anonymous memory does; if it is huge, page by page, in a later round.
            if folio.is_huge() && m.swap.is_on() {
                m.split_queue.add(folio);
            } else if !stays && m.swap.is_on() {
                let _goes = shmem::shmem_writepage(m, &file, folio, index);
            }
            return false;
        }
    } else {
        folio.reclaim.store(true, Relaxed);
    }
    if writeback::write_out(m, &file, folio) || !buffer::try_to_free_buffers(m, mapping, folio) {
        return false;
    }
    {
        let _i_lock = mapping.i_lock.lock();
        let _i_pages = mapping.i_pages.lock_irq();
        if folio.maps() > 0 || !folio.freeze_clean(folio.pages() + OURS) {
            return false;
        }
        mapping.remove(index);
    }
    m.free_folio(folio);
    true
}

/// Anonymous memory goes to the swap device, if there is one.
#[inline(never)]
fn shrink_anon(m: &Machine, folio: &Arc<Folio>) -> bool {
    if folio.is_huge() {
        // It goes page by page, in a later round.
        if m.swap.is_on() {
            m.split_queue.add(folio);
        }
        return false;
    }
    if folio.swap().is_none() && (!m.swap.is_on() || !swap::add_to_swap(m, folio)) {
        return false;
    }
    let Some(slot) = folio.swap() else { return false };
    if folio.maps() > 0 {
        rmap::try_to_unmap(m, folio);
        m.stats.unmapped.add(1);
    }
    if folio.maps() > 0 || swap::write_to_swap(m, folio, slot) {
        return false;
    }
    let gone = m.swap.cache_delete_frozen(folio, OURS + 1);
    if gone {
        m.free_folio(folio);
    }
    gone
}

/// Returns whether the folio was used since the last look, or nobody could tell.
fn is_referenced(m: &Machine, folio: &Folio) -> bool {
    folio.maps() > 0 && rmap::folio_referenced(m, folio).is_none_or(|young| young > 0)
}
