//! A tour of hugetlbfs: everything it does, in an order of their own for each actor.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{Expect, Plan, Scenario, checked};
use crate::{
    Access, Advice, Huge, PAGE_SIZE, PMD_SIZE, PUD_SIZE,
    mem::HUGE_PAGES,
    protocol::{HugetlbLocking, Protocol},
    world::{File, Process, World},
};

/// Pages that are shared by sharing their tables.
const GIGABYTE: u64 = PUD_SIZE / PAGE_SIZE;
/// Huge pages of the small file.
const SMALL: u64 = 4;

/// All operations.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-hugetlb",
    title: "everything that hugetlbfs does: shared page tables, reservations, copies, holes, migration",
    story: "Two processes share the page tables of a file of 1 GiB and give them up again; a process forks with private\n\
            huge pages and both write; the file is cut, punched, allocated and moved under them.",
    source: "the simulator's own tour",
    memory: 36 * HUGE_PAGES + 500,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build,
};

fn migrate(kernel: &World, file: &File, page: u64) {
    let _moved = kernel.migrate_huge(file, page);
}

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.set_huge_pages(34);
    let (big, small) = (world.create_huge(), world.create_huge());
    for number in 0..2 {
        tour_shared(world, &big, number, &mut plan);
    }
    tour_private(world, &small, &mut plan);
    tour_files(world, &big, &small, &mut plan);
    tour_directory(world, &small, &mut plan);
    tour_broken(world, &mut plan);
    plan
}

/// Shares page tables, and loses them in each of the ways there are.
fn tour_shared(world: &World, big: &File, number: u64, plan: &mut Plan) {
    let Some(process) = plan.spawn(world) else { return };
    let big = big.clone();
    plan.actor(&format!("sharer-{number}"), move || {
        for round in 0..3 {
            let Some(addr) = process.map_huge(&big, 0, GIGABYTE, Huge::SharedNoreserve) else { continue };
            for page in 0..6 {
                checked(process.store(addr + (page + number) * PMD_SIZE, page + 1));
                checked(process.load(addr + page * PMD_SIZE + PAGE_SIZE));
            }
            process.protect(addr..addr + 2 * PMD_SIZE, Access::READ);
            checked(process.store(addr + PMD_SIZE, 9));
            checked(process.load(addr + 3 * PMD_SIZE));
            let moved = process.remap(addr + 2 * PMD_SIZE..addr + PUD_SIZE).unwrap_or(addr + 2 * PMD_SIZE);
            checked(process.store(moved, round));
            process.advise(moved..moved + 4 * PMD_SIZE, Advice::DontNeed);
            checked(process.load(moved));
            process.advise(moved..moved + 2 * PMD_SIZE, Advice::Remove);
            process.unmap(moved + 8 * PMD_SIZE..moved + 16 * PMD_SIZE);
            process.unmap(addr..addr + PUD_SIZE);
            process.unmap(moved..moved + PUD_SIZE);
        }
    });
}

/// Private pages: promised, copied, taken from a child, given up and promised again.
fn tour_private(world: &World, small: &File, plan: &mut Plan) {
    let Some(process) = plan.spawn(world) else { return };
    let small = small.clone();
    plan.actor("private", move || {
        for round in 0..3 {
            let Some(own) = process.map_huge(&small, 0, SMALL * HUGE_PAGES, Huge::Private) else { continue };
            let poor = process.map_huge(&small, HUGE_PAGES, HUGE_PAGES, Huge::PrivateNoreserve);
            (0..SMALL).for_each(|page| checked(process.load(own + page * PMD_SIZE)));
            (0..SMALL - 1).for_each(|page| checked(process.store(own + page * PMD_SIZE, 10 + round)));
            if let Some(child) = process.fork() {
                checked(child.store(own, 20));
                checked(process.store(own, 30));
                checked(process.store(own + PMD_SIZE, 40));
                checked(child.load(own + PMD_SIZE));
                child.exit();
            }
            poor.into_iter().for_each(|poor| checked(process.store(poor, 50)));
            process.advise(own..own + 2 * PMD_SIZE, Advice::DontNeed);
            checked(process.store(own, 60));
            let own = process.remap(own..own + SMALL * PMD_SIZE).unwrap_or(own);
            checked(process.load(own));
            process.protect(own + PMD_SIZE..own + 2 * PMD_SIZE, Access::NONE);
            checked(process.load(own + PMD_SIZE));
            process.unmap(own..own + SMALL * PMD_SIZE);
            poor.into_iter().for_each(|poor| process.unmap(poor..poor + PMD_SIZE));
        }
    });
}

/// Huge pages break: one that two processes share, one that only the next page fault finds, and private ones.
fn tour_broken(world: &World, plan: &mut Plan) {
    if world.protocol().hugetlb_locking == HugetlbLocking::Imap {
        // Page faults lock folios under i_mmap, and memory failure looks for processes under i_mmap with the folio locked. That
        // is H1 of the catalogue by another way; `op/hugetlb/memory_failure` has a test of it.
        return;
    }
    let (Some(first), Some(second)) = (plan.spawn(world), plan.spawn(world)) else { return };
    let (kernel, file) = (world.clone(), world.create_huge());
    let done = Arc::new(AtomicBool::new(false));
    let (mapped, ended) = (file.clone(), done.clone());
    plan.actor("neighbour", move || {
        let Some(addr) = second.map_huge(&mapped, 0, 3 * HUGE_PAGES, Huge::SharedNoreserve) else { return };
        while !ended.load(Relaxed) {
            checked(second.load(addr));
            checked(second.store(addr + PMD_SIZE, 5));
            checked(second.load(addr + 2 * PMD_SIZE));
        }
    });
    plan.actor("breaks", move || {
        let shared = first.map_huge(&file, 0, 3 * HUGE_PAGES, Huge::SharedNoreserve);
        if let Some(addr) = shared {
            checked(first.store(addr, 1));
            checked(first.store(addr + PMD_SIZE, 2));
            let broken = (0..4).any(|_| kernel.break_page(&first, addr + PAGE_SIZE));
            checked(first.load(addr));
            checked(first.store(addr + PMD_SIZE, 3));
            kernel.compute(100);
            if broken {
                // Whoever cuts the file gets rid of it.
                kernel.truncate(&file, 0);
                kernel.truncate(&file, 3 * HUGE_PAGES);
            }
            checked(first.load(addr));
            // Both processes find out by themselves.
            checked(first.store(addr + 2 * PMD_SIZE, 6));
            kernel.compute(100);
            kernel.fail_page(&first, addr + 2 * PMD_SIZE);
            checked(first.load(addr + 2 * PMD_SIZE));
        }
        done.store(true, Relaxed);
        if let Some(own) = first.map_huge(&file, 0, 2 * HUGE_PAGES, Huge::PrivateNoreserve) {
            checked(first.store(own, 4));
            checked(first.store(own + PMD_SIZE, 5));
            let child = first.fork();
            kernel.break_page(&first, own);
            for process in child.iter().chain([&first]) {
                checked(process.load(own));
                checked(process.load(own + PMD_SIZE));
            }
            let grandchild = first.fork();
            grandchild.iter().for_each(|process| checked(process.load(own)));
            first.advise(own..own + PMD_SIZE, Advice::DontNeed);
            checked(first.load(own));
            child.into_iter().chain(grandchild).for_each(Process::exit);
        }
    });
}

/// What is done to the files, and to the pool.
fn tour_files(world: &World, big: &File, small: &File, plan: &mut Plan) {
    let (kernel, big, small) = (world.clone(), big.clone(), small.clone());
    plan.actor("files", move || {
        for _ in 0..3 {
            kernel.allocate(&small, 0..2 * HUGE_PAGES);
            (0..4).for_each(|page| migrate(&kernel, &big, page));
            kernel.punch_hole(&big, HUGE_PAGES..4 * HUGE_PAGES);
            kernel.punch_hole(&small, HUGE_PAGES..2 * HUGE_PAGES);
            kernel.set_huge_pages(30);
            kernel.truncate(&big, 3 * HUGE_PAGES);
            kernel.truncate(&small, HUGE_PAGES);
            kernel.truncate(&small, SMALL * HUGE_PAGES);
            kernel.truncate(&big, GIGABYTE);
            kernel.set_huge_pages(28);
        }
    });
}

/// The directory is read into huge pages and into small ones, and a file in it is mapped with promises.
fn tour_directory(world: &World, small: &File, plan: &mut Plan) {
    let Some(process) = plan.spawn(world) else { return };
    let (directory, small) = (world.make_directory(), small.clone());
    plan.actor("readdir", move || {
        for _ in 0..4 {
            let heap = process.map_anon(2);
            let Some(huge) = process.map_huge(&small, 0, 2 * HUGE_PAGES, Huge::Shared) else { continue };
            checked(process.readdir(&directory, 0, heap));
            checked(process.readdir(&directory, 0, huge));
            process.unmap(huge..huge + 2 * PMD_SIZE);
            process.unmap(heap..heap + 2 * PAGE_SIZE);
        }
    });
}
