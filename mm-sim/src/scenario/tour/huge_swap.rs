//! Tours of huge pages beside swap and broken memory: what is elsewhere comes back to become one, and one that nobody has
//! any more ends in the hands of reclaim.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Expect, Plan, Scenario, checked, pages};
use crate::{
    Advice, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    world::{Process, World},
};

/// Huge pages of anonymous memory, swap and broken memory.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-huge-swap",
    title: "huge pages are made of what is on the swap device",
    story: "Processes swap parts of a range out and ask for a huge page of it, alone and sharing it with a child; khugepaged\n\
            does the same on its own. Threads use the pages meanwhile, swap is turned off and on, and memory breaks while\n\
            it is copied.",
    source: "the simulator's own tour",
    memory: 9000,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build,
};

/// Huge pages that are given up while reclaim holds them.
pub(in crate::scenario) const GIVEN_UP: Scenario = Scenario {
    id: "tour-given-up",
    title: "processes give huge pages up while reclaim has them off its list",
    story: "A huge page is cut, so that it waits to be split, and then given up. Reclaim has just taken it off its list: when it\n\
            puts it back, it is the last one to have it.",
    source: "the simulator's own tour",
    memory: 4000,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build: build_given_up,
};

const ROUNDS: u64 = 6;
/// Small pages beside huge ones that are given up.
const OTHERS: u64 = 12;
/// Pages that are used of a range when a huge page is asked for.
const SOME: u64 = 48;
/// Those of them that go to the swap device.
const AWAY: u64 = 10;
/// Pages of a range that khugepaged finds worth it.
const MOST: u64 = 300;

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.swapon(512);
    let Some(process) = plan.spawn(world) else { return plan };
    let heap = process.map_anon(HUGE_PAGES);
    let (kernel, asker, turn) = (world.clone(), process.clone(), Turn::default());
    let asked = turn.clone();
    plan.actor("asker", move || ask(&kernel, &asker, heap, &turn));
    let kernel = world.clone();
    plan.actor("page-fault", move || {
        for round in 1..=ROUNDS {
            asked.wait_for(&kernel, round);
            // The other way around, so that the two meet at a page.
            (0..AWAY).rev().for_each(|page| checked(process.load(heap + page * PAGE_SIZE)));
            (0..AWAY).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, round)));
        }
    });
    copy_what_has_failed(world, &mut plan);
    if let Some(process) = plan.spawn(world) {
        let kernel = world.clone();
        plan.actor("khugepaged", move || wait_for_khugepaged(&kernel, &process));
    }
    kernel_threads(world, &mut plan);
    plan
}

fn build_given_up(world: &World) -> Plan {
    let mut plan = Plan::default();
    // Soon full, so that reclaim is not busy with the device.
    world.swapon(16);
    for number in 0..2 {
        let Some(process) = plan.spawn(world) else { continue };
        let kernel = world.clone();
        plan.actor(&format!("process-{number}"), move || give_up(&kernel, &process));
    }
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        for _ in 0..40 * ROUNDS {
            kernel.reclaim(2);
            kernel.compute(10);
        }
    });
    plan
}

/// What one actor has come to, for another one to wait for.
#[derive(Clone, Default)]
struct Turn(Arc<AtomicU64>);

impl Turn {
    fn set(&self, round: u64) {
        self.0.store(round, Relaxed);
    }

    /// Waits, but not for one that never comes.
    fn wait_for(&self, kernel: &World, round: u64) {
        let _is_there = (0..10_000).any(|_| {
            kernel.compute(5);
            self.0.load(Relaxed) >= round
        });
    }
}

fn kernel_threads(world: &World, plan: &mut Plan) {
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        for _ in 0..12 * ROUNDS {
            kernel.reclaim(8);
            kernel.compute(300);
        }
    });
    let kernel = world.clone();
    plan.actor("swapoff", move || {
        for _ in 0..3 {
            kernel.compute(4000);
            kernel.swapoff();
            kernel.swapon(512);
        }
    });
}

/// Swaps part of a range out and asks for a huge page of it.
fn ask(kernel: &World, process: &Process, heap: u64, turn: &Turn) {
    let whole = heap..heap + PMD_SIZE;
    for round in 0..ROUNDS {
        process.advise(whole.clone(), Advice::NoHugePage);
        (0..SOME).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, round << 8 | page)));
        swap_out(kernel, process, heap);
        // A child has the same slots, and keeps them when the parent has a huge page.
        let child = if round % 2 == 0 { process.fork() } else { None };
        process.advise(whole.clone(), Advice::HugePage);
        turn.set(round + 1);
        for _ in 0..4 {
            process.advise(whole.clone(), Advice::Collapse);
            kernel.compute(30);
        }
        (0..SOME).for_each(|page| checked(process.load(heap + page * PAGE_SIZE)));
        checked(process.load(heap + SOME * PAGE_SIZE));
        if let Some(child) = child {
            checked(child.store(heap, 1));
            (0..AWAY).for_each(|page| checked(child.load(heap + page * PAGE_SIZE)));
            child.exit();
        }
        process.advise(whole.clone(), Advice::DontNeed);
    }
}

/// Processes ask for huge pages of memory that has failed in part, which nobody knows before it is copied.
fn copy_what_has_failed(world: &World, plan: &mut Plan) {
    let kernel = world.clone();
    plan.actor("careful", move || {
        for round in 0..ROUNDS {
            // Whose page cannot be given up when it is touched is killed.
            let Some(process) = kernel.spawn() else { return };
            let heap = process.map_anon(HUGE_PAGES);
            process.advise(heap..heap + PMD_SIZE, Advice::NoHugePage);
            (0..SOME).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, round << 9 | page)));
            process.advise(pages(heap, SOME - 2, 2), Advice::PageOut);
            kernel.compute(400);
            process.advise(heap..heap + PMD_SIZE, Advice::HugePage);
            kernel.fail_page(&process, heap + round * 7 % (SOME - 2) * PAGE_SIZE);
            for _ in 0..3 {
                process.advise(heap..heap + PMD_SIZE, Advice::Collapse);
                kernel.compute(100);
            }
            (0..SOME).for_each(|page| checked(process.load(heap + page * PAGE_SIZE)));
            process.exit();
        }
    });
}

/// Writes the first pages of a range to the swap device; some of them leave memory.
fn swap_out(kernel: &World, process: &Process, heap: u64) {
    process.advise(pages(heap, 0, AWAY), Advice::PageOut);
    kernel.compute(60);
    kernel.reclaim(16);
}

/// khugepaged makes a huge page of a range that is used, although some of it is on the swap device.
fn wait_for_khugepaged(kernel: &World, process: &Process) {
    let heap = process.map_anon(HUGE_PAGES);
    for round in 0..3 {
        process.advise(heap..heap + PMD_SIZE, Advice::NoHugePage);
        (0..MOST).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, round << 12 | page)));
        swap_out(kernel, process, heap);
        (AWAY..MOST).for_each(|page| checked(process.load(heap + page * PAGE_SIZE)));
        process.advise(heap..heap + PMD_SIZE, Advice::HugePage);
        let _made = (0..4).any(|_| kernel.khugepaged() > 0);
        (0..MOST).step_by(3).for_each(|page| checked(process.load(heap + page * PAGE_SIZE)));
        process.advise(heap..heap + PMD_SIZE, Advice::DontNeed);
    }
}

/// Gives huge pages up while reclaim has them off its list. Reclaim wants them split, so they wait for that; and it is busy
/// with other pages before it puts back what it has taken.
fn give_up(kernel: &World, process: &Process) {
    let (mut heap, others) = (process.map_anon(HUGE_PAGES), process.map_anon(OTHERS));
    for round in 0..8 * ROUNDS {
        process.advise(heap..heap + PMD_SIZE, Advice::HugePage);
        checked(process.store(heap, round));
        // As many as it takes to get them all onto the list.
        (0..OTHERS).for_each(|page| checked(process.store(others + page * PAGE_SIZE, round)));
        if round % 4 == 3 {
            process.advise(pages(heap, 100, 50), Advice::DontNeed);
        }
        kernel.compute(round * 13 % 50);
        process.unmap(heap..heap + PMD_SIZE);
        process.advise(pages(others, 0, OTHERS / 2), Advice::DontNeed);
        heap = process.map_anon(HUGE_PAGES);
    }
}
