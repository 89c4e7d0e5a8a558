//! A huge page of a file moves to another place of memory (`unmap_and_move_huge_page`).
//!
//! Lock order: `folio_lock(hugetlb), old (trylock, or waits) -> folio_lock(hugetlb), new (trylock)`, and against the order of everybody else
//! `-> i_mmap_rwsem (write, trylock) -> hugetlb vma_lock (write, trylock) -> pmd_lock`; then `-> i_pages`. Who cannot have a
//! lock gives up.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::unmap::{self, Wanted};
use crate::{
    Bug,
    machine::Machine,
    mem::{Folio, HUGE_PAGES, Inode, Place},
    sched,
    sync::WriteGuard,
};

/// Our reference; the cache has one a page.
const OURS: u64 = 1;

/// Moves a huge page of a file. Returns whether it could.
#[inline(never)]
pub(crate) fn migrate_hugetlb_folio(m: &Machine, file: &Arc<Inode>, huge_index: u64) -> bool {
    let _scope = sched::scope("unmap_and_move_huge_page");
    let Some(new) = m.hugetlb.dequeue(&m.memory, false) else { return false };
    let start = huge_index * HUGE_PAGES;
    let Some(old) = file.mapping.get(start) else {
        m.put_folio(&new, 1);
        return false;
    };
    let locked = old.lock.try_lock().unwrap_or_else(|| old.lock.lock());
    let new_locked = new.lock.try_lock();
    let pages = start..start + HUGE_PAGES;
    let is_good = old.is_in(&file.mapping) && !old.is_broken.load(Relaxed);
    let done = is_good && unmap_everywhere(m, file, &pages, &old) && replace(file, start, &old, &new);
    drop(new_locked);
    drop(locked);
    if done {
        m.free_folio(&old);
        m.stats.huge_pages_migrated.add(1);
    } else {
        m.put_folio(&old, OURS);
    }
    m.put_folio(&new, 1);
    done
}

/// Takes a locked folio out of all page tables. Returns whether it is.
#[inline(never)]
fn unmap_everywhere(m: &Machine, file: &Arc<Inode>, pages: &Range<u64>, folio: &Arc<Folio>) -> bool {
    if folio.maps() == 0 {
        return true;
    }
    let Some(_i_mmap) = lock_i_mmap(m, file) else { return false };
    let vmas = file.mapping.i_mmap.lock().overlapping(pages.clone());
    vmas.iter().all(|vma| {
        let Some(mm) = vma.mm.upgrade() else { return true };
        let Some(lock) = vma.hugetlb_vma_trylock_write(&m.protocol) else { return false };
        unmap::unmap_from_file(m, &mm, vma, vma.addrs_of(pages), Wanted::Folio(folio));
        drop(lock);
        true
    }) && folio.maps() == 0
}

#[inline(never)]
fn lock_i_mmap(m: &Machine, file: &Inode) -> Option<WriteGuard> {
    if m.protocol.has(Bug::MigrationWaitsForImap) {
        return Some(file.mapping.i_mmap_rwsem.write());
    }
    file.mapping.i_mmap_rwsem.try_write()
}

/// Puts the new folio in the place of the old one, if nobody else has that.
#[inline(never)]
fn replace(file: &Inode, start: u64, old: &Arc<Folio>, new: &Arc<Folio>) -> bool {
    [old, new].iter().for_each(|folio| folio.check_locked("moved"));
    let _i_pages = file.mapping.i_pages.lock_irq();
    if old.maps() > 0 || !old.freeze(HUGE_PAGES + OURS) {
        return false;
    }
    // Who looks for the page now, without i_pages, finds a folio that nobody can have.
    sched::step();
    (0..HUGE_PAGES).for_each(|offset| new.write(new.pfn + offset, old.read(old.pfn + offset)));
    new.uptodate.store(true, Relaxed);
    new.set_place(Some(Place::File(file.mapping.clone(), start)));
    file.mapping.replace(start, new);
    old.set_place(None);
    true
}

#[cfg(test)]
mod tests {
    use crate::{
        Huge, PMD_SIZE, Protocol,
        mem::HUGE_PAGES,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    const POOL: u64 = 6;
    const PAGES: u64 = 2;
    const ROUNDS: u64 = 8;
    const SEEDS: u64 = 12;

    /// One process has promised pages of the file, which move, are punched out and cut off while others look for them.
    fn move_and_look(world: &World) -> Plan {
        let mut plan = Plan::default();
        let (Some(first), Some(second)) = (plan.spawn(world), plan.spawn(world)) else { return plan };
        world.set_huge_pages(POOL);
        let file = world.create_huge();
        first.map_huge(&file, 0, PAGES * HUGE_PAGES, Huge::Shared).unwrap();
        let (kernel, moved) = (world.clone(), file.clone());
        plan.actor("moves", move || {
            for round in 0..ROUNDS {
                for page in 0..PAGES {
                    let _moved = kernel.migrate_huge(&moved, page);
                }
                kernel.compute(20 + round);
            }
        });
        let (kernel, cut) = (world.clone(), file.clone());
        plan.actor("cuts", move || {
            for _ in 0..ROUNDS / 2 {
                kernel.punch_hole(&cut, 0..HUGE_PAGES);
                kernel.truncate(&cut, HUGE_PAGES);
                kernel.truncate(&cut, PAGES * HUGE_PAGES);
            }
        });
        plan.actor("looks", move || {
            for round in 0..ROUNDS {
                let Some(addr) = second.map_huge(&file, 0, PAGES * HUGE_PAGES, Huge::SharedNoreserve) else { continue };
                for page in 0..PAGES {
                    let _may_be_cut_off = second.store(addr + page * PMD_SIZE, round);
                }
                second.unmap(addr..addr + PAGES * PMD_SIZE);
            }
        });
        plan
    }

    #[test]
    fn a_page_that_moves_is_cached_all_the_time() {
        let setup = Setup { id: "move-and-look", memory: (POOL + 2) * HUGE_PAGES, build: move_and_look };
        for protocol in [Protocol::V6_0, Protocol::V6_1, Protocol::V6_6, Protocol::V6_12] {
            let mut migrated = 0;
            for seed in 0..SEEDS {
                let outcome = play(&setup, protocol, Expect::Silent, seed);
                let findings = (&outcome.failure, &outcome.findings);
                assert!(outcome.is_expected, "{}, seed {seed}: {} {findings:?}", protocol.name, outcome.verdict);
                migrated += outcome.stats.get("huge_pages_migrated").unwrap_or(&0);
            }
            assert!(migrated > SEEDS, "only {migrated} pages have moved");
        }
    }
}
