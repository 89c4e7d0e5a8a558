//! A tour of those who use the reverse map and who are told by it: every operation once or twice, in a fixed order.
//!
//! Silent under every protocol. It feeds the comparison with a running kernel and the mutation campaign, so each operation
//! comes at least once while somebody else is in the way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Expect, Plan, Scenario};
use crate::{
    PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    op::Signal,
    process::{File, Process, Userfault, World},
    protocol::Protocol,
};

/// Guests and pins.
pub(super) const GUEST: Scenario = Scenario {
    id: "tour-guest",
    title: "a virtual machine and a device on the memory of a process that changes under them",
    story: "A guest maps the pages of a process by tables of its own; a device writes to pages that are pinned. The process\n\
            unmaps, moves and forks, the kernel cuts, collapses and reclaims: each tells the guest.",
    source: "a tour",
    memory: 4000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.waits_under_imap() {
        true => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        false => Expect::Silent,
    },
    build: build_guest,
};

/// userfaultfd.
pub(super) const USERFAULT: Scenario = Scenario {
    id: "tour-userfaultfd",
    title: "user code brings in the pages of a process, while its mappings change",
    story: "Two threads touch memory that a userfaultfd is registered for; a third one is told and copies, moves or zeroes\n\
            pages, and protects others from writes. The process splits, moves and unmaps mappings, and forks.",
    build: build_userfault,
    ..GUEST
};

/// Rounds of each actor.
const ROUNDS: u64 = 6;
/// Pages of a mapping.
const PAGES: u64 = 8;

/// A right signal is as good as a right value.
fn checked<T>(_result: Result<T, Signal>) {}

fn build_guest(world: &World) -> Plan {
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

fn build_userfault(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(HUGE_PAGES);
    let Some(process) = world.spawn() else { return plan };
    plan.processes.push(process.clone());
    let heap = process.map_anon(2 * PAGES);
    let copy = process.map_file(&file, 0, HUGE_PAGES, false);
    let data = process.map_anon(PAGES);
    (0..PAGES).for_each(|page| checked(process.store(data + page * PAGE_SIZE, page + 1)));
    let uffd = process.userfaultfd();
    uffd.register(heap..heap + 2 * PAGES * PAGE_SIZE, true, true);
    uffd.register(copy..copy + PMD_SIZE, true, false);
    let done = Arc::new(AtomicU64::new(0));
    for number in 0..2 {
        let (process, done) = (process.clone(), done.clone());
        plan.actor(&format!("touch-{number}"), move || {
            for page in 0..2 * PAGES {
                let addr = heap + (page * 3 + number) % (2 * PAGES) * PAGE_SIZE;
                checked(process.load(addr));
                checked(process.store(addr, page << 8 | number));
                checked(process.load(copy + page * PAGE_SIZE));
                checked(process.store(copy + page / 2 * PAGE_SIZE, page));
            }
            done.fetch_add(1, Relaxed);
        });
    }
    manager(world, &process, &uffd, done.clone(), (heap, data), &mut plan);
    mapping_changes(world, process, uffd, (file, heap, copy), done, &mut plan);
    plan
}

/// Whoever is told of missing pages, until the threads that touch them are done.
fn manager(
    world: &World,
    process: &Process,
    uffd: &Userfault,
    done: Arc<AtomicU64>,
    (heap, data): (u64, u64),
    plan: &mut Plan,
) {
    let (kernel, process, uffd) = (world.clone(), process.clone(), uffd.clone());
    plan.actor("manager", move || {
        let mut turn = 0;
        while done.load(Relaxed) < 2 {
            let Some(message) = uffd.read() else {
                kernel.compute(30);
                continue;
            };
            turn += 1;
            let page = message.addr..message.addr + PAGE_SIZE;
            let (word, spare) = (data + turn % PAGES * PAGE_SIZE, process.map_anon(1));
            match turn % 4 {
                _ if message.is_protected => drop(uffd.protect(page, false)),
                0 => drop(uffd.zeropage(message.addr)),
                1 => {
                    checked(process.store(spare, turn));
                    uffd.move_page(message.addr, spare);
                    uffd.zeropage(message.addr);
                }
                _ => drop(uffd.copy(message.addr, word)),
            }
            // Whatever has failed is tried again by who waits, or here if mappings were changing.
            if turn % 5 == 0 {
                uffd.protect(heap..heap + 2 * PAGE_SIZE, true);
            }
            process.unmap(spare..spare + PAGE_SIZE);
        }
        uffd.close();
    });
}

/// What becomes of the mappings meanwhile.
fn mapping_changes(
    world: &World,
    process: Process,
    uffd: Userfault,
    (file, heap, copy): (File, u64, u64),
    done: Arc<AtomicU64>,
    plan: &mut Plan,
) {
    let kernel = world.clone();
    plan.actor("mappings", move || {
        for round in 0..ROUNDS {
            kernel.compute(300);
            if let Some(child) = process.fork() {
                checked(child.load(heap));
                checked(child.store(heap + PAGE_SIZE, round));
                child.exit();
            }
            kernel.collapse(&file, 0);
            process.collapse_pte_mapped(copy);
            let more = process.map_anon(2);
            uffd.register(more..more + 2 * PAGE_SIZE, true, false);
            uffd.zeropage(more);
            let moved = process.remap(more..more + 2 * PAGE_SIZE).unwrap_or(more);
            checked(process.load(moved));
            uffd.zeropage(moved + PAGE_SIZE);
            if round % 2 == 0 {
                uffd.unregister(moved..moved + PAGE_SIZE);
            }
            process.unmap(moved..moved + 2 * PAGE_SIZE);
            kernel.reclaim(4);
            if done.load(Relaxed) == 2 {
                break;
            }
        }
    });
}
