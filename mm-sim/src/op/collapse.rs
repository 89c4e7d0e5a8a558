//! khugepaged makes one huge folio of 512 cached pages of a file.
//!
//! Lock order: `-> fs_reclaim` for the huge folio, without locks; `invalidate_lock (read) -> i_pages` to read ahead; then
//! `folio_lock (the new one) -> i_pages -> folio_lock (each old one, trylock)`, per old folio
//! `-> i_mmap_rwsem (read) -> pte_lock` to unmap it, `-> private_lock` to free its buffers, `-> i_pages` to replace them all; and still under the new folio's
//! lock, so that no fault maps it in between, `retract_page_tables`.
//!
//! A file of shared memory is not read ahead: what is on the swap device is brought back, with its folio lock and
//! `-> i_pages`; and it may have holes, which become zeros. That they still are holes, and nobody waits to fill one of them
//! (userfaultfd), is looked at under `i_mmap_rwsem (read) -> i_pages`, where the folios are replaced.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{buffer, dirty, filemap, retract, rmap, shmem};
use crate::{
    machine::Machine,
    mem::{Folio, FolioKind, HUGE_PAGES, Inode, Place},
    sched,
    sync::FolioGuard,
};

/// References of a cached folio that is isolated: the cache's and ours.
const EXPECTED_REFS: u64 = 2;

/// Old folios with their pages, locked, off the LRU, with a reference each.
type Isolated = Vec<(u64, Arc<Folio>, FolioGuard)>;

/// What has become of a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collapsed {
    /// It is as it was.
    No,
    /// It is one huge folio.
    Yes,
    /// The same, and it is mapped where it was wanted.
    Mapped,
}

/// Collapses the 512 pages of a file from `start` on; it gives up when somebody uses a page.
#[inline(never)]
pub(crate) fn collapse_file(m: &Machine, file: &Arc<Inode>, start: u64, target: Option<retract::Target>) -> Collapsed {
    let _scope = sched::scope("collapse_file");
    let kind = if file.is_shmem() { FolioKind::Shmem } else { FolioKind::File };
    let Ok(huge) = m.alloc_folio(kind, HUGE_PAGES) else { return Collapsed::No };
    let pages = start..start + HUGE_PAGES;
    if file.is_shmem() {
        shmem::shmem_bring_in(m, file, pages)
    } else {
        read_ahead(m, file, pages)
    }
    let locked = huge.lock.try_lock();
    let mut collapsed = Collapsed::No;
    if collapse_into(m, file, start, &huge) {
        let is_mapped = retract::retract_page_tables(m, &file.mapping, (start, &huge), target);
        collapsed = if is_mapped { Collapsed::Mapped } else { Collapsed::Yes };
        m.lru.add(&huge);
        m.stats.collapses.add(1);
    } else {
        m.stats.collapses_failed.add(1);
    }
    drop(locked);
    m.put_folio(&huge, 1);
    collapsed
}

fn collapse_into(m: &Machine, file: &Arc<Inode>, start: u64, huge: &Arc<Folio>) -> bool {
    let mut old = Isolated::new();
    let mut all = start + HUGE_PAGES <= file.size();
    for index in start..start + HUGE_PAGES {
        all = all && isolate(m, file, index, &mut old);
    }
    if !all || old.is_empty() || !freeze_all(&old) {
        putback(m, old);
        return false;
    }
    copy(start, &old, huge);
    if !replace(m, file, start, huge, &old) {
        old.iter().for_each(|(_, folio, _)| folio.unfreeze(EXPECTED_REFS));
        putback(m, old);
        return false;
    }
    for (_, folio, locked) in old {
        drop(locked);
        m.free_folio(&folio);
    }
    true
}

/// Locks the folio of a page and takes it off the LRU and out of all page tables. There is nothing to do for a hole of
/// shared memory.
fn isolate(m: &Machine, file: &Arc<Inode>, index: u64, old: &mut Isolated) -> bool {
    let found = {
        let _i_pages = file.mapping.i_pages.lock_irq();
        let holds = file.mapping.i_pages.is_mine();
        sched::must_hold(holds, || format!("page {index} of file {} may leave the cache before it is locked", file.id));
        if file.is_shmem() && file.mapping.is_hole(index) {
            return true;
        }
        let folio = file.mapping.get_unless_frozen(index);
        folio.and_then(|folio| match folio.lock.try_lock() {
            Some(locked) => Some((folio, locked)),
            None => {
                m.put_folio(&folio, 1);
                None
            }
        })
    };
    let Some((folio, locked)) = found else { return false };
    if folio.is_huge() {
        // There is nothing to collapse; its tables are another matter (`collapse_pte_mapped_thp`).
        drop(locked);
        m.put_folio(&folio, 1);
        return false;
    }
    filemap::read_folio(file, &folio);
    if folio.maps() > 0 {
        rmap::try_to_unmap(m, &folio);
    }
    dirty::wait_on_writeback(&folio);
    let is_ours = m.lru.remove(&folio);
    if is_ours && !file.is_shmem() && folio.dirty.load(Relaxed) {
        // khugepaged starts writeback of a dirty file and comes back later; here the folio is clean at once.
        dirty::write_now(file, &folio);
    }
    let usable = is_ours && buffer::try_to_free_buffers(m, &file.mapping, &folio);
    if is_ours && !usable {
        m.lru.add(&folio);
    }
    if usable {
        old.push((index, folio, locked));
    } else {
        drop(locked);
        m.put_folio(&folio, 1);
    }
    usable
}

/// Brings the range into the cache, before any folio is locked: truncation locks folios under the invalidate lock.
#[inline(never)]
pub(crate) fn read_ahead(m: &Machine, file: &Arc<Inode>, pages: Range<u64>) {
    if file.is_shmem() {
        return shmem::shmem_swapin_range(m, file, pages);
    }
    let _invalidate = file.mapping.invalidate_lock.read();
    for index in pages.start..pages.end.min(file.size()) {
        if file.mapping.peek(index).is_some() {
            continue;
        }
        let Ok(folio) = filemap::add_folio(m, file, index) else { return };
        m.put_folio(&folio, 1);
    }
}

/// Takes all references of all folios, if nobody else has one.
fn freeze_all(old: &Isolated) -> bool {
    sched::step();
    let frozen = old.iter().take_while(|(_, folio, _)| folio.maps() == 0 && folio.freeze(EXPECTED_REFS)).count();
    if frozen < old.len() {
        old[..frozen].iter().for_each(|(_, folio, _)| folio.unfreeze(EXPECTED_REFS));
    }
    frozen == old.len()
}

fn putback(m: &Machine, old: Isolated) {
    for (_, folio, locked) in old {
        m.lru.add(&folio);
        drop(locked);
        m.put_folio(&folio, 1);
    }
}

/// Copies the frozen folios. Holes are zeros.
fn copy(start: u64, old: &Isolated, huge: &Folio) {
    for (index, folio, _) in old {
        huge.write(huge.pfn + (index - start), folio.read(folio.pfn));
    }
    huge.uptodate.store(true, Relaxed);
    // Shared memory is nowhere else.
    huge.dirty.store(huge.kind == FolioKind::Shmem, Relaxed);
}

/// Puts the huge folio in the place of the frozen ones and of the holes between them. Returns whether it could.
#[inline(never)]
fn replace(m: &Machine, file: &Arc<Inode>, start: u64, huge: &Arc<Folio>, old: &Isolated) -> bool {
    let mapping = &file.mapping;
    huge.check_locked("put into the cache");
    old.iter().for_each(|(_, folio, _)| folio.check_locked("taken out of the cache"));
    let pages = start..start + HUGE_PAGES;
    let has_holes = (old.len() as u64) < HUGE_PAGES;
    let _i_mmap = has_holes.then(|| mapping.i_mmap_rwsem.read());
    let _i_pages = mapping.i_pages.lock_irq();
    // Who has had a reference meanwhile may have written by it; nobody has one any more.
    if !file.is_shmem() && old.iter().any(|(_, folio, _)| folio.dirty.load(Relaxed)) {
        return false;
    }
    if has_holes && (is_waited_for(file, &pages) || mapping.count_shmem(&pages) > old.len()) {
        return false;
    }
    huge.set_place(Some(Place::File(mapping.clone(), start)));
    mapping.replace(start, huge);
    old.iter().for_each(|(_, folio, _)| folio.set_place(None));
    if has_holes {
        m.stats.holes_filled.add(1);
    }
    true
}

/// Returns whether user code may want to fill a hole of a range itself. The caller has i_mmap.
fn is_waited_for(file: &Inode, pages: &Range<u64>) -> bool {
    let vmas = file.mapping.i_mmap.lock().overlapping(pages.clone());
    vmas.iter().any(|vma| vma.flags().uffd_missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Protocol,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    /// A page is written to by whoever has had a reference since before it was taken out of the page tables, and then let go of.
    fn collapse_what_becomes_dirty(world: &World) -> Plan {
        let mut plan = Plan::default();
        let (kernel, file) = (world.clone(), world.create(HUGE_PAGES));
        plan.actor("collapse", move || {
            let (m, file) = (&*kernel.machine, &file.0);
            read_ahead(m, file, 0..HUGE_PAGES);
            m.lru.add_drain_all();
            for becomes_dirty in [true, false] {
                let huge = m.alloc_folio(FolioKind::File, HUGE_PAGES).expect("there is memory");
                let locked = huge.lock.try_lock();
                let mut old = Isolated::new();
                assert!((0..HUGE_PAGES).all(|index| isolate(m, file, index, &mut old)));
                if becomes_dirty {
                    dirty::folio_mark_dirty(m, &old[3].1);
                }
                assert!(freeze_all(&old));
                assert_eq!(replace(m, file, 0, &huge, &old), !becomes_dirty);
                if becomes_dirty {
                    old.iter().for_each(|(_, folio, _)| folio.unfreeze(EXPECTED_REFS));
                    putback(m, old);
                } else {
                    old.into_iter().for_each(|(_, folio, _)| m.free_folio(&folio));
                    m.lru.add(&huge);
                }
                drop(locked);
                m.put_folio(&huge, 1);
            }
            kernel.writeback(&crate::world::File(file.clone()));
        });
        plan
    }

    #[test]
    fn what_becomes_dirty_while_it_is_collapsed_stays_as_it_is() {
        let setup = Setup { id: "collapse-dirty", memory: 3000, build: collapse_what_becomes_dirty };
        let outcome = play(&setup, Protocol::V6_12, Expect::Silent, 1);
        assert!(outcome.is_expected, "{} {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
    }
}
