//! Migration: the pages of a folio move to another one, wherever they are mapped.
//!
//! Lock order: `lru_lock` to isolate; `fs_reclaim` for the new folio; `folio_lock -> folio_lock of the new one (trylock)`; `try_to_migrate` under
//! `i_mmap_rwsem` or `anon_vma->rwsem (read) -> mmu_notifier_invalidate_range_start`, `-> pte_lock`; `i_pages` to replace a
//! cached folio, whose references must all be known; and `remove_migration_ptes` under the rmap lock once more.
//!
//! A batch is unmapped as a whole and then moved as a whole (6.3). While it holds the lock of one folio it only tries those
//! of others: two batches that wait for each other's would never end. Who may wait does so for one folio at a time.
//!
//! * [`entries`]: the entries of a folio that is being moved, and putting them back.
//! * `folio`: one folio.
//! * [`compaction`], [`numa`], [`syscall`]: who migrates.

pub(crate) mod compaction;
pub(crate) mod entries;
mod folio;
pub(crate) mod numa;
pub(crate) mod syscall;

use std::sync::Arc;

use crate::{Bug, machine::Machine, mem::Folio, op::writeback, sched, sync::FolioGuard};

/// How hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It waits for nothing.
    Async,
    /// It waits for the lock of a folio, if it holds that of no other, and for memory.
    Sync,
}

/// A folio that is out of all page tables, with the one that its pages go to. Both are locked.
struct Unmapped {
    src: Arc<Folio>,
    dst: Arc<Folio>,
    was_mapped: bool,
    _locks: (FolioGuard, FolioGuard),
}

/// Moves folios that are off the LRU, each with a reference of the caller's, which it takes over, to the node `to` or
/// elsewhere on their own. Returns how many have moved; the others are put back.
#[inline(never)]
pub(crate) fn migrate_pages(m: &Machine, folios: Vec<Arc<Folio>>, to: Option<u8>, mode: Mode) -> u64 {
    let _scope = sched::scope("migrate_pages");
    let (mut moved, left) = migrate_batch(m, folios, to, mode);
    for folio in left {
        if mode == Mode::Sync && migrate_waiting(m, &folio, to) {
            moved += 1;
        } else {
            putback(m, &folio);
        }
    }
    m.stats.migrated.add(moved);
    moved
}

/// Moves what can be moved without waiting for folio locks. Returns how many, and those that are left.
#[inline(never)]
fn migrate_batch(m: &Machine, folios: Vec<Arc<Folio>>, to: Option<u8>, mode: Mode) -> (u64, Vec<Arc<Folio>>) {
    let (mut unmapped, mut left) = (Vec::new(), Vec::new());
    for src in folios {
        let waits = mode == Mode::Sync && m.protocol.has(Bug::BatchWaitsForFolio);
        let lock = || if waits { Some(src.lock.lock()) } else { src.lock.try_lock() };
        let one = alloc_target(m, &src, to, mode).and_then(|dst| unmap(m, &src, dst, lock()));
        match one {
            Some(one) => unmapped.push(one),
            None => left.push(src),
        }
    }
    let mut moved = 0;
    for one in unmapped {
        match folio::move_one(m, one) {
            Ok(()) => moved += 1,
            Err(src) => left.push(src),
        }
    }
    (moved, left)
}

/// Moves one folio, waiting for its lock: no other folio is locked.
#[inline(never)]
fn migrate_waiting(m: &Machine, src: &Arc<Folio>, to: Option<u8>) -> bool {
    let Some(dst) = alloc_target(m, src, to, Mode::Sync) else { return false };
    let locked = src.lock.lock();
    unmap(m, src, dst, Some(locked)).is_some_and(|one| folio::move_one(m, one).is_ok())
}

/// Takes a folio that is `locked` out of all page tables (`migrate_folio_unmap`).
#[inline(never)]
fn unmap(m: &Machine, src: &Arc<Folio>, dst: Arc<Folio>, locked: Option<FolioGuard>) -> Option<Unmapped> {
    let (Some(locked), Some(dst_locked), Some(_)) = (locked, dst.lock.try_lock(), src.place()) else {
        m.put_folio(&dst, 1);
        return None;
    };
    if writeback::is_under_writeback(src) {
        drop((locked, dst_locked));
        m.put_folio(&dst, 1);
        return None;
    }
    let was_mapped = src.maps() > 0;
    if was_mapped {
        entries::try_to_migrate(m, src);
    }
    if src.maps() > 0 {
        // Somebody has pinned it.
        entries::remove_migration_ptes(m, src, src);
        drop((locked, dst_locked));
        m.put_folio(&dst, 1);
        return None;
    }
    Some(Unmapped { src: src.clone(), dst, was_mapped, _locks: (locked, dst_locked) })
}

fn alloc_target(m: &Machine, src: &Folio, to: Option<u8>, mode: Mode) -> Option<Arc<Folio>> {
    let node = to.unwrap_or(src.node);
    match mode {
        Mode::Sync => m.alloc_folio_on(node, src.kind, src.pages()).ok(),
        Mode::Async => m.alloc_folio_nowait(node, src.kind, src.pages()).ok(),
    }
}

/// Takes a folio off the LRU for who has the pte lock of an entry that maps it, with a reference. Returns whether it was on.
pub(crate) fn isolate(m: &Machine, folio: &Arc<Folio>) -> bool {
    folio.get(1);
    let is_ours = m.lru.remove(folio);
    if !is_ours {
        m.put_folio(folio, 1);
    }
    is_ours
}

/// Gives a folio back to the LRU.
pub(crate) fn putback(m: &Machine, folio: &Arc<Folio>) {
    m.lru.add(folio);
    m.put_folio(folio, 1);
}
