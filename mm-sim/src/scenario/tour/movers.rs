//! A tour of migration and KSM: pages move and become one.
//!
//! Each operation comes at least once while somebody else is in the way.

use super::{Expect, Plan, Scenario, checked};
use crate::{
    Access, PAGE_SIZE,
    protocol::{MmapMark, Protocol},
    world::{Process, World},
};

/// Migration and KSM.
pub(in crate::scenario) const MOVERS: Scenario = Scenario {
    id: "tour-movers",
    title: "pages move to other frames and are merged while processes use them",
    story: "Compaction, move_pages and NUMA hints move pages of several processes, KSM makes one of those that are alike;\n\
            meanwhile the processes read, write, protect, move and unmap, fork and pin.",
    source: "a tour",
    memory: 4000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.mmap_mark {
        // A page fault under the VMA lock that moves a page takes i_mmap.
        MmapMark::UnderImap => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        MmapMark::Never | MmapMark::BeforeImap => Expect::Silent,
    },
    build,
};

/// Rounds of each actor.
const ROUNDS: u64 = 6;
/// Pages of a mapping.
const PAGES: u64 = 8;

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(4 * PAGES);
    for number in 0..2 {
        let Some(process) = plan.spawn(world) else { continue };
        let heap = process.map_anon(2 * PAGES);
        let text = process.map_file(&file, 0, PAGES, true);
        let copy = process.map_file(&file, 0, PAGES, false);
        process.set_mergeable(heap..heap + 2 * PAGES * PAGE_SIZE, true);
        (0..2 * PAGES).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, page % 3)));
        mover_process(world, &process, number, [heap, text, copy], &mut plan);
        observer(world, &process, number, [heap, text, copy], &mut plan);
        asker(world, process, number, [heap, text, copy], &mut plan);
    }
    let (kernel, same) = (world.clone(), file.clone());
    plan.actor("journal", move || {
        for round in 0..8 * ROUNDS {
            let _words = (0..PAGES).filter_map(|page| kernel.read_block(&same, (page + round) % PAGES)).count();
            kernel.compute(60);
        }
    });
    let kernel = world.clone();
    plan.actor("kcompactd", move || {
        for round in 0..2 * ROUNDS {
            kernel.compact();
            kernel.compute(200);
            if round % 4 == 3 {
                kernel.reclaim(4);
                kernel.truncate(&file, round % PAGES);
                kernel.truncate(&file, 4 * PAGES);
            }
        }
    });
    let kernel = world.clone();
    plan.actor("ksmd", move || {
        for round in 0..ROUNDS {
            kernel.ksm_scan();
            kernel.compute(300);
            if round == ROUNDS / 2 {
                kernel.ksm_unmerge();
            }
        }
    });
    plan
}

/// A thread that uses its memory.
fn mover_process(world: &World, process: &Process, number: u64, [heap, text, copy]: [u64; 3], plan: &mut Plan) {
    let (kernel, process) = (world.clone(), process.clone());
    plan.actor(&format!("process-{number}"), move || {
        for round in 0..2 * ROUNDS {
            for page in 0..PAGES {
                checked(process.load(heap + (page * 2) * PAGE_SIZE));
                checked(process.store(text + page * PAGE_SIZE, round << 8 | number));
                checked(process.load(copy + page * PAGE_SIZE));
            }
            checked(process.store(heap + round % PAGES * PAGE_SIZE, round % 3));
            checked(process.store(copy + round % PAGES * PAGE_SIZE, round));
            kernel.compute(150);
        }
    });
}

/// Somebody looks which pages of it are idle.
fn observer(world: &World, process: &Process, number: u64, places: [u64; 3], plan: &mut Plan) {
    let (kernel, process) = (world.clone(), process.clone());
    plan.actor(&format!("observer-{number}"), move || {
        for _ in 0..ROUNDS {
            for addr in places {
                let _marked = (0..PAGES).filter(|page| kernel.mark_idle(&process, addr + page * PAGE_SIZE)).count();
            }
            kernel.compute(150);
            for addr in places {
                let _idle = (0..PAGES).filter(|page| kernel.is_idle(&process, addr + page * PAGE_SIZE)).count();
            }
        }
    });
}

/// Another thread of it, which asks the kernel for things.
fn asker(world: &World, process: Process, number: u64, [heap, text, copy]: [u64; 3], plan: &mut Plan) {
    let kernel = world.clone();
    // Before 6.4.3 a fork tears what another thread writes meanwhile (V3 of the catalogue).
    let may_fork = !world.protocol().tears_forks();
    plan.actor(&format!("asker-{number}"), move || {
        for round in 0..ROUNDS {
            process.move_pages(heap..heap + PAGES * PAGE_SIZE);
            process.move_pages(text..text + PAGES * PAGE_SIZE);
            for place in [heap, text, copy] {
                process.numa_hint(place..place + PAGES * PAGE_SIZE);
            }
            process.bind_and_move(heap + 4 * PAGE_SIZE..heap + PAGES * PAGE_SIZE, (round % 2) as u8);
            process.bind_and_move(text..text + 4 * PAGE_SIZE, (round % 2) as u8);
            process.migrate(0, (round % 2) as u8);
            process.pages_by_node();
            kernel.compute(200);
            let page = heap + (PAGES + round) * PAGE_SIZE;
            process.protect(page..page + PAGE_SIZE, Access::READ);
            checked(process.load(page));
            process.protect(page..page + PAGE_SIZE, Access::READ_WRITE);
            if let Ok(pin) = process.pin(page) {
                pin.write(round + 100);
                process.move_pages(page..page + PAGE_SIZE);
                pin.write(round + 101);
                checked(process.load(page));
            }
            if let Some(child) = may_fork.then(|| process.fork()).flatten() {
                checked(child.store(heap + round * PAGE_SIZE, 1));
                checked(child.load(heap + PAGES * PAGE_SIZE));
                child.move_pages(heap..heap + PAGES * PAGE_SIZE);
                let arguments: Vec<u64> = (0..PAGES).map(|page| round << 8 | page).collect();
                if let Some((program, stack)) = child.exec(&arguments, 1 + round * 300) {
                    checked(program.touch(stack, PAGES));
                    checked(program.store(stack, round));
                    program.exit();
                }
            }
            let more = process.map_anon(4);
            process.set_mergeable(more..more + 4 * PAGE_SIZE, true);
            (0..4).for_each(|page| checked(process.store(more + page * PAGE_SIZE, 1)));
            kernel.compute(400);
            let moved = process.remap(more..more + 4 * PAGE_SIZE).unwrap_or(more);
            (0..4).for_each(|page| checked(process.load(moved + page * PAGE_SIZE)));
            checked(process.store(moved, 2));
            process.set_mergeable(moved + PAGE_SIZE..moved + 3 * PAGE_SIZE, false);
            (0..4).for_each(|page| checked(process.load(moved + page * PAGE_SIZE)));
            process.unmap(moved..moved + 4 * PAGE_SIZE);
        }
    });
}
