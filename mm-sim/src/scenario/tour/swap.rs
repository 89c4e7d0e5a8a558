//! A tour of swap, writeback and files: every operation and most of its ways, with others at the same memory.

use super::{Expect, Plan, Scenario, checked};
use crate::{
    PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    op::{
        Advice,
        neighbours::{console, cpus, memcg, shmlock, trace, workqueue, zswap},
    },
    protocol::Protocol,
    world::{File, Process, World},
};

/// Pages of a heap.
const HEAP: u64 = 24;
/// Pages of a file.
const FILE: u64 = 16;
/// Pages of a file that swap is on.
const SWAP_FILE: u64 = 100;
/// Rounds of kswapd in which everything that nobody touches has gone to the device.
const ROUNDS: u32 = 12;

/// Swap, writeback and files.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-swap",
    title: "memory goes to the swap device and comes back; files are written, read and written back",
    story: "Processes touch what kswapd has swapped out, fork with it, unmap it and share it; swap is turned off and on\n\
            under them. Others write a file by mappings and by system calls while it is flushed, read and cut.",
    source: "the simulator's own tour",
    memory: 3000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.waits_under_imap() {
        true => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        false => Expect::Silent,
    },
    build,
};

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.swapon(128);
    let file = world.create(FILE);
    let (Some(parent), Some(writer)) = (world.spawn(), world.spawn()) else { return plan };
    plan.processes.extend([parent.clone(), writer.clone()]);
    let heap = parent.map_anon(HEAP);
    (0..HEAP).for_each(|page| checked(parent.store(heap + page * PAGE_SIZE, page + 1)));
    let (kernel, process) = (world.clone(), parent.clone());
    plan.actor("swapper", move || swap_in_all_ways(&kernel, &process, heap));
    let may_write = !world.protocol().tears_forks();
    plan.actor("thread", move || {
        for round in 0..6 {
            (0..HEAP).step_by(5).for_each(|page| checked(parent.load(heap + page * PAGE_SIZE)));
            if may_write {
                checked(parent.store(heap + (round * 7 % HEAP) * PAGE_SIZE, 900 + round));
            }
        }
    });
    let (kernel, cached) = (world.clone(), file.clone());
    plan.actor("writer", move || write_in_all_ways(&kernel, &writer, &cached));
    let kernel = world.clone();
    plan.actor("flusher", move || {
        for _ in 0..8 {
            kernel.flush();
            kernel.writeback(&file);
            let _words = (0..FILE).filter_map(|page| kernel.read_block(&file, page)).count();
            kernel.compute(200);
        }
    });
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        for _ in 0..ROUNDS {
            kernel.reclaim(32);
            kernel.compute(150);
        }
    });
    let kernel = world.clone();
    if let Some(process) = world.spawn() {
        plan.processes.push(process.clone());
        plan.actor("splitter", move || split_in_all_ways(&kernel, &process));
    }
    let kernel = world.clone();
    plan.actor("neighbours", move || meet_the_neighbours(&kernel));
    swap_on_other_devices(world, &mut plan);
    plan
}

/// Swap goes off and on again, with a file or a device, while somebody else tries to change the file.
fn swap_on_other_devices(world: &World, plan: &mut Plan) {
    let (Some(owner), Some(meddler)) = (plan.spawn(world), plan.spawn(world)) else { return };
    let file = world.create(SWAP_FILE);
    let (kernel, same) = (world.clone(), file.clone());
    plan.actor("swapoff", move || {
        for round in 0..6 {
            kernel.compute(600);
            kernel.swapoff();
            if round % 2 > 0 || !swap_on_file(&kernel, &owner, &same) {
                kernel.swapon(128);
            }
        }
    });
    let kernel = world.clone();
    plan.actor("meddler", move || meddle(&kernel, &meddler, &file));
}

/// Turns swap on with a file that is dirty and mapped. Nobody may write to the mapping then.
fn swap_on_file(kernel: &World, process: &Process, file: &File) -> bool {
    let mapped = process.map_file(file, 0, 4, true);
    checked(process.store(mapped, 1));
    let is_on = kernel.swapon_file(file);
    checked(process.store(mapped, 2));
    checked(process.touch(mapped, 4));
    process.unmap(mapped..mapped + 4 * PAGE_SIZE);
    is_on
}

/// Changes a file in all ways, as far as it may.
fn meddle(kernel: &World, process: &Process, file: &File) {
    let directory = kernel.make_plain_directory();
    let buffer = process.map_anon(1);
    for round in 0..30 {
        checked(process.store(buffer, 0xbad + round));
        checked(process.write(file, 1 + round % 8, buffer));
        kernel.punch_hole(file, 2..9);
        if kernel.truncate(file, SWAP_FILE / 2) {
            kernel.truncate(file, SWAP_FILE);
        }
        checked(process.read(file, round % 8, buffer));
        kernel.unlink(&directory, file);
        kernel.link(&directory, file);
        kernel.compute(40);
    }
}

/// Swaps a heap out and touches it: reads, writes, as a child, moved and unmapped.
fn swap_in_all_ways(kernel: &World, process: &Process, heap: u64) {
    let page = |page: u64| heap + page * PAGE_SIZE;
    for round in 0..3 {
        reclaim(kernel, 4);
        checked(process.load(page(round)));
        checked(process.store(page(round + 4), 100 + round));
        // A child shares what is on the device, until one of the two writes.
        if let Some(child) = process.fork() {
            checked(child.load(page(8)));
            checked(child.store(page(9), 200 + round));
            checked(process.store(page(10), 300 + round));
            (8..12).for_each(|index| checked(process.load(page(index))));
            reclaim(kernel, 3);
            (8..12).for_each(|index| checked(child.load(page(index))));
            child.exit();
        }
    }
    reclaim(kernel, 4);
    // What is swapped out moves, and goes, like anything else.
    process.unmap(page(20)..page(22));
    if let Some(moved) = process.remap(page(12)..page(16)) {
        (0..4).for_each(|index| checked(process.load(moved + index * PAGE_SIZE)));
    }
}

/// Writes a file by a shared mapping, a private one and system calls, and reads it by all of them.
fn write_in_all_ways(kernel: &World, process: &Process, file: &File) {
    let directory = kernel.make_plain_directory();
    let (shared, private) = (process.map_file(file, 0, FILE, true), process.map_file(file, 0, FILE, false));
    let buffer = process.map_anon(4);
    for round in 0..4 {
        for page in 0..6 {
            checked(process.store(shared + page * PAGE_SIZE, round << 8 | page));
            checked(process.store(buffer, round << 16 | page));
            checked(process.write(file, 6 + page, buffer));
            checked(process.read(file, page, buffer + PAGE_SIZE));
            checked(process.load(shared + (6 + page) * PAGE_SIZE));
        }
        checked(process.store(private + round * PAGE_SIZE, 7));
        kernel.flush();
        // Clean, mapped and of no more use.
        process.advise(shared..shared + 6 * PAGE_SIZE, Advice::PageOut);
        if round == 2 {
            kernel.truncate(file, FILE / 2);
            kernel.truncate(file, FILE);
        }
        reclaim(kernel, 3);
    }
    // Beyond the end there is nothing to read or to write.
    checked(process.write(file, FILE, buffer));
    checked(process.read(file, FILE, buffer));
    kernel.link(&directory, file);
    kernel.unlink(&directory, file);
}

/// Cuts a huge folio of a file, which reclaim then splits: mapped as a whole, by pages, and dirty.
fn split_in_all_ways(kernel: &World, process: &Process) {
    let file = kernel.create(HUGE_PAGES);
    let code = process.map_file(&file, 0, HUGE_PAGES, true);
    for round in 0..3 {
        let _collapsed = (0..4).any(|_| kernel.collapse(&file, 0));
        checked(process.load(code));
        checked(process.store(code + (100 + round) * PAGE_SIZE, round));
        kernel.truncate(&file, 300);
        if round > 0 {
            checked(process.load(code + 5 * PAGE_SIZE));
        }
        reclaim(kernel, 2);
        (98..104).for_each(|page| checked(process.load(code + page * PAGE_SIZE)));
        checked(process.load(code + 301 * PAGE_SIZE));
        kernel.writeback(&file);
        kernel.truncate(&file, 0);
        kernel.truncate(&file, HUGE_PAGES);
    }
    process.unmap(code..code + PMD_SIZE);
    split_anonymous(kernel, process);
}

/// Gives up part of huge pages of anonymous memory, alone and shared with a child; reclaim splits them, and then swaps.
fn split_anonymous(kernel: &World, process: &Process) {
    let heap = process.map_anon(HUGE_PAGES);
    let page = |page: u64| heap + page * PAGE_SIZE;
    process.advise(heap..heap + PMD_SIZE, Advice::HugePage);
    for round in 0..3 {
        (0..HUGE_PAGES).step_by(37).for_each(|index| checked(process.store(page(index), round << 12 | index)));
        let child = (round == 1).then(|| process.fork()).flatten();
        process.unmap(page(200)..page(230));
        reclaim(kernel, 4);
        (0..HUGE_PAGES).step_by(37).for_each(|index| checked(process.load(page(index))));
        if let Some(child) = child {
            (0..HUGE_PAGES).step_by(37).for_each(|index| checked(child.load(page(index))));
            checked(child.store(page(37), 5));
            child.exit();
        }
        process.advise(page(0)..page(100), Advice::PageOut);
        process.advise(page(300)..page(400), Advice::DontNeed);
        (0..HUGE_PAGES).step_by(29).for_each(|index| checked(process.load(page(index))));
        process.unmap(heap..heap + PMD_SIZE);
        if !process.map_anon_at(heap, HUGE_PAGES) {
            return;
        }
        process.advise(heap..heap + PMD_SIZE, Advice::HugePage);
    }
}

/// Goes through what the parts beside memory management do.
fn meet_the_neighbours(kernel: &World) {
    let m = &kernel.machine;
    let Some(process) = kernel.spawn() else { return };
    let heap = process.map_anon(4);
    (0..4).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, page)));
    m.neighbours.zswap.enable();
    memcg::attach_task(m, &process.mm, 1);
    workqueue::drain_for_mlock(m, &process.mm);
    workqueue::async_pf_execute(m, &process.mm);
    console::tty_input(m);
    console::test_pages_isolated(m);
    cpus::page_handle_poison(m);
    cpus::cpu_up(m);
    zswap::zswap_cpu_comp_prepare(m);
    shmlock::shmem_lock(m);
    shmlock::user_shm_unlock(m);
    shmlock::shmem_charge(m, &kernel.create(1).0);
    trace::mmap_read_lock_traced(m, &process.mm);
    trace::schedule_traced(m, &process.mm);
    process.exit();
}

/// Some rounds of reclaim, enough for what nobody touches to be unmapped, written and freed.
fn reclaim(kernel: &World, rounds: u32) {
    for _ in 0..rounds {
        kernel.reclaim(64);
    }
}
