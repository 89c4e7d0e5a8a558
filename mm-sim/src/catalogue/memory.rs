//! M, R and V: processes that end, memory that goes, and who looks at a process from outside.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{Pair, stage};
use crate::{
    Access, Bug, Invariant, PAGE_SIZE,
    protocol::Protocol,
    scenario::{Expect, Plan},
    world::World,
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
        id: "R2",
        title: "a batch of migration waits for the lock of a folio while it holds those of others",
        story: "When folios came to be moved in batches, each was still locked as if it were alone: waiting, if it had to\n\
                be. Two batches that meet from opposite sides wait for each other's. The kernel's lockdep does not know\n\
                the folio lock; machines just hung.",
        kernels: "6.3-rc1",
        source: "Hugh Dickins, 2023-02-28",
        fix: "only try while others are held, and come back for the rest one by one",
        memory: 500,
        buggy: Protocol::V6_4.with(Bug::BatchWaitsForFolio),
        fixed: Protocol::V6_4,
        verdict: Expect::Recursion("folio_lock(file)"),
        seeds: 1,
        build: move_and_move,
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

/// Two processes ask for the pages of a file to be moved, in opposite orders.
fn move_and_move(world: &World) -> Plan {
    const PAGES: u64 = 8;
    let mut plan = Plan::default();
    let file = world.create(PAGES);
    for number in 0..2 {
        let process = stage::process(world, &mut plan);
        let first = process.map_file(&file, if number == 0 { 0 } else { PAGES / 2 }, PAGES / 2, true);
        let second = process.map_file(&file, if number == 0 { PAGES / 2 } else { 0 }, PAGES / 2, true);
        for page in 0..PAGES / 2 {
            stage::ignore(process.load(first + page * PAGE_SIZE));
            stage::ignore(process.load(second + page * PAGE_SIZE));
        }
        plan.actor(&format!("move_pages-{number}"), move || {
            for _ in 0..4 {
                process.move_pages(first..second + PAGES * PAGE_SIZE);
            }
        });
    }
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
