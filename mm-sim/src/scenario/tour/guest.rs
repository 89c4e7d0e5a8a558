//! A tour of guests and pins: whoever has pages of a process besides the process is told what changes.
//!
//! Silent under every protocol. Each operation comes at least once while somebody else is in the way.

use super::{Expect, Plan, Scenario, checked};
use crate::{
    PAGE_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    world::{File, Process, World},
};

/// Guests and pins.
pub(in crate::scenario) const GUEST: Scenario = Scenario {
    id: "tour-guest",
    title: "a virtual machine and a device on the memory of a process that changes under them",
    story: "A guest maps the pages of a process by tables of its own; a device writes to pages that are pinned. The process\n\
            unmaps, moves and forks, the kernel cuts, collapses and reclaims: each tells the guest.",
    source: "a tour",
    memory: 4000,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build,
};

/// Rounds of each actor.
const ROUNDS: u64 = 6;
/// Pages of a mapping.
const PAGES: u64 = 8;

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(HUGE_PAGES);
    let Some(process) = world.spawn() else { return plan };
    let heap = process.map_anon(PAGES);
    let text = process.map_file(&file, 0, PAGES, true);
    let copy = process.map_file(&file, 0, PAGES, false);
    (0..PAGES).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, page)));
    plan.processes.push(process.clone());
    guest(world, &process, [heap, text, copy], &mut plan);
    device(&process, heap, &mut plan);
    changes(world, process, &file, [heap, text, copy], &mut plan);
    plan
}

/// The guest reads and writes while its memory changes; it is made anew each round.
fn guest(world: &World, process: &Process, places: [u64; 3], plan: &mut Plan) {
    let (kernel, process) = (world.clone(), process.clone());
    plan.actor("guest", move || {
        for round in 0..ROUNDS {
            let guest = process.create_guest();
            for page in 0..PAGES {
                for place in places {
                    let addr = place + page * PAGE_SIZE;
                    checked(guest.load(addr));
                    checked(guest.store(addr, round << 8 | page));
                    checked(guest.load(addr));
                }
                kernel.compute(40);
            }
            if round % 2 == 1 {
                guest.stop();
            }
        }
    });
}

/// A device writes to pinned pages, over forks and over stores of the process itself.
fn device(process: &Process, heap: u64, plan: &mut Plan) {
    let process = process.clone();
    plan.actor("device", move || {
        for round in 0..ROUNDS {
            let addr = heap + (1 + round % 3) * PAGE_SIZE;
            let Ok(pin) = process.pin(addr) else { continue };
            pin.write(round << 16);
            checked(process.store(addr, round << 16 | 1));
            if let Some(child) = process.fork() {
                checked(child.load(addr));
                pin.write(round << 16 | 2);
                checked(child.store(addr, round));
                checked(process.load(addr));
                checked(process.store(addr, round << 16 | 3));
                pin.write(round << 16 | 4);
                checked(child.load(addr));
                child.exit();
            }
            checked(process.load(addr));
        }
    });
}

/// What the process and the kernel do meanwhile.
fn changes(world: &World, process: Process, file: &File, [heap, text, copy]: [u64; 3], plan: &mut Plan) {
    let (kernel, file) = (world.clone(), file.clone());
    plan.actor("changes", move || {
        for round in 0..ROUNDS {
            kernel.writeback(&file);
            checked(process.store(text, round));
            kernel.truncate(&file, round % 3);
            kernel.truncate(&file, HUGE_PAGES);
            kernel.collapse(&file, 0);
            kernel.reclaim(8);
            checked(process.store(copy + round * PAGE_SIZE, round));
            process.unmap(heap + (7 - round % 3) * PAGE_SIZE..heap + (8 - round % 3) * PAGE_SIZE);
            let more = process.map_anon(PAGES);
            checked(process.store(more, round));
            let _moved = process.remap(more..more + PAGES * PAGE_SIZE);
        }
    });
}
