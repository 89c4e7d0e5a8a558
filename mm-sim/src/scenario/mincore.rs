//! CVE-2006-4814: `mincore` copies its answer out while it holds the mmap lock for reading.

use super::{Expect, Plan, Scenario};
use crate::{
    PAGE_SIZE,
    process::{Process, World},
    protocol::Protocol,
};

const PAGES: u64 = 24;

/// The bug.
pub(super) const BUGGY: Scenario = Scenario {
    id: "mincore-buggy",
    title: "mincore copies to user memory under the mmap lock: one reader twice, with a writer in between",
    story: "A thread holds the mmap lock for reading and stores into its own memory; the page fault takes the mmap\n\
            lock for reading again. If another thread waits to write by then, a fair lock lets nobody pass it.\n\
            Under kernels with a VMA lock the fault needs no mmap lock, most of the time: the bug hides.",
    source: "CVE-2006-4814",
    memory: 500,
    default_protocol: Protocol::V6_1,
    expect: |protocol| if protocol.vma_lock { Expect::Silent } else { Expect::Recursion("mm->mmap_lock") },
    build: |world| build(world, true),
};

/// The fix.
pub(super) const FIXED: Scenario = Scenario {
    id: "mincore-fixed",
    title: "mincore copies to user memory once it has dropped the mmap lock",
    story: "The same threads; the answer is kept aside until the lock is dropped.",
    source: "commit 2f77d107050a",
    expect: |_| Expect::Silent,
    build: |world| build(world, false),
    ..BUGGY
};

fn build(world: &World, under_lock: bool) -> Plan {
    let mut plan = Plan::default();
    let Some(process) = world.spawn() else { return plan };
    let (data, answers) = (process.map_anon(PAGES), process.map_anon(PAGES));
    // The first touch makes the anon_vma, which always takes the mmap lock.
    let _touched = process.store(data, 1).and(process.store(answers, 1));
    plan.processes.push(process.clone());
    let other = process.clone();
    plan.actor("mincore", move || ask(&process, data, answers, under_lock));
    plan.actor("mmap", move || {
        for _ in 0..PAGES {
            let addr = other.map_anon(1);
            other.unmap(addr..addr + PAGE_SIZE);
        }
    });
    plan
}

fn ask(process: &Process, data: u64, answers: u64, under_lock: bool) {
    for page in 1..PAGES {
        let _touched = process.load(data + page * PAGE_SIZE);
        let _resident = process.mincore(data..data + PAGES * PAGE_SIZE, answers + page * PAGE_SIZE, under_lock);
    }
}
