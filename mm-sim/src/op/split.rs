//! Splitting a huge folio into pages, and the shrinker that does it to get memory back.
//!
//! Lock order: `fs_reclaim -> split_queue_lock` to find one, then `-> folio_lock (trylock)`. Of a file, all under
//! `-> i_mmap_rwsem (read)`: `-> pte_lock` to unmap it, and `-> inode->i_lock -> i_pages`, `-> split_queue_lock`,
//! `-> lruvec->lru_lock`. Of anonymous memory, all under `-> anon_vma->rwsem (write)`: `-> pmd_lock`, `-> pte_lock` to unmap it as
//! if it were moved, `-> split_queue_lock`, `-> lruvec->lru_lock`, and `-> pte_lock` to map the pages. Whoever has the folio
//! locked may be waiting for reclaim, so the shrinker must not wait for the lock ([`Bug::ShrinkerWaitsForFolioLock`]).

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{huge_pmd, migrate::entries, rmap};
use crate::{
    Bug,
    machine::Machine,
    mem::{Absent, AddressSpace, AnonVma, Entry, Folio, Level, PMD_SIZE, Place, Slot, rmap::rmap_walk_locked},
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

/// Splits a locked huge folio. Returns whether it did: then the folio is gone, and the caller's reference with it.
#[inline(never)]
pub(crate) fn split_folio(m: &Machine, folio: &Arc<Folio>) -> bool {
    let _scope = sched::scope("split_folio");
    if folio.writeback.load(Relaxed) || folio.is_pinned() || !folio.is_huge() {
        return false;
    }
    let split = match folio.place() {
        Some(Place::File(mapping, base)) => split_cached(m, folio, &mapping, base),
        Some(Place::Anon(anon_vma, base)) => split_anon(m, folio, &anon_vma, base),
        Some(Place::Ksm(_)) | None => false,
    };
    if split {
        m.stats.splits.add(1);
    }
    split
}

/// Splits a folio of a file; pages beyond the end go.
#[inline(never)]
fn split_cached(m: &Machine, folio: &Arc<Folio>, mapping: &Arc<AddressSpace>, base: u64) -> bool {
    let Some(file) = m.files.lock().iter().find(|file| file.id == mapping.file).cloned() else { return false };
    let _i_mmap = mapping.i_mmap_rwsem.read();
    rmap::try_to_unmap_locked(m, folio);
    let holds = mapping.i_mmap_rwsem.is_mine();
    sched::must_hold(holds, || format!("folio {} is split while it may be mapped anew", folio.pfn));
    let beyond = {
        let _i_lock = mapping.i_lock.lock();
        let _i_pages = mapping.i_pages.lock_irq();
        if !m.split_queue.freeze(folio, folio.pages() + OURS) {
            return false;
        }
        replace(m, mapping, base, file.size(), folio)
    };
    m.memory.forget_folio(folio);
    beyond.iter().for_each(|part| m.put_folio(part, 1));
    true
}

/// Puts pages where the frozen folio was. Returns those beyond the end, which nobody wants. The caller has `i_pages`.
fn replace(m: &Machine, mapping: &Arc<AddressSpace>, base: u64, size: u64, folio: &Arc<Folio>) -> Vec<Arc<Folio>> {
    folio.set_place(None);
    m.lru.forget(folio);
    let parts = m.memory.split_folio(folio);
    let (kept, beyond) = parts.split_at((size.saturating_sub(base)).min(folio.pages()) as usize);
    for (index, part) in (base..).zip(kept) {
        part.set_place(Some(Place::File(mapping.clone(), index)));
    }
    mapping.put_parts(base, kept);
    m.lru.add_all(kept);
    beyond.to_vec()
}

/// Splits a folio of anonymous memory. Whoever wants one of its pages meanwhile waits, as if they were being moved.
#[inline(never)]
fn split_anon(m: &Machine, folio: &Arc<Folio>, anon_vma: &Arc<AnonVma>, base: u64) -> bool {
    if folio.mlocked.load(Relaxed) {
        return false;
    }
    let parts = {
        let _rwsem = anon_vma.rwsem().write();
        split_pmds(m, folio);
        entries::try_to_migrate_locked(m, folio);
        let holds = anon_vma.rwsem().is_mine_to_write();
        sched::must_hold(holds, || format!("folio {} is split under the eyes of reverse-map walks", folio.pfn));
        if !m.split_queue.freeze(folio, OURS) {
            entries::remove_migration_ptes_locked(m, folio, folio);
            return false;
        }
        m.lru.forget(folio);
        let parts = m.memory.split_folio(folio);
        for (index, part) in (base..).zip(&parts) {
            part.set_place(Some(Place::Anon(anon_vma.clone(), index)));
        }
        m.lru.add_all(&parts);
        remap(m, folio, &parts);
        parts
    };
    folio.set_place(None);
    m.memory.forget_folio(folio);
    // Pages that nobody maps any more go.
    parts.iter().for_each(|part| m.put_folio(part, 1));
    true
}

/// Has the folio mapped page by page wherever one entry maps all of it. The caller has the lock of the reverse map.
#[inline(never)]
fn split_pmds(m: &Machine, folio: &Arc<Folio>) {
    rmap_walk_locked(folio, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        for addr in range.step_by(PMD_SIZE as usize) {
            let maps = |pmd: &Slot| pmd.load().as_page().is_some_and(|pfn| folio.has_page(pfn));
            if mm.slot(m, addr, Level::Pmd).is_some_and(|pmd| maps(&pmd)) {
                huge_pmd::split_huge_pmd(m, &mm, vma, addr);
            }
        }
    });
}

/// Lets the entries of the old folio map its pages, which are folios of their own now. The caller has the lock of the reverse map.
#[inline(never)]
fn remap(m: &Machine, folio: &Folio, parts: &[Arc<Folio>]) {
    rmap_walk_locked(folio, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        mm.walk(m, vma, range, &mut |slot, _, entry| {
            let Some(Absent::Migration(pfn)) = entry.as_absent().filter(|_| slot.table.level == Level::Pte) else {
                return;
            };
            if folio.has_page(pfn) {
                let part = &parts[(pfn - folio.pfn) as usize];
                part.map();
                let flags = vma.flags();
                let page = Entry::page(part.pfn).uffd_wp(entry.is_uffd_wp());
                slot.store(page.writable(entry.is_writable() && flags.write).accessible(flags.read));
            }
        });
    });
}
