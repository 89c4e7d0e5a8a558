//! Emptying the entries of a VMA that ends, or of a part of it, whatever sort of memory it maps.
//!
//! Lock order: under the mmap lock, or a lock of the reverse map, as [`Gather`] and hugetlbfs have it:
//! `-> mmu_notifier_invalidate_range_start -> pte_lock, pmd_lock`, or `-> hugetlb vma_lock -> i_mmap_rwsem -> pte_lock`.

use std::{ops::Range, sync::Arc};

use super::{gather::Gather, huge_pmd, hugetlb};
use crate::{
    machine::Machine,
    mem::{Mm, Vma},
};

/// Empties a range of a VMA into `gather`.
pub(crate) fn unmap_single_vma(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>, gather: &mut Gather) {
    if vma.is_hugetlb() {
        hugetlb::unmap::zap_final(m, mm, vma, range, gather);
    } else {
        // A page fault may bring in a huge page over an edge after those that were there have been taken apart.
        loop {
            huge_pmd::split_edges(m, mm, vma, &range);
            if !gather.zap_all(m, mm, vma, &range) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Advice, PAGE_SIZE, PMD_SIZE, Protocol,
        mem::HUGE_PAGES,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    /// A part of a huge page is given up while another thread brings the huge page in.
    fn discard_and_touch(world: &World) -> Plan {
        let mut plan = Plan::default();
        let Some(process) = plan.spawn(world) else { return plan };
        let heap = process.map_anon(2 * HUGE_PAGES).next_multiple_of(PMD_SIZE);
        world.use_huge_pages_always();
        let toucher = process.clone();
        plan.actor("touch", move || {
            for round in 1..=8 {
                toucher.store(heap + PMD_SIZE - PAGE_SIZE, round).expect("there is memory");
                assert_eq!(toucher.load(heap + PMD_SIZE - PAGE_SIZE), Ok(round), "nobody gives this page up");
                toucher.unmap(heap..heap + PMD_SIZE);
                toucher.map_anon_at(heap, HUGE_PAGES);
            }
        });
        plan.actor("discard", move || {
            for _ in 0..40 {
                process.advise(heap..heap + 3 * PAGE_SIZE, Advice::DontNeed);
            }
        });
        plan
    }

    #[test]
    fn a_huge_page_that_comes_meanwhile_is_given_up_in_part_only() {
        let setup = Setup { id: "discard-and-touch", memory: 4 * HUGE_PAGES, build: discard_and_touch };
        for seed in 1..=100 {
            let outcome = play(&setup, Protocol::V6_12, Expect::Silent, seed);
            assert!(
                outcome.is_expected,
                "seed {seed}: {} {:?} {:?}",
                outcome.verdict, outcome.failure, outcome.findings
            );
        }
    }
}
