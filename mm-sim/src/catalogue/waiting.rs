//! R: waiting at the wrong moment.

use super::{Pair, stage};
use crate::{
    Bug, PAGE_SIZE,
    process::World,
    protocol::Protocol,
    scenario::{Expect, Plan},
};

const PAGES: u64 = 24;

pub(super) const PAIRS: &[Pair] = &[Pair {
    id: "R5",
    title: "mincore copies to user memory under the mmap lock: one reader twice, with a writer in between",
    story: "A thread holds the mmap lock for reading and stores into its own memory; the page fault takes the mmap\n\
            lock for reading again. If another thread waits to write by then, a fair lock lets nobody pass it.\n\
            Under kernels with a VMA lock the fault needs no mmap lock, most of the time: the bug hides.",
    kernels: "up to 2.6.19",
    source: "CVE-2006-4814",
    fix: "2f77d107050a: the answer is kept aside until the lock is dropped",
    memory: 500,
    buggy: Protocol::V6_1.with(Bug::MincoreUnderLock),
    fixed: Protocol::V6_1,
    verdict: Expect::Recursion("mm->mmap_lock"),
    seeds: 1,
    build: ask_and_map,
}];

fn ask_and_map(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let (data, answers) = (process.map_anon(PAGES), process.map_anon(PAGES));
    // The first touch makes the anon_vma, which always takes the mmap lock.
    stage::ignore(process.store(data, 1).and(process.store(answers, 1)));
    let other = process.clone();
    plan.actor("mincore", move || {
        for page in 1..PAGES {
            stage::ignore(process.load(data + page * PAGE_SIZE));
            stage::ignore(process.mincore(data..data + PAGES * PAGE_SIZE, answers + page * PAGE_SIZE));
        }
    });
    plan.actor("mmap", move || {
        for _ in 0..PAGES {
            let addr = other.map_anon(1);
            other.unmap(addr..addr + PAGE_SIZE);
        }
    });
    plan
}
