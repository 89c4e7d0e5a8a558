//! A tour of what system calls do to an address space: every operation a few times, while others are in the way.

use super::{Expect, Plan, Scenario, checked, pages};
use crate::{
    Access, Advice, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    world::{File, Process, World},
};

/// Mappings that are cut, joined and protected; stacks, heaps, advice, locked memory.
pub(in crate::scenario) const CHANGES: Scenario = Scenario {
    id: "tour-address-space",
    title: "system calls cut, join, protect, lock and grow the mappings of a process while its threads use them",
    story: "Threads of one process change its mappings in every way there is; others of its threads touch them. A second process\n\
            writes to the file with system calls. The kernel collapses, reclaims, writes back and cuts under them.",
    source: "a tour",
    memory: 3000,
    default_protocol: Protocol::V6_12,
    expect,
    build: build_changes,
};

/// Huge pages of anonymous memory.
pub(in crate::scenario) const HUGE: Scenario = Scenario {
    id: "tour-huge-pages",
    title: "anonymous memory gets huge pages, loses them and gets them back",
    story: "A process asks for huge pages, forks, writes on both sides, moves, cuts and throws away parts. khugepaged makes huge\n\
            pages again, while page faults go on and processes end.",
    source: "a tour",
    memory: 9000,
    default_protocol: Protocol::V6_12,
    expect,
    build: build_huge,
};

const ROUNDS: u64 = 5;
const PAGES: u64 = 8;

/// The tours go through retract_page_tables and mmap too.
fn expect(protocol: &Protocol) -> Expect {
    match protocol.waits_under_imap() {
        true => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        false => Expect::Silent,
    }
}

fn build_changes(world: &World) -> Plan {
    let mut plan = Plan::default();
    let (library, data) = (world.create(HUGE_PAGES), world.create(4 * PAGES));
    world.measure(&data);
    let (Some(process), Some(writer)) = (plan.spawn(world), plan.spawn(world)) else { return plan };
    let code = writer.map_file(&library, 0, HUGE_PAGES, true);
    checked(writer.touch(code, 32));
    let places =
        [process.map_anon(PAGES), process.map_file(&data, 0, PAGES, true), process.map_file(&data, 0, PAGES, false)];
    checked(process.store(places[0], 1));
    for (number, change) in CHANGE.iter().enumerate() {
        let process = process.clone();
        plan.actor(&format!("changes-{number}"), move || {
            (0..ROUNDS).for_each(|round| change(&process, places, round));
        });
    }
    touch(&process, places, &mut plan);
    grow(world, &process, &mut plan);
    write(&writer, &data, &mut plan);
    kernel(world, library, data, &mut plan);
    plan
}

/// What system calls do to the mappings, a family each.
const CHANGE: [fn(&Process, [u64; 3], u64); 4] = [protect, advise, lock, remap];

fn protect(process: &Process, places: [u64; 3], round: u64) {
    for addr in places {
        process.protect(pages(addr, 2, 3), Access::READ);
        process.protect(pages(addr, 3, 1), Access::NONE);
        checked(process.load(addr + 3 * PAGE_SIZE));
        checked(process.store(addr + 2 * PAGE_SIZE, round));
        process.protect(pages(addr, 0, PAGES), Access::READ_WRITE);
        checked(process.store(addr + 3 * PAGE_SIZE, round));
    }
}

fn advise(process: &Process, places: [u64; 3], round: u64) {
    const ALL: [Advice; 7] = [
        Advice::DontNeed,
        Advice::Free,
        Advice::Cold,
        Advice::PageOut,
        Advice::WillNeed,
        Advice::Remove,
        Advice::Collapse,
    ];
    for advice in ALL {
        for addr in places {
            process.advise(pages(addr, round % 3, 4), advice);
            checked(process.load(addr + 2 * PAGE_SIZE));
        }
    }
}

fn lock(process: &Process, places: [u64; 3], round: u64) {
    for addr in places {
        checked(process.lock(pages(addr, 1, 5)));
        process.unlock(pages(addr, 2, 2));
        process.bind(pages(addr, 3, 4), (round % 2) as u8);
        process.bind_and_move(pages(addr, 2, 4), (round % 2) as u8);
        process.sync(pages(addr, 0, PAGES));
        process.unlock(pages(addr, 0, PAGES));
    }
}

fn remap(process: &Process, [own, shared, private]: [u64; 3], round: u64) {
    process.remap_file_pages(pages(shared, 4, 2), round);
    checked(process.load(shared + 4 * PAGE_SIZE));
    // Away and back: what has stayed is joined again. And over something else.
    for addr in [own, shared, private] {
        if let Some(away) = process.remap(pages(addr, 5, 3)) {
            checked(process.load(away + PAGE_SIZE));
            let _back = process.remap_to(pages(away, 0, 3), addr + 5 * PAGE_SIZE);
        }
    }
    let _over = process.remap_to(pages(own, 2, 1), own + 7 * PAGE_SIZE);
    // A neighbour of the same sort is joined, and cut off again.
    let base = process.map_anon(2);
    process.map_anon_at(base + 2 * PAGE_SIZE, 2);
    checked(process.store(base + 3 * PAGE_SIZE, round));
    checked(process.store(base, round));
    process.protect(pages(base, 1, 1), Access::READ);
    process.unmap(pages(base, 2, 1));
    if let Some(moved) = process.remap(pages(base, 0, 1)) {
        process.unmap(pages(moved, 0, 1));
    }
    process.unmap(pages(base, 0, 4));
}

/// Another thread touches everything.
fn touch(process: &Process, places: [u64; 3], plan: &mut Plan) {
    let process = process.clone();
    plan.actor("page-fault", move || {
        for round in 0..8 * ROUNDS {
            for addr in places {
                let page = addr + (round % PAGES) * PAGE_SIZE;
                checked(if round % 3 == 0 { process.store(page, round) } else { process.load(page).map(drop) });
            }
        }
    });
}

/// A stack grows and a heap grows and shrinks, and both are inherited.
fn grow(world: &World, process: &Process, plan: &mut Plan) {
    let stack = (!world.protocol().grows_stacks_under_faults()).then(|| process.map_stack(2));
    let process = process.clone();
    plan.actor("heap", move || {
        for round in 0..ROUNDS {
            for size in [4, 12, 7, 0, 3] {
                let Some(heap) = process.brk(size) else { continue };
                checked(process.store(heap + size.saturating_sub(1) * PAGE_SIZE, round));
            }
            if let Some(stack) = stack {
                checked(process.store(stack - round * 3 * PAGE_SIZE, round));
                checked(process.load(stack - 100 * PAGE_SIZE));
            }
            if let Some(child) = process.fork() {
                child.exit();
            }
        }
    });
}

/// Another process writes to the file from its memory.
fn write(writer: &Process, data: &File, plan: &mut Plan) {
    let (writer, data) = (writer.clone(), data.clone());
    let memory = writer.map_anon(PAGES);
    plan.actor("write", move || {
        for round in 0..ROUNDS {
            for page in 0..PAGES {
                checked(writer.store(memory + page * PAGE_SIZE, round << 8 | page));
                checked(writer.write(&data, page, memory + page * PAGE_SIZE));
            }
            let mapped = writer.map_file(&data, round, 2, true);
            checked(writer.load(mapped));
            writer.unmap(pages(mapped, 0, 2));
        }
    });
}

fn kernel(world: &World, library: File, data: File, plan: &mut Plan) {
    let kernel = world.clone();
    plan.actor("khugepaged", move || {
        let _collapsed = (0..20).any(|_| kernel.collapse(&library, 0));
    });
    let kernel = world.clone();
    let Some(idle) = plan.spawn(world) else { return };
    let heap = idle.map_anon(2);
    plan.actor("kswapd", move || {
        // Nobody else uses it: what is given up lazily goes.
        checked(idle.store(heap, 1));
        idle.advise(pages(heap, 0, 2), Advice::Free);
        let _unmapped = (0..200).filter(|_| kernel.reclaim(16)).nth(3);
        let _unmapped = (0..3).filter(|_| kernel.reclaim(64)).count();
        checked(idle.load(heap));
    });
    let kernel = world.clone();
    plan.actor("truncate", move || {
        for _ in 0..ROUNDS {
            kernel.truncate(&data, 3);
            kernel.truncate(&data, 4 * PAGES);
            kernel.punch_hole(&data, 1..3);
            kernel.writeback(&data);
            kernel.compute(800);
        }
    });
}

fn build_huge(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.use_huge_pages_always();
    let library = world.create(HUGE_PAGES);
    let Some(sleeper) = plan.spawn(world) else { return plan };
    let code = sleeper.map_file(&library, 0, HUGE_PAGES, true);
    checked(sleeper.touch(code, 32));
    for number in 0..2 {
        let Some(process) = plan.spawn(world) else { return plan };
        let heap = process.map_anon(3 * HUGE_PAGES);
        // Small pages first: something for khugepaged.
        process.advise(heap..heap + 3 * PMD_SIZE, Advice::NoHugePage);
        (0..PAGES).for_each(|page| checked(process.store(heap + (2 * HUGE_PAGES + page) * PAGE_SIZE, page)));
        if number == 0 {
            process.advise(heap..heap + 3 * PMD_SIZE, Advice::HugePage);
        }
        let other = process.clone();
        plan.actor(&format!("process-{number}"), move || use_huge(&process, heap));
        plan.actor(&format!("page-fault-{number}"), move || {
            for round in 0..6 * ROUNDS {
                let addr = heap + (round % 3) * PMD_SIZE + (round * 7 % HUGE_PAGES) * PAGE_SIZE;
                checked(other.store(addr, round));
                checked(other.load(addr + PAGE_SIZE));
            }
        });
    }
    // One that has not asked: its page faults put it on khugepaged's list.
    let Some(process) = plan.spawn(world) else { return plan };
    let heap = process.map_anon(HUGE_PAGES);
    plan.actor("always", move || {
        for round in 0..ROUNDS {
            checked(process.store(heap + round * PAGE_SIZE, round));
            process.advise(heap..heap + PMD_SIZE, Advice::DontNeed);
            checked(process.load(heap + round * PAGE_SIZE));
        }
    });
    let kernel = world.clone();
    plan.actor("khugepaged", move || {
        for _ in 0..4 * ROUNDS {
            kernel.khugepaged();
            kernel.compute(300);
        }
    });
    let kernel = world.clone();
    plan.actor("collapse", move || {
        let _collapsed = (0..20).any(|_| kernel.collapse(&library, 0));
    });
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        let _unmapped = (0..200).any(|_| kernel.reclaim(16));
    });
    plan
}

/// Does everything to a mapping of three huge pages that there is to be done.
fn use_huge(process: &Process, heap: u64) {
    for round in 0..ROUNDS {
        checked(process.store(heap, round));
        checked(process.store(heap + PMD_SIZE, round));
        if let Some(child) = process.fork() {
            checked(child.load(heap));
            checked(child.store(heap + PAGE_SIZE, round));
            checked(process.store(heap + 5 * PAGE_SIZE, round));
            checked(child.load(heap + 5 * PAGE_SIZE));
            child.exit();
        }
        process.protect(heap + PMD_SIZE..heap + 2 * PMD_SIZE, Access::READ);
        checked(process.store(heap + PMD_SIZE + PAGE_SIZE, round));
        process.protect(heap + PMD_SIZE..heap + 2 * PMD_SIZE, Access::READ_WRITE);
        process.advise(pages(heap, 100, 50), Advice::DontNeed);
        checked(process.load(heap + 120 * PAGE_SIZE));
        checked(process.lock(pages(heap, 0, 4)));
        process.unlock(pages(heap, 0, 4));
        process.advise(heap..heap + 3 * PMD_SIZE, Advice::Collapse);
        if let Some(moved) = process.remap(heap + PMD_SIZE..heap + 2 * PMD_SIZE) {
            checked(process.load(moved + PAGE_SIZE));
            process.unmap(moved..moved + PMD_SIZE);
        }
        process.map_anon_at(heap + PMD_SIZE, HUGE_PAGES);
        process.advise(heap + PMD_SIZE..heap + 2 * PMD_SIZE, Advice::NoHugePage);
        process.advise(heap..heap + 2 * PMD_SIZE, Advice::HugePage);
        process.advise(heap..heap + PMD_SIZE, Advice::DontNeed);
    }
}
