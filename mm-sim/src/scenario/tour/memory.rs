//! A tour of memory that breaks and goes, and of processes that are killed.
//!
//! Silent under every protocol. Each operation comes at least once while somebody else is in the way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Expect, Plan, Scenario, checked};
use crate::{
    PAGE_SIZE,
    mem::HUGE_PAGES,
    op::Signal,
    protocol::Protocol,
    world::{File, Process, World},
};

/// Memory that breaks and goes, processes that are killed, and who looks at them.
pub(in crate::scenario) const MEMORY: Scenario = Scenario {
    id: "tour-memory",
    title: "frames break and go offline, processes are killed and reaped, and others look at them",
    story: "The hardware reports broken frames of files and of anonymous memory, some of them shared by a fork or by KSM;\n\
            others are found by threads that use them at the same time;\n\
            frames go offline; a process is killed, reaped and ends, and another one reads what is in /proc.",
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
    let file = world.create(4 * PAGES);
    let Some(process) = plan.spawn(world) else { return plan };
    let heap = process.map_anon(4 * PAGES);
    let text = process.map_file(&file, 0, 2 * PAGES, true);
    let copy = process.map_file(&file, 0, 2 * PAGES, false);
    process.set_mergeable(heap..heap + 4 * PAGES * PAGE_SIZE, true);
    (0..4 * PAGES).for_each(|page| checked(process.store(heap + page * PAGE_SIZE, page % 4)));
    failures(world, &process, file, [heap, text, copy], &mut plan);
    victims(world, &mut plan);
    consumers(world, &mut plan);
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

/// Frames fail, and threads of two processes come upon each of them at the same time: in memory of their own, in what a file
/// has got and what it has not on disk yet, and in what another thread unmaps meanwhile.
fn consumers(world: &World, plan: &mut Plan) {
    let file = world.create(2 * ROUNDS);
    let (Some(first), Some(second)) = (plan.spawn(world), plan.spawn(world)) else { return };
    let heap = first.map_anon(2 * ROUNDS);
    let texts = [&first, &second].map(|process| process.map_file(&file, 0, 2 * ROUNDS, true));
    let turn = Arc::new(AtomicU64::new(0));
    for (number, process) in [&first, &first, &second].into_iter().enumerate() {
        let (process, turn, text) = (process.clone(), turn.clone(), texts[number / 2]);
        plan.actor(&format!("consumer-{number}"), move || {
            while turn.load(Relaxed) < ROUNDS {
                let page = turn.load(Relaxed) * PAGE_SIZE;
                if number < 2 {
                    checked(process.load(heap + page));
                }
                checked(process.load(text + page));
                checked(process.load(text + ROUNDS * PAGE_SIZE + page));
            }
        });
    }
    let kernel = world.clone();
    plan.actor("decay", move || {
        for round in 0..ROUNDS {
            let pages = [heap, texts[0], texts[0] + ROUNDS * PAGE_SIZE].map(|start| start + round * PAGE_SIZE);
            checked(first.store(pages[0], round));
            checked(first.store(pages[1], round));
            checked(first.load(pages[2]));
            kernel.compute(100);
            let _failed = pages.map(|page| kernel.fail_page(&first, page));
            kernel.compute(150);
            if round % 2 == 0 {
                first.unmap(pages[0]..pages[0] + PAGE_SIZE);
            }
            kernel.compute(150);
            turn.fetch_add(1, Relaxed);
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
