//! A tour of shared memory: files whose pages are swapped out, with everything that may happen to them meanwhile.

use super::{Expect, Plan, Scenario, checked};
use crate::{
    PAGE_SIZE,
    op::Advice,
    protocol::{MmapMark, Protocol},
    world::{File, Process, World},
};

/// Pages of a file.
const FILE: u64 = 20;

/// Shared memory.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-shmem",
    title: "shared memory goes to the swap device and comes back, and is cut meanwhile",
    story: "Processes map, read and write files of shared memory, which kswapd swaps out under them. Pages are cut off,\n\
            punched out and moved, in memory and on the device; swap is turned off and on.",
    source: "the simulator's own tour",
    memory: 2000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.mmap_mark {
        MmapMark::UnderImap => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        MmapMark::Never | MmapMark::BeforeImap => Expect::Silent,
    },
    build,
};

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.swapon(128);
    let (file, other) = (world.create_shmem(FILE), world.create_shmem(FILE));
    let (Some(first), Some(second)) = (world.spawn(), world.spawn()) else { return plan };
    plan.processes.extend([first.clone(), second.clone()]);
    let (kernel, mine, cut) = (world.clone(), file.clone(), other.clone());
    plan.actor("mapper", move || {
        map_in_all_ways(&kernel, &first, &mine);
        map_in_all_ways(&kernel, &first, &cut);
    });
    let (kernel, mine) = (world.clone(), file.clone());
    plan.actor("writer", move || write_and_read(&kernel, &second, &mine));
    let (kernel, mine) = (world.clone(), other.clone());
    plan.actor("cutter", move || {
        for round in 0..8 {
            cut_in_all_ways(&kernel, &mine, round);
            kernel.compute(250);
        }
    });
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        for _ in 0..14 {
            kernel.reclaim(64);
            kernel.compute(120);
        }
    });
    let kernel = world.clone();
    plan.actor("kcompactd", move || {
        for _ in 0..6 {
            kernel.compact();
            kernel.writeback(&file);
            kernel.compute(300);
        }
    });
    let kernel = world.clone();
    plan.actor("swapoff", move || {
        for _ in 0..4 {
            kernel.compute(500);
            kernel.swapoff();
            kernel.swapon(128);
        }
    });
    plan
}

/// Uses a file by shared and private mappings while it is swapped out.
fn map_in_all_ways(kernel: &World, process: &Process, file: &File) {
    let (shared, private) = (process.map_file(file, 0, FILE, true), process.map_file(file, 0, FILE, false));
    let page = |page: u64| shared + page * PAGE_SIZE;
    for round in 0..3 {
        (0..FILE).for_each(|index| checked(process.store(page(index), round << 8 | index)));
        swap_out(kernel);
        checked(process.load(page(round)));
        checked(process.store(page(round + 4), 100 + round));
        checked(process.load(private + 2 * PAGE_SIZE));
        checked(process.store(private + (round + 6) * PAGE_SIZE, 7));
        // Ahead of its use, and out again at once.
        process.advise(page(8)..page(11), Advice::WillNeed);
        process.advise(page(8)..page(11), Advice::PageOut);
        (7..12).for_each(|index| checked(process.load(page(index))));
        if let Some(child) = process.fork() {
            checked(child.store(page(12), 300 + round));
            swap_out(kernel);
            checked(process.load(page(12)));
            checked(child.load(private + (round + 6) * PAGE_SIZE));
            child.exit();
        }
        // In memory, and mapped; and then on the device.
        checked(process.store(page(18), 500 + round));
        process.advise(page(18)..page(19), Advice::Remove);
        swap_out(kernel);
        process.advise(page(13)..page(16), Advice::Remove);
        (12..17).for_each(|index| checked(process.load(page(index))));
        if let Ok(pin) = process.pin(page(17)) {
            swap_out(kernel);
            pin.write(400 + round);
        }
        if round == 1 {
            checked(process.lock(page(0)..page(3)));
            swap_out(kernel);
            process.unlock(page(0)..page(3));
        }
    }
    process.unmap(private..private + FILE * PAGE_SIZE);
    process.unmap(page(0)..page(FILE));
}

/// Writes and reads by system calls, in memory, on the device and where nothing is.
fn write_and_read(kernel: &World, process: &Process, file: &File) {
    let buffer = process.map_anon(2);
    for round in 0..4 {
        for index in 0..6 {
            checked(process.store(buffer, round << 16 | index));
            checked(process.write(file, 2 * index, buffer));
            checked(process.read(file, 2 * index + 1, buffer + PAGE_SIZE));
        }
        swap_out(kernel);
        (0..12).for_each(|index| checked(process.read(file, index, buffer + PAGE_SIZE)));
    }
    checked(process.write(file, FILE, buffer));
    checked(process.read(file, FILE, buffer));
}

/// Cuts a file and punches holes into it, sometimes while it is swapped out.
fn cut_in_all_ways(kernel: &World, file: &File, round: u64) {
    if round.is_multiple_of(2) {
        swap_out(kernel);
    }
    match round % 3 {
        0 => {
            kernel.punch_hole(file, 3..9);
        }
        1 => {
            kernel.truncate(file, FILE / 2);
            kernel.truncate(file, FILE);
        }
        _ => {
            kernel.truncate(file, 0);
            kernel.truncate(file, FILE);
        }
    }
}

/// Some rounds of reclaim, enough for what nobody touches to be unmapped, written and freed.
fn swap_out(kernel: &World) {
    for _ in 0..3 {
        kernel.reclaim(64);
    }
}
