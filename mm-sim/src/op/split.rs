//! Splitting a huge folio of a file into pages, and the shrinker that does it to get memory back.
//!
//! Lock order: `fs_reclaim -> split_queue_lock` to find one, then `-> folio_lock (trylock)`,
//! `-> i_mmap_rwsem (read) -> pte_lock` to unmap it, and still under i_mmap `-> inode->i_lock -> i_pages`,
//! `-> split_queue_lock`, `-> lruvec->lru_lock`. Whoever has the folio locked may be waiting for reclaim, so the shrinker
//! must not wait for the lock ([`Bug::ShrinkerWaitsForFolioLock`]).

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    Bug,
    machine::Machine,
    mem::{AddressSpace, Folio, Place, rmap},
    sched,
    sync::FolioGuard,
};

/// Folios that a round looks at.
const BATCH: usize = 4;
/// References besides the cache's: the caller's.
const OURS: u64 = 1;

/// Splits huge folios that are of no use as a whole (the kernel's `deferred_split_scan` and `shmem_unused_huge_shrink`).
#[inline(never)]
pub(crate) fn deferred_split_scan(m: &Machine) {
    for folio in m.split_queue.take(BATCH) {
        let split = lock_to_split(m, &folio).is_some_and(|_locked| split_folio(m, &folio));
        if !split && folio.place().is_some() {
            m.split_queue.add(&folio);
        }
        m.put_folio(&folio, if split { 0 } else { OURS });
    }
}

#[inline(never)]
fn lock_to_split(m: &Machine, folio: &Folio) -> Option<FolioGuard> {
    if m.protocol.has(Bug::ShrinkerWaitsForFolioLock) { Some(folio.lock.lock()) } else { folio.lock.try_lock() }
}

/// Splits a locked huge folio of a file; pages beyond the end go. Returns whether it did: then the folio is gone, and the
/// caller's reference with it.
#[inline(never)]
pub(crate) fn split_folio(m: &Machine, folio: &Arc<Folio>) -> bool {
    let _scope = sched::scope("split_folio");
    let Some(Place::File(mapping, base)) = folio.place() else { return false };
    let Some(file) = m.files.lock().iter().find(|file| file.id == mapping.file).cloned() else { return false };
    if folio.writeback.load(Relaxed) || folio.is_pinned() {
        return false;
    }
    rmap::try_to_unmap(m, folio);
    let _i_mmap = mapping.i_mmap_rwsem.read();
    let parts = {
        let _i_lock = mapping.i_lock.lock();
        let _i_pages = mapping.i_pages.lock_irq();
        if folio.maps() > 0 || !folio.freeze(folio.pages() + OURS) {
            return false;
        }
        m.split_queue.remove(folio);
        replace(m, &mapping, base, file.size(), folio)
    };
    parts.iter().for_each(|part| m.put_folio(part, 1));
    m.stats.splits.add(1);
    true
}

/// Puts pages where the frozen folio was. Returns those beyond the end, which nobody wants. The caller has `i_pages`.
fn replace(m: &Machine, mapping: &Arc<AddressSpace>, base: u64, size: u64, folio: &Arc<Folio>) -> Vec<Arc<Folio>> {
    mapping.remove(base);
    folio.set_place(None);
    m.lru.forget(folio);
    let parts = m.memory.split_folio(folio);
    let (kept, beyond) = parts.split_at((size.saturating_sub(base)).min(folio.pages()) as usize);
    for (index, part) in (base..).zip(kept) {
        part.set_place(Some(Place::File(mapping.clone(), index)));
        mapping.put_part(index, part);
        if part.dirty.load(Relaxed) {
            mapping.tag_dirty(index, part);
        }
    }
    m.lru.add_all(kept);
    beyond.to_vec()
}
