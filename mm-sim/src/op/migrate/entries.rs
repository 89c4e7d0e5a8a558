//! `try_to_migrate` and `remove_migration_ptes`: the entries of a folio while it is being moved.
//!
//! Lock order: `folio_lock -> i_mmap_rwsem or anon_vma->rwsem (read) -> mmu_notifier_invalidate_range_start`, `-> pte_lock`.
//! Whoever faults on such an entry waits for the folio lock. What becomes of the mapping meanwhile (it is moved, copied by a
//! fork, unmapped) happens to the entries as it would to pages; so the walk that puts the pages back finds them all.

use std::{ops::Range, sync::Arc};

use crate::{
    Bug,
    machine::Machine,
    mem::{Absent, Entry, Folio, FolioKind, PAGE_SIZE, Vma, rmap},
    op::{dirty, mmu_notifier},
    sched,
};

/// Replaces all entries that map a locked folio, unless somebody has pinned it. Those of a stack that is about to be moved
/// stay: nobody would find them afterwards.
#[inline(never)]
pub(crate) fn try_to_migrate(m: &Machine, folio: &Arc<Folio>) {
    let _scope = sched::scope("try_to_migrate");
    folio.check_locked("moved");
    rmap::rmap_walk(folio, true, &mut |vma, range| try_to_migrate_one(m, folio, vma, range));
}

/// The same for who has the lock of the reverse map already (`TTU_RMAP_LOCKED`).
#[inline(never)]
pub(crate) fn try_to_migrate_locked(m: &Machine, folio: &Arc<Folio>) {
    let _scope = sched::scope("try_to_migrate");
    folio.check_locked("moved");
    rmap::rmap_walk_locked(folio, &mut |vma, range| try_to_migrate_one(m, folio, vma, range));
}

#[inline(never)]
fn try_to_migrate_one(m: &Machine, folio: &Arc<Folio>, vma: &Arc<Vma>, range: Range<u64>) {
    let Some(mm) = vma.mm.upgrade() else { return };
    if vma.flags().temporary_stack && !m.protocol.has(Bug::TemporaryStackMigrated) {
        return;
    }
    let _told = mmu_notifier::invalidate_range_start(m, &mm, &range);
    mm.walk(m, vma, range, &mut |slot, addr, entry| {
        let Some(pfn) = entry.as_page().filter(|pfn| folio.has_page(*pfn)) else { return };
        // GUP-fast sees from now on that the entry has changed, so a pin is either seen here or given up.
        let absent = Entry::migration(pfn, entry.is_writable()).uffd_wp(entry.is_uffd_wp());
        let old = slot.store(absent);
        let (page, pages) = (addr / PAGE_SIZE, slot.table.level.entry_size() / PAGE_SIZE);
        m.tlb.flush(mm.id, page..page + pages);
        if folio.kind == FolioKind::Anon && folio.is_pinned() {
            slot.store(old);
            return;
        }
        if old.is_dirty() {
            dirty::folio_mark_dirty(m, folio);
        }
        folio.unmap();
        m.put_folio(folio, 1);
    });
}

/// Lets the entries that are left of `src` map `to`: where its pages are now, or where they still are. `to` is locked, and
/// knows its place.
#[inline(never)]
pub(crate) fn remove_migration_ptes(m: &Machine, src: &Folio, to: &Arc<Folio>) {
    let _scope = sched::scope("remove_migration_ptes");
    to.check_locked("mapped again");
    rmap::rmap_walk(to, true, &mut |vma, range| remove_migration_pte(m, src, to, vma, range));
}

/// The same for who has the lock of the reverse map already (`RMP_LOCKED`).
#[inline(never)]
pub(crate) fn remove_migration_ptes_locked(m: &Machine, src: &Folio, to: &Arc<Folio>) {
    let _scope = sched::scope("remove_migration_ptes");
    to.check_locked("mapped again");
    rmap::rmap_walk_locked(to, &mut |vma, range| remove_migration_pte(m, src, to, vma, range));
}

fn remove_migration_pte(m: &Machine, src: &Folio, to: &Arc<Folio>, vma: &Arc<Vma>, range: Range<u64>) {
    let Some(mm) = vma.mm.upgrade() else { return };
    mm.walk(m, vma, range, &mut |slot, _, entry| {
        let Some(Absent::Migration(pfn)) = entry.as_absent() else { return };
        if !src.has_page(pfn) {
            return;
        }
        to.map();
        let flags = vma.flags();
        let page = Entry::page(to.pfn + (pfn - src.pfn)).uffd_wp(entry.is_uffd_wp());
        slot.store(page.writable(entry.is_writable() && flags.write).accessible(flags.read));
    });
}
