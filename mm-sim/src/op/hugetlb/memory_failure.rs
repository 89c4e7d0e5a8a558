//! The hardware reports that a huge page is broken (`try_memory_failure_hugetlb`).
//!
//! Lock order: `mf_mutex -> hugetlb_lock` to mark the page and take a reference, `-> folio_lock(hugetlb)`, under it the processes
//! are found as for any page; then, against the order of everybody else, `-> i_mmap_rwsem (write, trylock) -> hugetlb vma_lock
//! (write, trylock) -> pmd_lock` for a page of the cache, or `-> anon_vma->rwsem (read) -> pmd_lock` for a private one. Who cannot
//! have a lock leaves the page where it is mapped. Whoever comes upon a page that is marked already looks for it under
//! `mf_mutex -> mmap_lock (read) -> hugetlb vma_lock (read)`.
//!
//! A page of the cache stays there until the file is cut, and whoever faults on it gets a signal. A page that is freed does not
//! go back to the pool.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    share::{check_entry_locked, hugetlb_walk, lock_walk},
    unmap::{self, Wanted},
};
use crate::{
    machine::Machine,
    mem::{AddressSpace, Entry, Folio, HUGE_PAGES, Level, Mm, PAGE_SIZE, PMD_SIZE, Place, Vma, rmap::rmap_walk},
    op::{
        memory_failure::{AccessedBy, Handled, collect_procs, kill_accessing_process, page_in},
        mmu_notifier,
    },
    sched,
};

/// Handles the failure of the page `pfn` of a huge page. The caller has `mf_mutex`.
#[inline(never)]
pub(crate) fn memory_failure_hugetlb(
    m: &Machine,
    folio: &Arc<Folio>,
    pfn: u64,
    accessed_by: AccessedBy<'_>,
) -> Handled {
    let _scope = sched::scope("try_memory_failure_hugetlb");
    // Whoever faults on it may get a signal as soon as it is marked.
    if let Some(Place::File(mapping, index)) = folio.place().filter(|_| !folio.is_broken.load(Relaxed)) {
        m.model.break_file(mapping.file, index..index + HUGE_PAGES, false);
    }
    match m.hugetlb.get_for_hwpoison(folio) {
        Some(true) => {}
        Some(false) => return kill_accessing_process(m, pfn, accessed_by),
        // It is on its way into a file or to the pool.
        None => return Handled::Free,
    }
    let handled = {
        let _locked = folio.lock.lock();
        handle_locked(m, folio)
    };
    m.poison.handle(folio.pfn..folio.pfn + HUGE_PAGES);
    m.put_folio(folio, 1);
    if handled == Handled::Recovered {
        m.stats.memory_failures.add(1);
    }
    handled
}

/// Looks for a frame in the page tables of a VMA, as for a small page, but without the locks of the entries.
#[inline(never)]
pub(crate) fn find_in(m: &Machine, mm: &Mm, vma: &Arc<Vma>, pfn: u64, tell: &mut dyn FnMut(u64)) -> bool {
    let range = vma.range();
    let _walk = lock_walk(m, vma);
    let found = (range.start..range.end).step_by(PMD_SIZE as usize).find_map(|addr| {
        let entry = hugetlb_walk(m, mm, vma, addr)?.load();
        page_in(entry, pfn, PMD_SIZE).map(|page| addr + page * PAGE_SIZE)
    });
    found.into_iter().for_each(tell);
    found.is_some()
}

fn handle_locked(m: &Machine, folio: &Arc<Folio>) -> Handled {
    folio.check_locked("given up");
    match folio.place() {
        Some(Place::File(mapping, index)) => {
            let pages = index..index + HUGE_PAGES;
            m.stats.processes_hit.add(collect_procs(m, folio));
            if !unmap_from_mappings(m, &mapping, index, folio) {
                return Handled::Ignored;
            }
            m.model.break_file(mapping.file, pages, true);
            Handled::Recovered
        }
        Some(Place::Anon(..)) => {
            m.stats.processes_hit.add(collect_procs(m, folio));
            unmap_private(m, folio);
            Handled::Recovered
        }
        // It is on its way back to the pool, which will not take it.
        Some(Place::Ksm(_)) | None => Handled::Recovered,
    }
}

/// Takes a page of the cache out of all page tables. Returns whether it is.
#[inline(never)]
fn unmap_from_mappings(m: &Machine, mapping: &AddressSpace, index: u64, folio: &Arc<Folio>) -> bool {
    let Some(_i_mmap) = mapping.i_mmap_rwsem.try_write() else { return folio.maps() == 0 };
    let pages = index..index + HUGE_PAGES;
    let vmas = mapping.i_mmap.lock().overlapping(pages.clone());
    for vma in vmas {
        let Some(mm) = vma.mm.upgrade() else { continue };
        let Some(lock) = vma.hugetlb_vma_trylock_write(&m.protocol) else { continue };
        let holds = vma.is_hugetlb_locked(&m.protocol, true);
        sched::must_hold(holds, || format!("a broken page is taken out of vma {}, which others may share", vma.id));
        unmap::unmap_from_file(m, &mm, &vma, vma.addrs_of(&pages), Wanted::Poison(folio));
        drop(lock);
    }
    folio.maps() == 0
}

/// Takes a private page out of all page tables: since a fork several processes may have it.
#[inline(never)]
fn unmap_private(m: &Machine, folio: &Arc<Folio>) {
    rmap_walk(folio, true, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        let _told = mmu_notifier::invalidate_range_start(m, &mm, &range);
        let Some(slot) = mm.slot(m, range.start, Level::Pmd) else { return };
        let _pmd_lock = slot.table.lock.lock();
        check_entry_locked(&slot);
        if slot.load().as_page() != Some(folio.pfn) {
            return;
        }
        let page = range.start / PAGE_SIZE;
        slot.store(Entry::hwpoison(folio.pfn));
        m.tlb.flush(mm.id, page..page + HUGE_PAGES);
        m.model.break_pages(mm.id, page..page + HUGE_PAGES);
        folio.unmap();
        m.put_folio(folio, 1);
    });
}

#[cfg(test)]
mod tests {
    use crate::{
        Advice, Huge, PMD_SIZE, Protocol, Signal,
        mem::HUGE_PAGES,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    const POOL: u64 = 8;

    /// Two processes share a huge page that breaks, and a child one of its parent's own.
    fn break_and_look(world: &World) -> Plan {
        let mut plan = Plan::default();
        let (Some(first), Some(second)) = (plan.spawn(world), plan.spawn(world)) else { return plan };
        let kernel = world.clone();
        plan.actor("observer", move || {
            assert_eq!(kernel.set_huge_pages(POOL), POOL);
            let file = kernel.create_huge();
            let mine = first.map_huge(&file, 0, 2 * HUGE_PAGES, Huge::Shared).unwrap();
            let yours = second.map_huge(&file, 0, 2 * HUGE_PAGES, Huge::SharedNoreserve).unwrap();
            first.store(mine, 1).unwrap();
            first.store(mine + PMD_SIZE, 2).unwrap();
            assert!(kernel.break_page(&first, mine));
            assert!(!kernel.break_page(&first, mine), "it is mapped nowhere");
            assert_eq!(first.load(mine), Err(Signal::Bus));
            assert_eq!(second.load(yours), Err(Signal::Bus), "who comes later finds it in the cache");
            assert_eq!(second.load(yours + PMD_SIZE), Ok(2));
            kernel.truncate(&file, 0);
            kernel.truncate(&file, 2 * HUGE_PAGES);
            assert_eq!(first.load(mine), Ok(0), "it is another page");
            assert_eq!(kernel.machine.hugetlb.counts().total, POOL - 1);
            let own = first.map_huge(&file, 0, HUGE_PAGES, Huge::Private).unwrap();
            first.store(own, 3).unwrap();
            let child = first.fork().unwrap();
            assert!(kernel.break_page(&first, own));
            assert_eq!((first.load(own), child.load(own)), (Err(Signal::Bus), Err(Signal::Bus)));
            let grandchild = child.fork().unwrap();
            assert_eq!(grandchild.load(own), Err(Signal::Bus));
            grandchild.exit();
            child.exit();
            first.advise(own..own + PMD_SIZE, Advice::DontNeed);
            assert_eq!(first.load(own), Ok(0), "what the file has");
            assert_eq!(kernel.machine.hugetlb.counts().total, POOL - 2);
        });
        plan
    }

    #[test]
    fn broken_huge_pages_are_used_by_nobody_and_leave_the_pool() {
        for protocol in [Protocol::V6_1, Protocol::V6_12] {
            let setup = Setup { id: "break-and-look", memory: (POOL + 1) * HUGE_PAGES, build: break_and_look };
            let outcome = play(&setup, protocol, Expect::Silent, 1);
            assert!(outcome.is_expected, "{}: {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
            assert_eq!(outcome.stats["memory_failures"], 2);
        }
    }

    /// Why page faults do not hold i_mmap any more: H1 of the catalogue, without its bug.
    #[test]
    fn up_to_6_0_memory_failure_inverts_the_locks_of_page_faults() {
        let setup = Setup { id: "break-and-look", memory: (POOL + 1) * HUGE_PAGES, build: break_and_look };
        let expected = Expect::Cycle(&["hugetlbfs i_mmap_rwsem", "folio_lock(hugetlb)"]);
        let outcome = play(&setup, Protocol::V6_0, expected, 1);
        assert!(outcome.is_expected, "{}: {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
    }
}
