//! A tour of who reaches into the memory of a process from outside: debuggers, other processes, reclaim.
//!
//! Silent under every protocol but the one whose mmap waits for the VMA lock under i_mmap. Each operation comes several times while the processes use, map, fork and unmap.

use super::{Expect, Plan, Scenario, checked};
use crate::{
    Access, Advice, PAGE_SIZE,
    protocol::{MmapMark, Protocol},
    world::{File, Process, World},
};

/// Breakpoints, advice of others, aging, and mappings that are filled at once.
pub(in crate::scenario) const OTHERS: Scenario = Scenario {
    id: "tour-others",
    title: "breakpoints, advice of other processes and walks of reclaim meet processes that fork, map and unmap",
    story: "Several processes run the code of one file. A debugger puts breakpoints into it, in all of them at once, while they\n\
            fork; one process advises the kernel on the memory of another; reclaim walks page tables for pages in use; and\n\
            mappings are made with all their pages. When the kernel boots it shows lockdep what reclaim takes.",
    source: "a tour",
    memory: 2000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.mmap_mark {
        MmapMark::UnderImap => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        MmapMark::Never | MmapMark::BeforeImap => Expect::Silent,
    },
    build,
};

/// Rounds of each actor.
const ROUNDS: u64 = 5;
/// Pages of a mapping.
const PAGES: u64 = 6;

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let code = world.create(PAGES);
    let mut heaps: Vec<(Process, u64)> = Vec::new();
    for number in 0..4 {
        let Some(process) = plan.spawn(world) else { return plan };
        let text = map_code(&process, &code);
        let heap = process.map_anon(PAGES);
        checked(process.store(heap, number));
        heaps.push((process.clone(), heap));
        plan.actor(&format!("process-{number}"), move || run(&process, text, heap));
    }
    advise(&heaps, &mut plan);
    let (kernel, file) = (world.clone(), code.clone());
    plan.actor("debugger", move || {
        kernel.prime_dma_resv();
        for round in 0..3 * ROUNDS {
            kernel.probe(&file, round % PAGES, 0xcc00 + round);
            kernel.compute(200);
        }
    });
    let kernel = world.clone();
    plan.actor("aging", move || {
        for _ in 0..4 * ROUNDS {
            kernel.age();
            kernel.compute(100);
        }
    });
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        let _unmapped = (0..100).filter(|_| kernel.reclaim(8)).nth(2);
    });
    map_and_unmap(world, code, &mut plan);
    plan
}

/// Maps a file as code: private and read-only.
fn map_code(process: &Process, file: &File) -> u64 {
    let text = process.map_file(file, 0, PAGES, false);
    process.protect(text..text + PAGES * PAGE_SIZE, Access::READ);
    text
}

/// Runs code, uses memory, forks.
fn run(process: &Process, text: u64, heap: u64) {
    for round in 0..ROUNDS {
        for page in 0..PAGES {
            checked(process.load(text + page * PAGE_SIZE));
            checked(process.store(heap + page * PAGE_SIZE, round << 8 | page));
            checked(process.load(heap + (page + round) % PAGES * PAGE_SIZE));
        }
        if let Some(child) = process.fork() {
            checked(child.touch(text, PAGES));
            checked(child.store(heap, round));
            child.exit();
        }
        checked(process.lock(heap..heap + 2 * PAGE_SIZE));
        process.unlock(heap..heap + 2 * PAGE_SIZE);
    }
}

/// Two processes advise each other.
fn advise(heaps: &[(Process, u64)], plan: &mut Plan) {
    for (number, [own, other]) in [[0, 1], [1, 0]].into_iter().enumerate() {
        let ((own, _), (other, heap)) = (heaps[own].clone(), heaps[other].clone());
        plan.actor(&format!("advice-{number}"), move || {
            for _ in 0..ROUNDS {
                for advice in [Advice::Cold, Advice::PageOut, Advice::WillNeed, Advice::DontNeed] {
                    own.advise_other(&other, heap..heap + PAGES * PAGE_SIZE, advice);
                }
            }
        });
    }
}

/// Maps memory with all its pages, and code that may get a breakpoint, and unmaps both.
fn map_and_unmap(world: &World, code: File, plan: &mut Plan) {
    let Some(process) = plan.spawn(world) else { return };
    plan.actor("mmap", move || {
        for round in 0..3 * ROUNDS {
            let heap = process.map_anon_populated(PAGES);
            checked(process.load(heap + round % PAGES * PAGE_SIZE));
            let text = map_code(&process, &code);
            checked(process.touch(text, PAGES));
            process.unmap(text..text + PAGES * PAGE_SIZE);
            process.unmap(heap..heap + PAGES * PAGE_SIZE);
        }
    });
}
