//! User code is told of writes to huge pages (`UFFDIO_REGISTER`, `UFFDIO_WRITEPROTECT`).
//!
//! Lock order: `mmap_lock (write), vma_lock (mark)` to register, or `mmap_lock (read) -> map_changing_lock (read)` to protect,
//! `-> mmu_notifier_invalidate_range_start -> hugetlb vma_lock (write) -> i_mmap_rwsem (write) -> pmd_lock`; under i_mmap
//! `-> fs_reclaim` for tables, because a place without a page is marked too. The TLBs are flushed before i_mmap is dropped.
//!
//! What is protected in a table is protected for all who use it, so such a mapping shares none.

use std::{ops::Range, sync::Arc};

use super::{
    share::{check_entry_locked, huge_pte_alloc, hugetlb_walk, unshare_pmds},
    unmap::lock_tables,
};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Absent, Entry, Mm, OutOfMemory, PAGE_SIZE, PMD_SIZE, PUD_SIZE, Slot, Vma},
    op::mmu_notifier,
    sched,
};

/// Gives up all tables of a VMA that others use too: it will share none from now on. The VMA is write-locked, and says so
/// already.
#[inline(never)]
pub(crate) fn hugetlb_unshare_all_pmds(m: &Machine, mm: &Mm, vma: &Arc<Vma>) {
    let _scope = sched::scope("hugetlb_unshare_all_pmds");
    let own = vma.range();
    // What is not a whole 1 GiB has never been shared.
    let range = own.start.next_multiple_of(PUD_SIZE)..own.end / PUD_SIZE * PUD_SIZE;
    if vma.flags().shared && range.start < range.end {
        let _told = mmu_notifier::invalidate_range_start(m, mm, &range);
        let _locked = lock_tables(m, vma);
        unshare_pmds(m, mm, vma, range);
    }
}

/// Protects the huge pages of a range from writes, so that user code is told of them, or lets them be written again.
#[inline(never)]
pub(crate) fn hugetlb_uffd_wp_range(
    m: &Machine,
    mm: &Mm,
    vma: &Arc<Vma>,
    range: &Range<u64>,
    protect: bool,
) -> Result<(), OutOfMemory> {
    let _scope = sched::scope("hugetlb_change_protection");
    let _told = mmu_notifier::invalidate_range_start(m, mm, range);
    let _locked = lock_tables(m, vma);
    for addr in (range.start..range.end).step_by(PMD_SIZE as usize) {
        let slot = if protect { Some(huge_pte_alloc(m, mm, vma, addr)?) } else { hugetlb_walk(m, mm, vma, addr) };
        if let Some(slot) = slot {
            let _pmd_lock = slot.table.lock.lock();
            set_uffd_wp(vma, &slot, protect);
        }
    }
    m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE);
    Ok(())
}

fn set_uffd_wp(vma: &Vma, slot: &Slot, protect: bool) {
    check_entry_locked(slot);
    if slot.table.is_shared() {
        let text =
            format!("vma {} protects pages from writes in table {}, which others use too", vma.id, slot.table.id);
        sched::finding(Invariant::TableSharedWrongly, text);
    }
    let entry = slot.load();
    match entry.as_absent() {
        None if entry.is_page() => {
            slot.update(|entry| entry.writable(entry.is_writable() && !protect).uffd_wp(protect));
        }
        None if protect => {
            slot.store(Entry::marker().uffd_wp(true));
        }
        Some(Absent::Marker) if !protect => {
            slot.store(Entry::NONE);
        }
        // A broken page is not written to.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };

    use crate::{
        Advice, Huge, PAGE_SIZE, PMD_SIZE, PUD_SIZE, Protocol,
        mem::HUGE_PAGES,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    const POOL: u64 = 8;

    /// Writes to a page that is protected again and again, whatever becomes of it in between.
    fn protect_and_write(world: &World) -> Plan {
        let mut plan = Plan::default();
        let (Some(first), Some(second)) = (plan.spawn(world), plan.spawn(world)) else { return plan };
        let (kernel, uffd, done) = (world.clone(), first.userfaultfd(), Arc::new(AtomicBool::new(false)));
        let (told, clock, ended) = (uffd.clone(), world.clone(), done.clone());
        plan.actor("told", move || {
            while !ended.load(Relaxed) {
                match told.read() {
                    Some(message) => {
                        assert!(message.is_protected);
                        let page = message.addr..message.addr + PMD_SIZE;
                        told.resolve(page.clone(), |told| told.protect(page.clone(), false));
                    }
                    None => clock.compute(5),
                }
            }
        });
        plan.actor("writer", move || {
            kernel.set_huge_pages(POOL);
            let file = kernel.create_huge();
            let map = || first.map_huge(&file, 0, PUD_SIZE / PAGE_SIZE, Huge::SharedNoreserve).unwrap();
            let mine = map();
            let yours = second.map_huge(&file, 0, PUD_SIZE / PAGE_SIZE, Huge::SharedNoreserve).unwrap();
            let count = |name: &str| kernel.machine.stats.to_map().get(name).copied().unwrap_or(0);
            first.store(mine, 1).unwrap();
            assert_eq!((second.load(yours), count("tables_shared")), (Ok(1), 1));
            assert!(uffd.register(mine..mine + PUD_SIZE, false, true));
            assert_eq!(count("tables_unshared"), 1, "who is told of writes shares no table");
            let protect = || uffd.protect(mine..mine + 2 * PMD_SIZE, true);
            let steps: [&dyn Fn(); 5] = [
                &|| {},
                &|| assert_eq!(first.load(mine), Ok(1)),
                &|| assert!(kernel.migrate_huge(&file, 0)),
                &|| assert!(first.advise(mine..mine + PMD_SIZE, Advice::DontNeed)),
                &|| assert!(kernel.punch_hole(&file, 0..HUGE_PAGES)),
            ];
            for (times, step) in (1..).zip(steps) {
                protect();
                step();
                first.store(mine, 1).unwrap();
                assert_eq!(count("userfaults"), times);
                second.store(yours, 1).unwrap();
                assert_eq!(count("userfaults"), times, "nobody asks what the other one writes");
            }
            assert_eq!(count("tables_shared"), 1);
            protect();
            let moved = first.remap(mine..mine + PUD_SIZE).unwrap();
            first.store(moved, 2).unwrap();
            assert_eq!(count("userfaults"), 6);
            uffd.protect(moved..moved + 2 * PMD_SIZE, true);
            uffd.unregister(moved..moved + PMD_SIZE);
            first.store(moved, 3).unwrap();
            uffd.register(moved..moved + PMD_SIZE, false, true);
            first.store(moved, 4).unwrap();
            assert_eq!(count("userfaults"), 6, "it has been undone");
            first.store(moved + PMD_SIZE, 5).unwrap();
            assert_eq!(count("userfaults"), 7);
            assert_eq!(second.load(yours), Ok(4));
            done.store(true, Relaxed);
            uffd.close();
        });
        plan
    }

    #[test]
    fn user_code_is_told_of_each_write_to_a_protected_huge_page() {
        for protocol in [Protocol::V6_0, Protocol::V6_1, Protocol::V6_6, Protocol::V6_12] {
            let setup = Setup { id: "protect-and-write", memory: (POOL + 1) * HUGE_PAGES, build: protect_and_write };
            let outcome = play(&setup, protocol, Expect::Silent, 1);
            assert!(outcome.is_expected, "{}: {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
        }
    }
}
