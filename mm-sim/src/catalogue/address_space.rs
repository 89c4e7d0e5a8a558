//! V, K, M and F: address spaces that change under somebody's feet.

use super::{Pair, stage};
use crate::{
    Bug, Invariant, PAGE_SIZE, PMD_SIZE,
    process::World,
    protocol::{Protocol, StackGrowth},
    scenario::{Expect, Plan},
};

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "V5",
        title: "a stack grows under the mmap lock in read mode, and page faults hold its VMA lock",
        story: "A touch below a stack moves its start down. Other page faults that took the mmap lock were kept away by\n\
                the page_table_lock. One that holds nothing but the VMA lock is not: it sees borders that are half\n\
                changed, or a node of the VMA tree that is replaced and freed (StackRot).",
        kernels: "6.1 to 6.4 (CVE-2023-3269)",
        source: "Ruihan Li, 2023",
        fix: "9471f1f2f502 and the merge before it (6.4.1): the mmap lock for writing; c137381f71ae: the VMA lock too",
        memory: 500,
        buggy: Protocol { stack_growth: StackGrowth::MmapReadLock, ..Protocol::V6_4 },
        fixed: Protocol::V6_4,
        verdict: Expect::Broken(Invariant::VmaChangedUnprotected),
        seeds: 1,
        build: grow_and_touch,
    },
    Pair {
        id: "M8",
        title: "munmap downgrades the mmap lock, and a stack grows into the hole",
        story: "munmap has taken a mapping out of the VMA tree, looked how far the gap around it goes, and goes on with\n\
                the mmap lock in read mode. A stack above the gap grows under the mmap lock in read mode. The tables\n\
                that munmap frees are in use again.",
        kernels: "4.20 to 5.7 (CVE-2020-29369)",
        source: "Jann Horn, 2020",
        fix: "246c320a8cfe: no downgrade beside a stack",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::DowngradeBesideStack),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::TableFreedUnderWalkers),
        seeds: 20,
        build: unmap_below_stack,
    },
];

/// One thread lets its stack grow, another one touches pages of it all the while.
fn grow_and_touch(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let stack = process.map_stack(4);
    stage::ignore(process.store(stack, 1));
    let other = process.clone();
    plan.actor("page-fault", move || {
        (1..4).for_each(|page| stage::ignore(other.store(stack + page * PAGE_SIZE, page)));
    });
    plan.actor("stack", move || {
        (1..12).for_each(|page| stage::ignore(process.store(stack - page * PAGE_SIZE, page)));
    });
    plan
}

/// One thread unmaps what is below a stack, another one lets the stack grow.
fn unmap_below_stack(world: &World) -> Plan {
    const BELOW: u64 = 8;
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let stack = process.map_stack(2);
    // What is below the border has a page table of its own, which the stack does not use yet.
    let border = stack / PMD_SIZE * PMD_SIZE;
    stage::ignore(process.store(border, 1));
    let below = border - 16 * PAGE_SIZE;
    let is_free = process.map_anon_at(below, BELOW);
    debug_assert!(is_free, "there is room below a stack");
    (0..BELOW).for_each(|page| stage::ignore(process.store(below + page * PAGE_SIZE, page)));
    let other = process.clone();
    plan.actor("munmap", move || process.unmap(below..below + BELOW * PAGE_SIZE));
    plan.actor("stack", move || {
        (1..6).for_each(|page| stage::ignore(other.store(border - page * PAGE_SIZE, page)));
    });
    plan
}
