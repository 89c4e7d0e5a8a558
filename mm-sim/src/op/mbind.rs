//! `mbind`: where the memory of a range is to come from.
//!
//! Lock order: `mmap_lock (write)`, per VMA `-> vma_lock (mark)` before its page tables are walked (49b0638502da),
//! `-> pte_lock -> lru_lock` to find the pages that are on another node and isolate them; then per VMA `vma_modify` and
//! `-> vma_lock (mark)` before the policy is replaced: a page fault that holds the VMA lock uses the old one without a
//! reference (6c21e066f925). What was isolated is migrated with the mmap lock dropped from 6.7 on; before it was held all the
//! while: `mmap_lock (write) -> folio_lock -> i_mmap_rwsem or anon_vma->rwsem (read) -> pte_lock`.

use std::{ops::Range, sync::Arc};

use super::{
    migrate::{self, Mode},
    vma::{merge, modify},
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Folio, Mm, Policy, Vma},
    sched,
};

/// What becomes of pages that are on another node already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// They stay.
    Stay,
    /// They move, if nobody else has them (`MPOL_MF_MOVE`).
    Move,
}

/// Sets the memory node of a range. Returns how many pages of it are on another node and stay there; `None` if part of the
/// range is not mapped.
#[inline(never)]
pub(crate) fn mbind(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>, node: u8, misplaced: Misplaced) -> Option<u64> {
    let _scope = sched::scope("mbind");
    let mut locked = Some(mm.mmap_write_lock());
    let (folios, mut staying) = queue_pages_range(m, mm, range, node, misplaced);
    let bound = bind_all(m, mm, range, node);
    if m.protocol.mbind_migrates_unlocked {
        drop(locked.take());
    }
    if bound.is_none() {
        folios.iter().for_each(|folio| migrate::putback(m, folio));
        return None;
    }
    let queued = folios.len() as u64;
    let moved = migrate::migrate_pages(m, folios, Some(node), Mode::Sync);
    m.stats.rebound.add(moved);
    staying += queued - moved;
    Some(staying)
}

/// Isolates or counts the pages of a range that are on another node; whoever walks page tables in write mode write-locks the
/// VMAs first.
#[inline(never)]
fn queue_pages_range(
    m: &Machine,
    mm: &Arc<Mm>,
    range: &Range<u64>,
    node: u8,
    misplaced: Misplaced,
) -> (Vec<Arc<Folio>>, u64) {
    let (mut folios, mut staying) = (Vec::new(), 0);
    for vma in mm.find_all(range) {
        if !m.protocol.has(Bug::PolicyWithoutVmaLock) {
            vma.vma_start_write(mm);
        }
        if vma.flags().hugetlb {
            continue;
        }
        let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
        mm.walk(m, &vma, part, &mut |_, _, entry| {
            let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return };
            if folio.node == node {
                return;
            }
            if misplaced == Misplaced::Move && folio.maps() == 1 && migrate::isolate(m, &folio) {
                folios.push(folio);
            } else {
                staying += 1;
            }
        });
    }
    (folios, staying)
}

/// Gives all VMAs of a range the policy. `None` if part of it is not mapped.
#[inline(never)]
fn bind_all(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>, node: u8) -> Option<()> {
    let mut addr = range.start;
    while addr < range.end {
        let vma = mm.find(addr)?;
        let part = addr..vma.range().end.min(range.end);
        mbind_range(m, mm, &vma, &part, node);
        addr = part.end;
    }
    Some(())
}

#[inline(never)]
fn mbind_range(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, part: &Range<u64>, node: u8) {
    if vma.policy().is_some_and(|policy| policy.node == node) {
        return;
    }
    let part = modify::cut_out(m, mm, vma, part);
    vma_replace_policy(m, mm, &part, node);
    merge::vma_merge(m, mm, &part);
}

#[inline(never)]
fn vma_replace_policy(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, node: u8) {
    m.might_reclaim(); // mpol_dup()
    if !m.protocol.has(Bug::PolicyWithoutVmaLock) {
        vma.vma_start_write(mm);
    }
    vma.replace_policy(Some(Arc::new(Policy::new(node))));
}

#[cfg(test)]
mod tests {
    use crate::{
        PAGE_SIZE, Protocol,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    const PAGES: u64 = 8;

    /// One process alone sees where its pages are.
    fn bind_and_look(world: &World) -> Plan {
        let mut plan = Plan::default();
        let Some(process) = plan.spawn(world) else { return plan };
        plan.actor("process", move || {
            let heap = process.map_anon(PAGES);
            let all = heap..heap + PAGES * PAGE_SIZE;
            assert_eq!(process.bind(all.clone(), 1), Some(0), "nothing is there yet");
            (0..PAGES).for_each(|page| process.store(heap + page * PAGE_SIZE, page).unwrap());
            assert_eq!(process.pages_by_node(), [0, PAGES]);
            assert_eq!(process.bind(all.clone(), 0), Some(PAGES), "they stay");
            assert_eq!(process.pages_by_node(), [0, PAGES]);
            assert_eq!(process.bind_and_move(heap..heap + 2 * PAGE_SIZE, 0), Some(0));
            assert_eq!(process.pages_by_node(), [2, PAGES - 2]);
            let child = process.fork().unwrap();
            assert_eq!(process.bind_and_move(all.clone(), 0), Some(PAGES - 2), "the child has them too");
            child.exit();
            assert_eq!(process.bind_and_move(all.start..all.end + PAGE_SIZE, 0), None, "it is not all mapped");
            assert_eq!(process.pages_by_node(), [2, PAGES - 2], "and all are where they were");
            assert_eq!(process.migrate(1, 0), PAGES - 2);
            assert_eq!(process.migrate(1, 0), 0);
            assert_eq!(process.bind_and_move(all, 1), Some(0));
            assert_eq!(process.pages_by_node(), [0, PAGES]);
            (0..PAGES).for_each(|page| assert_eq!(process.load(heap + page * PAGE_SIZE), Ok(page)));
        });
        plan
    }

    #[test]
    fn pages_are_where_the_policy_says_and_go_there() {
        for protocol in [Protocol::V6_1, Protocol::V6_12] {
            let setup = Setup { id: "bind-and-look", memory: 500, build: bind_and_look };
            let outcome = play(&setup, protocol, Expect::Silent, 1);
            assert!(outcome.is_expected, "{}: {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
            assert!(outcome.stats["rebound"] >= PAGES, "{:?}", outcome.stats);
        }
    }
}
