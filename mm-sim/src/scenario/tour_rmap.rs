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
    Access, Huge, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    op::Signal,
    protocol::{MmapMark, Protocol},
    world::{File, Process, Userfault, World},
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
    expect: |_| Expect::Silent,
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

/// Migration and KSM.
pub(super) const MOVERS: Scenario = Scenario {
    id: "tour-movers",
    title: "pages move to other frames and are merged while processes use them",
    story: "Compaction, move_pages and NUMA hints move pages of several processes, KSM makes one of those that are alike;\n\
            meanwhile the processes read, write, protect, move and unmap, fork and pin.",
    expect: |protocol| match protocol.mmap_mark {
        // A page fault under the VMA lock that moves a page takes i_mmap.
        MmapMark::UnderImap => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        MmapMark::Never | MmapMark::BeforeImap => Expect::Silent,
    },
    build: build_movers,
    ..GUEST
};

/// Memory that breaks and goes, processes that are killed, and who looks at them.
pub(super) const MEMORY: Scenario = Scenario {
    id: "tour-memory",
    title: "frames break and go offline, processes are killed and reaped, and others look at them",
    story: "The hardware reports broken frames of files and of anonymous memory, some of them shared by a fork or by KSM;\n\
            frames go offline; a process is killed, reaped and ends, and another one reads what is in /proc.",
    build: build_memory,
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
    huge_userfault(world, &process, data, &mut plan);
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
    let shared = process.map_file(&file, 0, HUGE_PAGES, true);
    let kernel = world.clone();
    plan.actor("mappings", move || {
        for round in 0..ROUNDS {
            kernel.compute(300);
            if let Some(child) = process.fork() {
                checked(child.load(heap));
                checked(child.store(heap + PAGE_SIZE, round));
                child.exit();
            }
            // A table of this mapping is retracted; that of the private one stays, and is emptied.
            checked(process.load(shared));
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

fn build_movers(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(4 * PAGES);
    for number in 0..2 {
        let Some(process) = world.spawn() else { continue };
        plan.processes.push(process.clone());
        let heap = process.map_anon(2 * PAGES);
        let text = process.map_file(&file, 0, PAGES, true);
        let copy = process.map_file(&file, 0, PAGES, false);
        process.set_mergeable(heap..heap + 2 * PAGES * PAGE_SIZE, true);
        (0..2 * PAGES).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, page % 3)));
        mover_process(world, &process, number, [heap, text, copy], &mut plan);
        asker(world, process, number, [heap, text, copy], &mut plan);
    }
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

/// Another thread of it, which asks the kernel for things.
fn asker(world: &World, process: Process, number: u64, [heap, text, copy]: [u64; 3], plan: &mut Plan) {
    let kernel = world.clone();
    // Before 6.4.3 a fork tears what another thread writes meanwhile (V3 of the catalogue).
    let may_fork = !world.protocol().vma_lock || world.protocol().fork_mark;
    plan.actor(&format!("asker-{number}"), move || {
        for round in 0..ROUNDS {
            process.move_pages(heap..heap + PAGES * PAGE_SIZE);
            process.move_pages(text..text + PAGES * PAGE_SIZE);
            for place in [heap, text, copy] {
                process.numa_hint(place..place + PAGES * PAGE_SIZE);
            }
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
                child.exit();
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

fn build_memory(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(4 * PAGES);
    let Some(process) = world.spawn() else { return plan };
    plan.processes.push(process.clone());
    let heap = process.map_anon(4 * PAGES);
    let text = process.map_file(&file, 0, 2 * PAGES, true);
    let copy = process.map_file(&file, 0, 2 * PAGES, false);
    process.set_mergeable(heap..heap + 4 * PAGES * PAGE_SIZE, true);
    (0..4 * PAGES).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, page % 4)));
    failures(world, &process, file, [heap, text, copy], &mut plan);
    victims(world, &mut plan);
    let user = process.clone();
    plan.actor("user", move || {
        for round in 0..ROUNDS {
            for page in 0..2 * PAGES {
                checked(user.load(heap + (page * 2 + round % 2) * PAGE_SIZE));
                checked(user.store(heap + page * PAGE_SIZE, round));
                checked(user.store(text + page * PAGE_SIZE, round << 8));
                checked(user.load(copy + page * PAGE_SIZE));
            }
            checked(user.store(copy + round * PAGE_SIZE, round));
        }
    });
    let kernel = world.clone();
    plan.actor("observer", move || {
        for _ in 0..ROUNDS {
            process.resident();
            process.maps();
            process.clear_refs();
            kernel.compute(300);
        }
    });
    plan
}

/// Broken frames, and frames that go.
fn failures(world: &World, process: &Process, file: File, [heap, text, copy]: [u64; 3], plan: &mut Plan) {
    let (kernel, process) = (world.clone(), process.clone());
    plan.actor("hardware", move || {
        for round in 0..ROUNDS {
            kernel.ksm_scan();
            let child = if round % 2 == 0 { process.fork() } else { None };
            kernel.break_page(&process, heap + 3 * round * PAGE_SIZE);
            kernel.break_page(&process, text + round * PAGE_SIZE);
            kernel.break_page(&process, copy + round * PAGE_SIZE);
            if round % 3 == 0 {
                kernel.writeback(&file);
            }
            kernel.break_page(&process, text + (PAGES + round) * PAGE_SIZE);
            kernel.compute(200);
            if let Some(child) = child {
                checked(child.load(heap + 3 * round * PAGE_SIZE));
                child.exit();
            }
            kernel.offline(0..HUGE_PAGES + 40 * round);
        }
    });
}

/// Processes that are killed: one that the reaper finds, one whose memory is asked for, one that just ends.
fn victims(world: &World, plan: &mut Plan) {
    let file = world.create(PAGES);
    for number in 0..3 {
        let Some(victim) = world.spawn() else { continue };
        let heap = victim.map_anon(2 * PAGES);
        let copy = victim.map_file(&file, 0, PAGES, false);
        (0..PAGES).for_each(|page| checked(victim.store(heap + page * PAGE_SIZE, page)));
        let (kernel, process) = (world.clone(), victim.clone());
        plan.actor(&format!("oom-{number}"), move || {
            kernel.compute(500 * number);
            if number == 0 {
                kernel.oom_kill(&process);
            } else {
                process.kill();
                process.mrelease();
            }
        });
        plan.actor(&format!("victim-{number}"), move || {
            let alive = (0..40 * PAGES).all(|page| {
                let stored = victim.store(heap + page % (2 * PAGES) * PAGE_SIZE, page);
                stored.and_then(|()| victim.store(copy + page % PAGES * PAGE_SIZE, page)) != Err(Signal::Kill)
            });
            checked(if alive { Ok(()) } else { Err(Signal::Kill) });
            victim.exit();
        });
    }
}

/// Huge pages that user code brings in.
fn huge_userfault(world: &World, process: &Process, data: u64, plan: &mut Plan) {
    let _size = world.set_huge_pages(4);
    let file = world.create_huge();
    let both = [Huge::Shared, Huge::Private].map(|how| process.map_huge(&file, 0, 2 * HUGE_PAGES, how));
    let [Some(shared), Some(private)] = both else { return };
    let uffd = process.userfaultfd();
    uffd.register(private..private + 2 * PMD_SIZE, true, false);
    uffd.register(shared..shared + 2 * PMD_SIZE, true, false);
    let user = process.clone();
    let done = Arc::new(AtomicU64::new(0));
    let finished = done.clone();
    plan.actor("touch-huge", move || {
        for place in [shared, private] {
            for page in 0..2 {
                checked(user.load(place + page * PMD_SIZE));
                checked(user.store(place + page * PMD_SIZE, page));
            }
        }
        finished.store(1, Relaxed);
    });
    let kernel = world.clone();
    plan.actor("manager-huge", move || {
        while done.load(Relaxed) == 0 {
            match uffd.read() {
                Some(message) => drop(uffd.copy(message.addr, data)),
                None => kernel.compute(30),
            }
        }
        uffd.close();
    });
}
