//! K: walks of page tables without locks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use super::{Pair, stage};
use crate::{
    Bug, Invariant, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    scenario::{Expect, Plan},
    world::World,
};

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "K2",
        title: "khugepaged frees a page table while GUP-fast walks it",
        story: "GUP-fast takes no lock; interrupts that are off protect it, because whoever frees a table interrupts every\n\
            processor first. Where tables are freed by RCU the flush of the TLBs need not do that any more, and\n\
            khugepaged, which frees its table at once, relied on it.",
        kernels: "2.6.38 to 6.1",
        source: "Yang Shi, 2022-09; Jann Horn, 2022-11",
        fix: "70cbc3cc78a9: GUP-fast checks the PMD entry again; 2ba99c5e0881 (6.2): khugepaged interrupts the others",
        memory: 4000,
        buggy: Protocol::V6_1.with(Bug::TableFreedWithoutInterrupt),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::TableUsedAfterFree),
        seeds: 40,
        build: collapse_and_pin,
    },
    Pair {
        id: "K2b",
        title: "GUP-fast does not look at the PMD entry again",
        story: "The page-table entry is the same still when GUP-fast has its reference, but the table that it is in has been\n\
            taken out or moved meanwhile. The process has the page at that address no more.",
        kernels: "2.6.38 to 6.0",
        source: "Yang Shi, 2022-09",
        fix: "70cbc3cc78a9: GUP-fast checks the PMD entry again",
        memory: 4000,
        buggy: Protocol::V6_1.with(Bug::FastPmdNotCheckedAgain),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::PinBroken),
        seeds: 20,
        build: move_and_pin,
    },
];

/// One actor looks for pages of a file mapping all the time; khugepaged collapses the file again and again.
fn collapse_and_pin(world: &World) -> Plan {
    const ROUNDS: u64 = 4;
    let mut plan = Plan::default();
    let library = world.create(HUGE_PAGES);
    let (process, code) = stage::sleeper(world, &library, HUGE_PAGES, &mut plan);
    let (kernel, done) = (world.clone(), Arc::new(AtomicBool::new(false)));
    let toucher = process.clone();
    let finished = done.clone();
    plan.actor("khugepaged", move || {
        for _ in 0..ROUNDS {
            stage::ignore(toucher.load(code));
            let _collapsed = (0..4).any(|_| kernel.collapse(&library, 0));
            kernel.truncate(&library, 0);
            kernel.truncate(&library, HUGE_PAGES);
        }
        finished.store(true, Relaxed);
    });
    plan.actor("gup-fast", move || {
        // A page that is not there is not brought in, or khugepaged would never get them all.
        while !done.load(Relaxed) {
            process.peek(code);
        }
    });
    plan
}

/// One actor looks for a page all the time; another one moves the table that maps it.
fn move_and_pin(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(HUGE_PAGES);
    stage::ignore(process.store(heap, 1));
    let (place, mover) = (Arc::new(AtomicU64::new(heap)), process.clone());
    let next = place.clone();
    plan.actor("mremap", move || {
        for _ in 0..24 {
            let heap = next.load(Relaxed);
            next.store(mover.remap(heap..heap + PMD_SIZE).unwrap_or(heap), Relaxed);
        }
        next.store(0, Relaxed);
    });
    plan.actor("gup-fast", move || {
        while place.load(Relaxed) > 0 {
            process.peek(place.load(Relaxed));
        }
    });
    plan
}
