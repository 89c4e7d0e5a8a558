//! M, R and V: processes that end, memory that goes, and who looks at a process from outside.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{Pair, stage};
use crate::{
    Access, Bug, Invariant, PAGE_SIZE,
    process::World,
    protocol::Protocol,
    scenario::{Expect, Plan},
};

/// What 6.17 reads `/proc/PID/maps` by.
const MAPS_BY_VMA: Protocol = Protocol { maps_under_vma_lock: true, ..Protocol::V6_12 };

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "M10",
        title: "a process that ends frees its page tables beside who reaps it",
        story: "process_mrelease zaps the memory of a killed process under the mmap lock in read mode. The process itself\n\
                ends meanwhile, and freed its page tables without any lock: who should still use them?",
        kernels: "5.15 to 5.18",
        source: "Suren Baghdasaryan, 2021 and 2022",
        fix: "64591e8605d6: exit_mmap takes the mmap lock in write mode to free them",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::ExitFreesTablesUnlocked),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::TableFreedUnderWalkers),
        seeds: 1,
        build: exit_and_reap,
    },
    Pair {
        id: "R6",
        title: "memory going offline holds KSM's mutex while it tells others",
        story: "KSM must not make folios while memory is going away, so it took its mutex when it was told so, and let go\n\
                when it was told that the memory had gone. Both messages come under the rwsem of the list of listeners:\n\
                the first takes the mutex under it, the second takes it under the mutex.",
        kernels: "2.6.36 to 3.11",
        source: "lockdep; hidden by a nesting annotation for years",
        fix: "a flag instead of the mutex (KSM_RUN_OFFLINE)",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::OfflineKeepsKsmMutex),
        fixed: Protocol::V6_1,
        verdict: Expect::Cycle(&["memory_chain.rwsem", "ksm_thread_mutex"]),
        seeds: 1,
        build: offline_and_merge,
    },
    Pair {
        id: "V10",
        title: "reading /proc/PID/maps returns to user space with a VMA locked",
        story: "To read the mappings without the mmap lock, each VMA is read-locked in turn. It may have changed between\n\
                being found and being locked; then the reader looks for another one. One of these ways did not let go\n\
                of the first. Whoever wants to change that VMA waits for ever.",
        kernels: "linux-next, 6.16-rc4 and rc5",
        source: "syzbot+80011ad33eec39e6ce42, 2025-06",
        fix: "the series was revised before 6.17",
        memory: 500,
        buggy: MAPS_BY_VMA.with(Bug::MapsKeepVmaLock),
        fixed: MAPS_BY_VMA,
        verdict: Expect::Broken(Invariant::LockHeldAtExit),
        seeds: 40,
        build: read_maps_and_protect,
    },
];

/// A killed process ends while somebody wants its memory.
fn exit_and_reap(world: &World) -> Plan {
    const PAGES: u64 = 16;
    let mut plan = Plan::default();
    let process = world.spawn().expect("the stage is set before memory is short");
    let heap = process.map_anon(PAGES);
    (0..PAGES).for_each(|page| stage::ignore(process.store(heap + page * PAGE_SIZE, page)));
    process.kill();
    let victim = process.clone();
    plan.actor("mrelease", move || {
        for _ in 0..4 {
            victim.mrelease();
        }
    });
    plan.actor("exit", move || process.exit());
    plan
}

fn offline_and_merge(world: &World) -> Plan {
    const PAGES: u64 = 8;
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(PAGES);
    process.set_mergeable(heap..heap + PAGES * PAGE_SIZE, true);
    (0..PAGES).for_each(|page| stage::ignore(process.store(heap + page * PAGE_SIZE, page % 2)));
    let kernel = world.clone();
    plan.actor("offline", move || {
        kernel.offline(0..u64::MAX);
    });
    let kernel = world.clone();
    plan.actor("ksmd", move || {
        for _ in 0..3 {
            kernel.ksm_scan();
        }
    });
    plan
}

/// One actor reads the list of mappings, another one cuts a mapping in two and joins it again.
fn read_maps_and_protect(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(4);
    let middle = heap + 2 * PAGE_SIZE..heap + 4 * PAGE_SIZE;
    let done = Arc::new(AtomicBool::new(false));
    let (observer, stop) = (process.clone(), done.clone());
    plan.actor("maps", move || {
        for _ in 0..300 {
            observer.maps();
        }
        done.store(true, Relaxed);
    });
    plan.actor("mprotect", move || {
        while !stop.load(Relaxed) {
            process.protect(middle.clone(), Access::READ);
            process.protect(middle.clone(), Access::READ_WRITE);
        }
    });
    plan
}
