//! A tour of userfaultfd on hugetlbfs: user code brings in the pages of mappings whose page tables are shared, and is told of
//! writes to mappings that share none.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{Expect, Plan, Scenario, checked};
use crate::{
    Advice, Huge, PAGE_SIZE, PMD_SIZE, PUD_SIZE,
    mem::{HUGE_PAGES, Message},
    protocol::Protocol,
    world::{File, Process, Userfault, World},
};

/// Pages that are shared by sharing their tables.
const GIGABYTE: u64 = PUD_SIZE / PAGE_SIZE;
/// Huge pages of the pool.
const POOL: u64 = 20;
/// Huge pages that are used of the file.
const USED: u64 = 6;
const ROUNDS: u64 = 3;

/// Userfaultfd on hugetlbfs.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-huge-userfault",
    title: "user code brings in huge pages that processes share, and is told of writes to them",
    story: "Two processes map the same 1 GiB of a file, share its page tables, and have missing pages brought in by a thread\n\
            of theirs. A third one shares the tables with a fourth one until it wants to be told of writes; its pages are\n\
            protected, moved and punched out, and it forks and moves the mapping.",
    source: "the simulator's own tour",
    memory: POOL * HUGE_PAGES + 1500,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build,
};

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.set_huge_pages(POOL);
    let big = world.create_huge();
    for number in 0..2 {
        missing(world, &big, number, &mut plan);
    }
    writes(world, &big, &mut plan);
    sharer(world, &big, &mut plan);
    let kernel = world.clone();
    plan.actor("files", move || {
        for round in 0..2 * ROUNDS {
            let _moved = (0..USED).filter(|page| kernel.migrate_huge(&big, *page)).count();
            kernel.punch_hole(&big, round % USED * HUGE_PAGES..(round % USED + 2) * HUGE_PAGES);
            kernel.compute(300);
        }
    });
    plan
}

/// Missing pages of shared tables: one thread touches them, another one brings them in.
fn missing(world: &World, big: &File, number: u64, plan: &mut Plan) {
    let Some(process) = plan.spawn(world) else { return };
    let data = process.map_anon(1);
    checked(process.store(data, 7 + number));
    let Some(addr) = process.map_huge(big, 0, GIGABYTE, Huge::SharedNoreserve) else { return };
    let uffd = process.userfaultfd();
    uffd.register(addr..addr + PUD_SIZE, true, false);
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    plan.actor(&format!("touch-{number}"), move || {
        for round in 0..ROUNDS {
            for page in 0..USED {
                let at = addr + (page + 2 * number) % USED * PMD_SIZE;
                checked(process.load(at));
                checked(process.store(at, round << 8 | page));
            }
            process.advise(addr..addr + 2 * PMD_SIZE, Advice::DontNeed);
        }
        ended.store(true, Relaxed);
    });
    let kernel = world.clone();
    plan.actor(&format!("manager-{number}"), move || {
        // Before anybody has touched the mapping: whoever comes second shares the tables here.
        uffd.copy(addr + USED * PMD_SIZE, data);
        while !done.load(Relaxed) {
            match uffd.read() {
                Some(Message { addr, .. }) => uffd.resolve(addr..addr + PAGE_SIZE, |uffd| uffd.copy(addr, data)),
                None => kernel.compute(30),
            }
        }
        uffd.close();
    });
}

/// A process that is told of writes: it gives up the tables that it shares.
fn writes(world: &World, big: &File, plan: &mut Plan) {
    let Some(process) = plan.spawn(world) else { return };
    let (uffd, done) = (process.userfaultfd(), Arc::new(AtomicBool::new(false)));
    let (kernel, manager, ended) = (world.clone(), uffd.clone(), done.clone());
    plan.actor("manager-of-writes", move || {
        while !ended.load(Relaxed) {
            match manager.read() {
                Some(Message { addr, .. }) => {
                    let page = addr..addr + PMD_SIZE;
                    manager.resolve(page.clone(), |uffd| uffd.protect(page.clone(), false));
                }
                None => kernel.compute(30),
            }
        }
    });
    let (kernel, big, library) = (world.clone(), big.clone(), world.create_shmem(8));
    plan.actor("writer", move || {
        for round in 0..ROUNDS {
            write_and_be_told(&kernel, &process, &uffd, (&big, &library), round);
        }
        done.store(true, Relaxed);
        uffd.close();
    });
}

fn write_and_be_told(kernel: &World, process: &Process, uffd: &Userfault, (big, library): (&File, &File), round: u64) {
    let copy = process.map_file(library, 0, 8, false);
    checked(process.store(copy + 6 * PAGE_SIZE, round));
    let Some(addr) = process.map_huge(big, 0, GIGABYTE, Huge::SharedNoreserve) else { return };
    let huge = |page: u64| addr + page * PMD_SIZE;
    (0..USED / 2).for_each(|page| checked(process.store(huge(page), round)));
    // One call for the end of a private mapping, which is cut for it, and for a shared one.
    uffd.register(copy.min(addr) + 4 * PAGE_SIZE..addr + PUD_SIZE, false, true);
    uffd.register(addr..addr + PUD_SIZE, false, true);
    uffd.protect(huge(0)..huge(USED), true);
    // Pages that are there, and one that may not be.
    (0..USED).for_each(|page| checked(process.load(huge(page))));
    [0, 1, USED - 1].iter().for_each(|&page| checked(process.store(huge(page), round << 4)));
    uffd.protect(huge(0)..huge(USED), true);
    kernel.migrate_huge(big, 1);
    process.advise(huge(2)..huge(3), Advice::DontNeed);
    [1, 2].iter().for_each(|&page| checked(process.store(huge(page), round << 5)));
    if let Some(child) = process.fork() {
        checked(child.store(huge(3), round << 6));
        child.exit();
    }
    let moved = process.remap(addr..addr + PUD_SIZE).unwrap_or(addr);
    checked(process.store(moved + 3 * PMD_SIZE, round << 7));
    uffd.unregister(moved..moved + 4 * PMD_SIZE);
    checked(process.store(moved + 3 * PMD_SIZE, round << 8));
    checked(process.store(moved + 4 * PMD_SIZE, round << 9));
    process.unmap(moved..moved + PUD_SIZE);
    process.unmap(copy..copy + 8 * PAGE_SIZE);
}

/// A process that is told of nothing, and shares what there is to share.
fn sharer(world: &World, big: &File, plan: &mut Plan) {
    let Some(process) = plan.spawn(world) else { return };
    let (kernel, big) = (world.clone(), big.clone());
    plan.actor("sharer", move || {
        for round in 0..3 * ROUNDS {
            let Some(addr) = process.map_huge(&big, 0, GIGABYTE, Huge::SharedNoreserve) else { continue };
            (0..USED).for_each(|page| checked(process.load(addr + page * PMD_SIZE)));
            checked(process.store(addr + round % USED * PMD_SIZE, round));
            kernel.compute(150);
            process.unmap(addr..addr + PUD_SIZE);
        }
    });
}
