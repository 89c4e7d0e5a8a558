//! K and M: page tables that are freed, moved or made at the wrong moment.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Pair, stage};
use crate::{
    Advice, Bug, Exclusion, Invariant, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    scenario::{Expect, Plan},
    world::World,
};

/// What a process does that ends in 5.14 and before.
const ENDS_UNLOCKED: Protocol = Protocol { exit_under_mmap_lock: false, ..Protocol::V6_1 };

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "K1",
        title: "khugepaged frees page tables without the i_mmap lock",
        story: "The mmap lock keeps page faults away from a page table, but not reverse-map walks: reclaim and\n\
                truncation come from the file and hold nothing but i_mmap_rwsem.",
        kernels: "3.x to 6.1",
        source: "Jann Horn, November 2022",
        fix: "8d3c106e19e8 (6.2): take i_mmap too, and leave mappings that have an anon_vma",
        memory: 8000,
        buggy: Protocol::V6_1.forgetting(Exclusion::Imap),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::TableFreedUnderWalkers),
        seeds: 1,
        build: collapse_and_reclaim,
    },
    Pair {
        id: "K3",
        title: "mremap moves a page table that khugepaged has just taken away",
        story: "mremap looks at a PMD entry and then waits for the rmap locks. retract_page_tables, which needs no mmap\n\
                lock any more, empties the entry meanwhile. mremap moves what is not there: the new entry leads to\n\
                the physical page 0, as a page table.",
        kernels: "6.6 to 6.11 (CVE-2024-50066)",
        source: "Jann Horn, Project Zero 371047675",
        fix: "6fa1066fc5d0: check the entry again under the pmd lock",
        memory: 4000,
        buggy: Protocol::V6_6.with(Bug::MovedPmdNotCheckedAgain),
        fixed: Protocol::V6_6,
        verdict: Expect::Broken(Invariant::TableUsedAfterFree),
        seeds: 12,
        build: collapse_and_move,
    },
    Pair {
        id: "K4",
        title: "the first fix of K3 allocates page tables under the rmap locks",
        story: "To close the window mremap took the rmap locks before it made the tables of the new place. But making\n\
                a table may wait for reclaim, and reclaim takes rmap locks.",
        kernels: "linux-next, October 2024 (46c1b3279220)",
        source: "Marek Szyprowski, by lockdep on the first boot",
        fix: "dropped; 6fa1066fc5d0 checks again instead",
        memory: 4000,
        buggy: Protocol::V6_6.with(Bug::TableAllocatedUnderRmapLocks),
        fixed: Protocol::V6_6,
        verdict: Expect::Cycle(&["anon_vma->rwsem", "fs_reclaim", "mapping->i_mmap_rwsem"]),
        seeds: 1,
        build: move_split_and_reclaim,
    },
    Pair {
        id: "K6",
        title: "khugepaged frees a page table of a process that ends",
        story: "The mmap lock keeps everybody away from a page table, but for the process that ends: nobody was to use it\n\
                any more, so it took no lock. khugepaged comes to it from the file, gets the mmap lock at once, and takes\n\
                the table away under the process, which is about to unmap what is in it.",
        kernels: "4.8 to 5.8",
        source: "Hugh Dickins, August 2020, who saw it once",
        fix: "18e77600f7a1: look under the mmap lock whether the process ends",
        memory: 8000,
        buggy: ENDS_UNLOCKED.with(Bug::EndingProcessRetracted),
        fixed: ENDS_UNLOCKED,
        verdict: Expect::Broken(Invariant::TableFreedUnderWalkers),
        seeds: 8,
        build: collapse_and_exit,
    },
    Pair {
        id: "M6",
        title: "mremap moves a page table without the rmap locks",
        story: "Who walks a page table from the file takes the pte lock only. While mremap moves the table, truncation\n\
                finds the pages at their new address, flushes that, and frees them. The TLB has them at the old one.",
        kernels: "4.x to 5.13 (CVE-2022-41222)",
        source: "Jann Horn, 2022",
        fix: "97113eb39fa7: take the rmap locks to move a PMD or a PUD entry",
        memory: 4000,
        buggy: Protocol::V6_1.with(Bug::TableMovedWithoutRmapLocks),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::StaleTlb),
        seeds: 60,
        build: |world| move_and_truncate(world, 0, HUGE_PAGES),
    },
    Pair {
        id: "M7",
        title: "mremap drops the pte locks before it flushes the TLBs",
        story: "Between the two, truncation finds the page at its new address, flushes that address and frees the page.\n\
                The TLB still leads to it from the old address.",
        kernels: "up to 4.18 (CVE-2018-18281)",
        source: "Jann Horn, 2018",
        fix: "eb66ae030829: flush while the locks are held",
        memory: 4000,
        buggy: Protocol::V6_1.with(Bug::FlushAfterPteLock),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::StaleTlb),
        seeds: 60,
        build: |world| move_and_truncate(world, 4, 8),
    },
    Pair {
        id: "M9",
        title: "migration takes a page out of a stack that execve moves meanwhile",
        story: "execve makes the stack of the new program before it knows where that belongs, and moves it. Meanwhile the\n\
                reverse map leads to where the pages will be. A page that is being migrated is not found again when it has\n\
                moved: its entry waits for ever.",
        kernels: "up to 2.6.34",
        source: "Mel Gorman and Andrea Arcangeli, 2010",
        fix: "a8bef8ff6ea1: migration leaves temporary stacks alone",
        memory: 800,
        buggy: Protocol::V6_1.with(Bug::TemporaryStackMigrated),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::RmapMismatch),
        seeds: 20,
        build: exec_and_compact,
    },
];

fn collapse_and_reclaim(world: &World) -> Plan {
    let mut plan = Plan::default();
    let library = stage::library(world, &mut plan);
    stage::khugepaged(world, &library, &mut plan);
    stage::kswapd(world, &mut plan);
    plan
}

/// khugepaged looks at the mapping of one process after the other, each of which ends when khugepaged has its pages. They are on
/// khugepaged's list, so that they wait if it is at them with the mmap lock; whether any other process that maps the file
/// ends unharmed is a matter of luck, with the fix too.
fn collapse_and_exit(world: &World) -> Plan {
    const PROCESSES: u64 = 6;
    const OTHERS: u64 = 64;
    let mut plan = Plan::default();
    let data = world.create(2 * OTHERS);
    let all: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let process = world.spawn().expect("the stage is set before memory is short");
            // What else it has takes time to unmap.
            for page in (0..2 * OTHERS).step_by(2) {
                stage::ignore(process.touch(process.map_file(&data, page, 1, true), 1));
            }
            let code = process.map_file(&world.create(HUGE_PAGES), 0, HUGE_PAGES, true);
            stage::ignore(process.touch(code + PMD_SIZE - PAGE_SIZE, 1));
            process.advise(code..code + PMD_SIZE, Advice::HugePage);
            (process, code)
        })
        .collect();
    let (kernel, scanned) = (world.clone(), all.clone());
    plan.actor("khugepaged", move || {
        for (process, code) in &scanned {
            let _collapsed = (0..4).any(|_| kernel.khugepaged_file(process, *code));
        }
    });
    let kernel = world.clone();
    plan.actor("exit", move || {
        for (turn, (process, _)) in (0..).zip(all) {
            while process.resident() > OTHERS {}
            // khugepaged has its pages, and gives them back when it has copied them. Then it comes to the page table.
            let back = kernel.free_pages() + HUGE_PAGES - 60 * (turn + 1);
            let _given_back = (0..2000).any(|_| {
                kernel.compute(2);
                kernel.free_pages() >= back
            });
            process.exit();
        }
    });
    plan
}

/// khugepaged collapses a file again and again; a process moves its mapping of it all the while.
fn collapse_and_move(world: &World) -> Plan {
    const ROUNDS: u64 = 4;
    let mut plan = Plan::default();
    let library = world.create(HUGE_PAGES);
    let (process, code) = stage::sleeper(world, &library, HUGE_PAGES, &mut plan);
    // Which round it is: a page is touched once a round, or khugepaged would never get all of them.
    let turn = Arc::new(AtomicU64::new(0));
    let (kernel, next) = (world.clone(), turn.clone());
    plan.actor("khugepaged", move || {
        for _ in 0..ROUNDS {
            let _collapsed = (0..4).any(|_| kernel.collapse(&library, 0));
            kernel.truncate(&library, 0);
            kernel.truncate(&library, HUGE_PAGES);
            next.fetch_add(1, Relaxed);
        }
    });
    plan.actor("mremap", move || {
        let (mut code, mut touched) = (code, 0);
        while turn.load(Relaxed) < ROUNDS {
            if turn.load(Relaxed) > touched {
                touched = turn.load(Relaxed);
                stage::ignore(process.load(code));
            }
            code = process.remap(code..code + PMD_SIZE).unwrap_or(code);
        }
        stage::ignore(process.load(code));
    });
    plan
}

fn move_split_and_reclaim(world: &World) -> Plan {
    const PAGES: u64 = 8;
    let mut plan = Plan::default();
    let data = world.create(32);
    stage::sleeper(world, &data, 32, &mut plan);
    stage::kswapd(world, &mut plan);
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(PAGES);
    plan.actor("mremap", move || {
        let mut heap = heap;
        for word in 0..4 {
            stage::ignore(process.store(heap, word));
            heap = process.remap(heap..heap + PAGES * PAGE_SIZE).unwrap_or(heap);
        }
    });
    let process = stage::process(world, &mut plan);
    plan.actor("munmap", move || {
        let copy = process.map_file(&data, 0, 32, false);
        stage::ignore(process.store(copy, 1));
        process.unmap(copy + 8 * PAGE_SIZE..copy + 16 * PAGE_SIZE);
    });
    plan
}

/// One actor uses a shared mapping and moves it; another one cuts the file. The mapping begins `lead` pages before a 2 MiB
/// border.
fn move_and_truncate(world: &World, lead: u64, pages: u64) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(pages + PMD_SIZE / PAGE_SIZE);
    let (process, addr) = stage::sleeper(world, &file, pages + PMD_SIZE / PAGE_SIZE - lead, &mut plan);
    let start = addr + PMD_SIZE - lead * PAGE_SIZE;
    process.unmap(addr..start);
    plan.actor("mremap", move || {
        let mut start = start;
        for _ in 0..60 {
            stage::ignore(process.touch(start, 4));
            start = process.remap(start..start + pages * PAGE_SIZE).unwrap_or(start);
        }
    });
    let kernel = world.clone();
    plan.actor("truncate", move || {
        for _ in 0..60 {
            kernel.truncate(&file, 0);
            kernel.truncate(&file, pages + PMD_SIZE / PAGE_SIZE);
            // Time to fault pages in, and to be about to move them.
            kernel.compute(30);
        }
    });
    plan
}

/// A process starts programs, and memory is compacted all the while.
fn exec_and_compact(world: &World) -> Plan {
    const ARGUMENTS: [u64; 8] = [11, 12, 13, 14, 15, 16, 17, 18];
    let mut plan = Plan::default();
    let shell = stage::process(world, &mut plan);
    let done = Arc::new(AtomicU64::new(0));
    let ended = done.clone();
    plan.actor("exec", move || {
        for shift in 1..12 {
            let Some((program, stack)) = shell.fork().and_then(|child| child.exec(&ARGUMENTS, shift)) else { continue };
            (0..8).for_each(|page| stage::ignore(program.load(stack + page * PAGE_SIZE)));
            program.exit();
        }
        ended.store(1, Relaxed);
    });
    let kernel = world.clone();
    plan.actor("kcompactd", move || {
        while done.load(Relaxed) == 0 {
            kernel.compact();
        }
    });
    plan
}
