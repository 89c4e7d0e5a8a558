//! `collapse_huge_page`: 512 small pages of anonymous memory become one huge page.
//!
//! Lock order: `-> fs_reclaim` for the huge page, without locks; `mmap_lock (read)` to look once more, and to bring back
//! what is elsewhere (`swapin`); then
//! `mmap_lock (write) -> vma_lock (mark) -> anon_vma->rwsem (write) -> mmu_notifier_invalidate_range_start`, `-> pmd_lock` to take
//! the table out, `-> pte_lock -> folio_lock (trylock)` and `-> lru_lock` per small page; the anon_vma lock is dropped, the pages are
//! copied, and `-> pmd_lock -> lru_lock` maps the huge one. The table stays, deposited beside it. If anything is in the way it
//! goes back, `-> pmd_lock`: with the small pages still locked if one of them turned out to be broken when it was copied.
//!
//! So page faults, system calls and the reverse map are all kept away from the table (anonymous memory has no i_mmap).

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{huge_range, scan::Found, swapin};
use crate::{
    machine::Machine,
    mem::{Entry, Folio, FolioKind, HUGE_PAGES, Level, Mm, PAGE_SIZE, PageTable, Place, Slot, Vma},
    op::{memory_failure, mmu_notifier, pgtables, swap},
    sched,
    sync::FolioGuard,
};

/// Small pages, locked and off the LRU, each with its index in the table.
type Isolated = Vec<(usize, Arc<Folio>, FolioGuard)>;

/// What has become of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    Huge,
    /// It is as it was.
    Nothing,
    /// The same, because this frame cannot be read any more.
    Failed(u64),
}

/// Makes one huge page of the small ones at an address. Returns whether it did; it gives up when anything is in the way.
#[inline(never)]
pub(crate) fn collapse_huge_page(m: &Machine, mm: &Arc<Mm>, found: &Found) -> bool {
    let _scope = sched::scope("collapse_huge_page");
    let Ok(huge) = m.alloc_folio(FolioKind::Anon, HUGE_PAGES) else { return false };
    let made = if prepare(m, mm, found) { collapse_under_mmap_lock(m, mm, found.addr, &huge) } else { Made::Nothing };
    m.put_folio(&huge, 1);
    match made {
        Made::Huge => m.stats.anon_collapses.add(1),
        Made::Nothing => {}
        Made::Failed(pfn) => {
            m.stats.copies_failed.add(1);
            // Work that is queued for later: nothing is held any more.
            memory_failure::memory_failure(m, pfn, None);
        }
    }
    made == Made::Huge
}

/// Looks once more, and has everything that is elsewhere brought back. Returns whether it is.
fn prepare(m: &Machine, mm: &Arc<Mm>, found: &Found) -> bool {
    let mmap = mm.mmap_lock.read();
    let Some((vma, pmd)) = revalidate(m, mm, found.addr) else { return false };
    found.absent == 0 || swapin::collapse_huge_page_swapin(m, mm, mmap, (&vma, &pmd), found.addr).is_some()
}

/// Returns the VMA and the entry, if there may still be a huge page (`hugepage_vma_revalidate`, `find_pmd_or_thp_or_none`).
fn revalidate(m: &Machine, mm: &Mm, addr: u64) -> Option<(Arc<Vma>, Slot)> {
    let vma = mm.find(addr).filter(|vma| mm.users.load(Relaxed) > 0 && huge_range(m, vma, addr).is_some())?;
    let pmd = mm.slot(m, addr, Level::Pmd).filter(|pmd| pmd.load().as_table().is_some())?;
    vma.anon_vma.lock().as_ref()?;
    Some((vma, pmd))
}

#[inline(never)]
fn collapse_under_mmap_lock(m: &Machine, mm: &Arc<Mm>, addr: u64, huge: &Arc<Folio>) -> Made {
    let locked = mm.mmap_write_lock();
    let Some((vma, pmd)) = revalidate(m, &locked, addr) else { return Made::Nothing };
    vma.vma_start_write(mm);
    let Some(anon_vma) = vma.anon_vma.lock().clone() else { return Made::Nothing };
    let by_anon = anon_vma.rwsem().write();
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(addr..addr + HUGE_PAGES * PAGE_SIZE));
    let Some(table) = take_out(m, mm, &vma, &pmd, addr) else { return Made::Nothing };
    let Some(isolated) = isolate_all(m, &table) else {
        put_back(&pmd, &table);
        return Made::Nothing;
    };
    // Whoever looks for these pages by the reverse map has to lock them first.
    drop(by_anon);
    if let Err(failed) = copy(m, huge, &isolated) {
        put_back(&pmd, &table);
        release(m, isolated);
        return failed;
    }
    clear(m, mm, &table, isolated);
    huge.set_place(Some(Place::Anon(anon_vma, vma.pgoff_of(addr))));
    map(m, mm, &vma, &pmd, huge, table);
    Made::Huge
}

/// Takes the table out of its PMD entry (`pmdp_collapse_flush`).
#[inline(never)]
fn take_out(m: &Machine, mm: &Mm, vma: &Vma, pmd: &Slot, addr: u64) -> Option<Arc<PageTable>> {
    let _pmd_lock = pmd.table.lock.lock();
    let table = pmd.load().as_table().and_then(|id| m.memory.table(id))?;
    pgtables::check_excluded(m, mm, vma);
    pmd.store(Entry::NONE);
    m.tlb.flush(mm.id, addr / PAGE_SIZE..addr / PAGE_SIZE + HUGE_PAGES);
    Some(table)
}

/// Locks all small pages and takes them off the LRU. `None`, and nothing done, if one of them is in use elsewhere.
#[inline(never)]
fn isolate_all(m: &Machine, table: &PageTable) -> Option<Isolated> {
    // Nobody walks without a lock any more from here on.
    m.walks.send_interrupts();
    let _ptl = table.lock.lock();
    sched::must_hold(table.lock.is_mine(), || format!("table {} is looked at without its lock", table.id));
    let mut isolated = Isolated::new();
    let used: Vec<_> = table.used().collect();
    let all = used.into_iter().all(|(index, entry)| match isolate(m, entry) {
        Some((folio, locked)) => {
            isolated.push((index, folio, locked));
            true
        }
        None => false,
    });
    if all {
        return Some(isolated);
    }
    release(m, isolated);
    None
}

/// Lets go of small pages that stay what they are.
fn release(m: &Machine, isolated: Isolated) {
    for (_, folio, locked) in isolated {
        m.lru.add(&folio);
        drop(locked);
    }
}

/// Puts the table back under its PMD entry.
#[inline(never)]
fn put_back(pmd: &Slot, table: &PageTable) {
    let _pmd_lock = pmd.table.lock.lock();
    sched::must_hold(pmd.table.lock.is_mine(), || format!("table {} is put back without the pmd lock", table.id));
    pmd.store(Entry::table(table.id));
}

fn isolate(m: &Machine, entry: Entry) -> Option<(Arc<Folio>, FolioGuard)> {
    let folio = m.memory.folio(entry.as_page()?)?;
    if folio.kind != FolioKind::Anon || folio.is_huge() || folio.is_pinned() || entry.is_uffd_wp() {
        return None;
    }
    let locked = folio.lock.try_lock()?;
    folio.check_locked("taken for a huge page");
    // A reference that neither an entry nor the swap cache has is somebody's who uses the page.
    let expected = folio.maps() + i64::from(folio.swap().is_some());
    let is_free = folio.refs() == expected && m.lru.remove(&folio);
    is_free.then_some((folio, locked))
}

/// Copies the small pages; what was not there is zeros. Gives up at one that cannot be read: before 6.4 the machine would have
/// stopped, and here nobody notices.
#[inline(never)]
fn copy(m: &Machine, huge: &Folio, isolated: &Isolated) -> Result<(), Made> {
    huge.dirty.store(true, Relaxed);
    for (index, folio, _) in isolated {
        sched::step();
        folio.check_locked("copied into a huge page");
        if m.protocol.collapse_recovers && m.poison.has_failed(folio.pfn) {
            return Err(Made::Failed(folio.pfn));
        }
        huge.write(huge.pfn + *index as u64, folio.read(folio.pfn));
    }
    Ok(())
}

/// Lets go of the small pages, and of their slots of the swap device if nobody else needs these.
#[inline(never)]
fn clear(m: &Machine, mm: &Mm, table: &Arc<PageTable>, isolated: Isolated) {
    for (index, folio, locked) in isolated {
        {
            let _ptl = table.lock.lock();
            let slot = Slot { table: table.clone(), index };
            slot.store(Entry::NONE);
            folio.unmap();
        }
        mm.rss.fetch_sub(1, Relaxed);
        let is_needed = folio.maps() > 0 || !swap::free_swap(m, &folio);
        if is_needed {
            m.lru.add(&folio);
        }
        drop(locked);
        m.put_folio(&folio, 1);
    }
}

/// Maps the huge page, with its table beside it.
#[inline(never)]
fn map(m: &Machine, mm: &Mm, vma: &Vma, pmd: &Slot, huge: &Arc<Folio>, table: Arc<PageTable>) {
    let flags = vma.flags();
    let _pmd_lock = pmd.table.lock.lock();
    mm.check_install(vma);
    huge.map();
    m.lru.add(huge);
    mm.tables.fetch_sub(1, Relaxed);
    mm.deposit(pmd, table);
    pmd.store(Entry::page(huge.pfn).writable(flags.write).dirty().accessible(flags.read));
    mm.rss.fetch_add(HUGE_PAGES as i64, Relaxed);
}
