//! A tour of shared memory with huge folios: they are there at the first touch, are mapped by one entry, lose parts, go to the
//! swap device page by page, and are made anew, with the holes that are in them.

use super::{Expect, Plan, Scenario, checked, pages};
use crate::{
    PAGE_SIZE, PMD_SIZE, PUD_SIZE,
    mem::HUGE_PAGES,
    op::Advice,
    protocol::Protocol,
    world::{File, Process, World},
};

/// Pages of a file: one huge folio, and part of another one.
const FILE: u64 = HUGE_PAGES + 20;
const ROUNDS: u64 = 3;

/// Huge folios of shared memory.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-shmem-huge",
    title: "shared memory in huge folios: mapped by one entry, cut, swapped out page by page, and collapsed again",
    story: "Processes map a file of a tmpfs with huge=always, write to it and read it, fork, pin and lock pages of it. Parts of it\n\
            are cut off and punched out, so that huge folios are split; kswapd swaps them out; khugepaged makes new ones and fills\n\
            the holes with zeros.",
    source: "the simulator's own tour",
    memory: 9000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.waits_under_imap() {
        true => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        false => Expect::Silent,
    },
    build,
};

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.swapon(1200);
    let (file, other) = (world.create_huge_shmem(FILE), world.create_huge_shmem(FILE));
    let processes: Vec<_> = (0..4).filter_map(|_| plan.spawn(world)).collect();
    let [first, second, third, fourth] = &processes[..] else { return plan };
    let (kernel, process, mine) = (world.clone(), first.clone(), file.clone());
    plan.actor("mapper", move || (0..ROUNDS).for_each(|round| use_mappings(&kernel, &process, &mine, round)));
    let (process, mine) = (second.clone(), file.clone());
    plan.actor("writer", move || (0..2 * ROUNDS).for_each(|round| write_and_read(&process, &mine, round)));
    let (kernel, mine) = (world.clone(), file);
    plan.actor("khugepaged", move || {
        for _ in 0..3 * ROUNDS {
            kernel.compute(400);
            kernel.collapse(&mine, 0);
        }
    });
    let (kernel, process) = (world.clone(), third.clone());
    plan.actor("cutter", move || (0..2 * ROUNDS).for_each(|round| cut_and_collapse(&kernel, &process, &other, round)));
    let (kernel, process, library) = (world.clone(), fourth.clone(), world.create(3 * HUGE_PAGES));
    plan.actor("program", move || (0..2).for_each(|round| use_library(&kernel, &process, &library, round)));
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        for _ in 0..4 * ROUNDS {
            kernel.compute(600);
            kernel.reclaim(32);
        }
    });
    let kernel = world.clone();
    plan.actor("kcompactd", move || {
        for _ in 0..ROUNDS {
            kernel.compute(1500);
            kernel.compact();
        }
    });
    plan
}

/// Uses a file by a shared and a private mapping.
fn use_mappings(kernel: &World, process: &Process, file: &File, round: u64) {
    let shared = process.map_file(file, 0, FILE, true);
    let private = process.map_file(file, 0, HUGE_PAGES, false);
    let page = |page: u64| shared + page * PAGE_SIZE;
    // Read first, so that a write finds it read-only; then written at once.
    checked(process.load(page(5)));
    checked(process.store(page(6), round << 8));
    checked(process.store(page(HUGE_PAGES + 3), round << 8 | 1));
    checked(process.load(private + 6 * PAGE_SIZE));
    checked(process.store(private + 7 * PAGE_SIZE, 7));
    // A guest hears of all pages of a huge one when a part of it is given up.
    let guest = process.create_guest();
    checked(guest.store(page(300), round << 8 | 4));
    process.advise(pages(shared, 0, 4), Advice::DontNeed);
    checked(guest.load(page(300)));
    if let Some(child) = process.fork() {
        checked(child.store(page(8), round << 8 | 2));
        checked(child.load(private + 7 * PAGE_SIZE));
        child.exit();
    }
    if let Ok(pin) = process.pin(page(9)) {
        kernel.punch_hole(file, 8..12);
        pin.write(round << 8 | 3);
    }
    checked(process.lock(pages(shared, 16, 4)));
    kernel.reclaim(32);
    process.unlock(pages(shared, 16, 4));
    process.advise(pages(shared, 32, 8), Advice::Remove);
    process.advise(pages(shared, 0, HUGE_PAGES), Advice::Collapse);
    (30..42).for_each(|index| checked(process.load(page(index))));
    // A table of its own, which leads to the huge folio page by page.
    process.advise(pages(shared, 0, HUGE_PAGES), Advice::Collapse);
    guest.stop();
    process.unmap(pages(shared, 100, 20));
    process.unmap(pages(private, 0, HUGE_PAGES));
    process.unmap(pages(shared, 0, FILE));
}

/// Writes and reads by system calls.
fn write_and_read(process: &Process, file: &File, round: u64) {
    let buffer = process.map_anon(2);
    for index in [1, 40, HUGE_PAGES - 1, HUGE_PAGES + 1, FILE - 1] {
        checked(process.store(buffer, round << 16 | index));
        checked(process.write(file, index, buffer));
        checked(process.read(file, index, buffer + PAGE_SIZE));
        checked(process.read(file, index / 2, buffer + PAGE_SIZE));
    }
    process.unmap(pages(buffer, 0, 2));
}

/// Cuts a file in the middle of a huge folio, and makes a new one of what is left and of holes; who has said that it fills
/// holes itself is asked for them.
fn cut_and_collapse(kernel: &World, process: &Process, file: &File, round: u64) {
    let shared = process.map_file(file, 0, FILE, true);
    for index in [0, 7, HUGE_PAGES - 1, HUGE_PAGES] {
        checked(process.store(shared + index * PAGE_SIZE, round << 4));
    }
    match round % 3 {
        0 => {
            kernel.punch_hole(file, 3..HUGE_PAGES + 2);
        }
        1 => {
            kernel.truncate(file, HUGE_PAGES / 2);
            kernel.truncate(file, FILE);
        }
        _ => {
            kernel.punch_hole(file, 0..2);
            // Out, and back for the new huge folio.
            swap_out(kernel);
        }
    }
    checked(process.load(shared + 7 * PAGE_SIZE));
    fill_by_hand(kernel, process, file);
    kernel.collapse(file, 0);
    (0..10).for_each(|index| checked(process.load(shared + index * PAGE_SIZE)));
    process.unmap(pages(shared, 0, FILE));
}

/// While user code fills the holes of a private mapping, khugepaged leaves them alone.
fn fill_by_hand(kernel: &World, process: &Process, file: &File) {
    let copy = process.map_file(file, 0, HUGE_PAGES, false);
    let uffd = process.userfaultfd();
    uffd.register(pages(copy, 0, HUGE_PAGES), true, false);
    kernel.collapse(file, 0);
    uffd.zeropage(copy + 3 * PAGE_SIZE);
    checked(process.load(copy + 3 * PAGE_SIZE));
    uffd.unregister(pages(copy, 0, HUGE_PAGES));
    process.unmap(pages(copy, 0, HUGE_PAGES));
}

/// Uses a file of a disk by a private mapping that has a copy, so that a huge folio of the file is mapped page by page; and has
/// one range made huge and the table of another one given up at once.
fn use_library(kernel: &World, process: &Process, library: &File, round: u64) {
    let code = process.map_file(library, 0, 3 * HUGE_PAGES, false);
    let shared = process.map_file(library, 0, HUGE_PAGES, true);
    checked(process.store(code + 2 * PMD_SIZE, round));
    for addr in [code, code + PMD_SIZE, shared] {
        checked(process.load(addr));
    }
    // The table stays, because there may be copies under it, and leads to the huge folio from the next touch on.
    kernel.collapse(library, HUGE_PAGES);
    checked(process.load(code + PMD_SIZE + 5 * PAGE_SIZE));
    process.advise(pages(code, 0, 2 * HUGE_PAGES), Advice::Collapse);
    checked(process.load(code + PMD_SIZE + 5 * PAGE_SIZE));
    checked(process.load(code + 7 * PAGE_SIZE));
    // A child of a process that wants pages merged and made huge.
    let heap = process.map_anon(4);
    checked(process.store(heap, round));
    process.set_mergeable(pages(heap, 0, 4), true);
    process.advise(pages(heap, 0, 4), Advice::HugePage);
    if let Some(child) = process.fork() {
        checked(child.load(code + 2 * PMD_SIZE));
        child.exit();
    }
    process.unmap(pages(heap, 0, 4));
    move_and_cut(kernel, process, code + 2 * PMD_SIZE);
    process.unmap(pages(shared, 0, HUGE_PAGES));
    process.unmap(pages(code, 0, 2 * HUGE_PAGES));
    kernel.truncate(library, 0);
    kernel.truncate(library, 3 * HUGE_PAGES);
}

/// Moves a whole table of a private mapping that has a copy far away, under another table, and unmaps the part of it that has been swapped out.
fn move_and_cut(kernel: &World, process: &Process, addr: u64) {
    let Some(moved) = process.remap_to(pages(addr, 0, HUGE_PAGES), addr + 4 * PUD_SIZE) else { return };
    checked(process.store(moved + PAGE_SIZE, 9));
    process.advise(pages(moved, 0, 1), Advice::PageOut);
    swap_out(kernel);
    process.unmap(pages(moved, 0, 2));
    process.unmap(pages(moved, 2, HUGE_PAGES - 2));
}

/// Some rounds of reclaim.
fn swap_out(kernel: &World) {
    for _ in 0..4 {
        kernel.reclaim(64);
    }
}
