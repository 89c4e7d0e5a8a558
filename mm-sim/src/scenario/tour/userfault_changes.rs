//! A tour of what userfaultfd fills while the mapping changes: fills that hold no mmap lock, and moves and unmaps.
//!
//! Only `map_changing_lock` keeps the two apart from 6.9 on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use super::{Expect, Plan, Scenario, checked};
use crate::{
    Filled, PAGE_SIZE,
    protocol::Protocol,
    world::{Process, Userfault, World},
};

/// Pages of the mapping.
const PAGES: u64 = 6;
/// Times that it moves.
const MOVES: u64 = 6;

/// Fills against changes.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-userfaultfd-changes",
    title: "user code brings in pages of a mapping that is moved and unmapped meanwhile",
    story: "Two threads copy, zero and move pages into a mapping, one after the other and over again, before anybody asks for\n\
            them. A third one moves the mapping to other places, or over another one that is filled too, and unmaps pages of it.",
    source: "the simulator's own tour",
    memory: 900,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build,
};

/// Where the mapping is now, and whether it has come to rest.
#[derive(Default)]
struct Place {
    addr: AtomicU64,
    is_settled: AtomicBool,
}

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let Some(process) = plan.spawn(world) else { return plan };
    let uffd = process.userfaultfd();
    let place = Arc::new(Place::default());
    let addr = mapping(&process, &uffd);
    place.addr.store(addr, Relaxed);
    for number in 0..2 {
        let (process, uffd, place) = (process.clone(), uffd.clone(), place.clone());
        let data = process.map_anon(1);
        checked(process.store(data, 1 + number));
        plan.actor(&format!("fill-{number}"), move || fill(&process, &uffd, &place, data, number));
    }
    plan.actor("changes", move || {
        for turn in 0..MOVES {
            change(&process, &uffd, &place, turn);
        }
        place.is_settled.store(true, Relaxed);
        uffd.close();
        let addr = place.addr.load(Relaxed);
        (0..PAGES - 1).for_each(|page| checked(process.load(addr + page * PAGE_SIZE)));
    });
    plan
}

/// Maps memory that user code fills. One page has been there, so the VMA has an anon_vma, and a fill needs no mmap lock.
fn mapping(process: &Process, uffd: &Userfault) -> u64 {
    let addr = process.map_anon(PAGES);
    checked(process.store(addr, 1));
    uffd.register(addr..addr + PAGES * PAGE_SIZE, true, false);
    addr
}

/// Fills the pages in turn, until the mapping stays where it is.
fn fill(process: &Process, uffd: &Userfault, place: &Place, data: u64, number: u64) {
    let mut turn = 0;
    while !place.is_settled.load(Relaxed) {
        turn += 1;
        let at = place.addr.load(Relaxed) + (turn + 2 * number) % PAGES * PAGE_SIZE;
        match turn % 3 {
            0 => drop(uffd.copy(at, data)),
            1 => drop(uffd.zeropage(at)),
            _ => {
                if uffd.move_page(at, data) == Filled::Done {
                    checked(process.store(data, turn << 8 | number));
                }
            }
        }
    }
}

/// Unmaps the last page, and moves the others: to a free place, or over a new mapping, whose last page then is the last one.
fn change(process: &Process, uffd: &Userfault, place: &Place, turn: u64) {
    let old = place.addr.load(Relaxed);
    let (old, end) = (old..old + PAGES * PAGE_SIZE, old + (PAGES - 1) * PAGE_SIZE);
    process.unmap(end..old.end);
    let moved = if turn.is_multiple_of(2) {
        process.remap(old.start..end)
    } else {
        process.remap_to(old.start..end, mapping(process, uffd))
    };
    place.addr.store(moved.unwrap_or(old.start), Relaxed);
}
