//! A tour of userfaultfd: user code brings pages in.
//!
//! Silent under every protocol that was merged. Each operation comes at least once while somebody else is in the way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Expect, Plan, Scenario, checked};
use crate::{
    Huge, PAGE_SIZE, PMD_SIZE,
    mem::{HUGE_PAGES, Message},
    protocol::Protocol,
    world::{File, Process, Userfault, World},
};

/// userfaultfd.
pub(in crate::scenario) const USERFAULT: Scenario = Scenario {
    id: "tour-userfaultfd",
    title: "user code brings in the pages of a process, while its mappings change",
    story: "Two threads touch memory that a userfaultfd is registered for; a third one is told and copies, moves or zeroes\n\
            pages, and protects others from writes. The process splits, moves and unmaps mappings, and forks.",
    source: "a tour",
    memory: 5000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| {
        // The file is mapped and collapsed, and reclaimed from.
        if protocol.waits_under_imap() {
            Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem")
        } else {
            Expect::Silent
        }
    },
    build,
};

/// Rounds of each actor.
const ROUNDS: u64 = 6;
/// Pages of a mapping.
const PAGES: u64 = 8;

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create_shmem(2 * HUGE_PAGES);
    let Some(process) = plan.spawn(world) else { return plan };
    let heap = process.map_anon(2 * PAGES);
    // The second half of the file is a hole.
    let copy = process.map_file(&file, 0, 2 * HUGE_PAGES, false);
    let data = process.map_anon(PAGES);
    (0..PAGES).for_each(|page| checked(process.store(data + page * PAGE_SIZE, page + 1)));
    let uffd = process.userfaultfd();
    uffd.register(heap..heap + 2 * PAGES * PAGE_SIZE, true, true);
    uffd.register(copy..copy + 2 * PMD_SIZE, true, false);
    huge_userfault(world, &process, data, &mut plan);
    let done = Arc::new(AtomicU64::new(0));
    for number in 0..2 {
        let (process, done) = (process.clone(), done.clone());
        plan.actor(&format!("touch-{number}"), move || {
            for turn in 0..4 * PAGES {
                let page = turn % (2 * PAGES);
                let addr = heap + (page * 3 + number) % (2 * PAGES) * PAGE_SIZE;
                checked(process.load(addr));
                checked(process.store(addr, page << 8 | number));
                for half in [copy, copy + PMD_SIZE] {
                    checked(process.load(half + page * PAGE_SIZE));
                    checked(process.store(half + page / 2 * PAGE_SIZE, page));
                }
            }
            done.fetch_add(1, Relaxed);
        });
    }
    manager(world, &process, &uffd, done, (heap, data), &mut plan);
    mapping_changes(world, process, uffd, (file, heap, copy), &mut plan);
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
            let Some(message) = uffd.poll().then(|| uffd.read()).flatten() else {
                kernel.compute(30);
                continue;
            };
            turn += 1;
            let page = message.addr..message.addr + PAGE_SIZE;
            let (word, spare) = (data + turn % PAGES * PAGE_SIZE, process.map_anon(1));
            if turn % 4 == 1 && !message.is_protected {
                checked(process.store(spare, turn));
                // If it cannot be moved, it comes as zeros.
                uffd.move_page(message.addr, spare);
            }
            uffd.resolve(page.clone(), |uffd| match turn % 4 {
                _ if message.is_protected => uffd.protect(page.clone(), false),
                0 | 1 => uffd.zeropage(message.addr),
                _ => uffd.copy(message.addr, word),
            });
            if turn % 5 == 0 {
                uffd.protect(heap..heap + 2 * PAGE_SIZE, true);
            }
            process.unmap(spare..spare + PAGE_SIZE);
        }
        uffd.close();
    });
}

/// What becomes of the mappings meanwhile, and when nobody fills pages any more.
fn mapping_changes(
    world: &World,
    process: Process,
    uffd: Userfault,
    (file, heap, copy): (File, u64, u64),
    plan: &mut Plan,
) {
    let shared = process.map_file(&file, 0, HUGE_PAGES, true);
    (0..HUGE_PAGES).for_each(|page| checked(process.store(shared + page * PAGE_SIZE, page)));
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
            move_up(&process, round);
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
        }
    });
}

/// A page comes from below: the tables of both places are locked in the other order.
fn move_up(process: &Process, round: u64) {
    let (low, high) = (process.map_anon(1), process.map_anon(1));
    checked(process.store(low, round));
    let uffd = process.userfaultfd();
    uffd.register(high..high + PAGE_SIZE, true, false);
    uffd.move_page(high, low);
    uffd.close();
    checked(process.load(high));
    process.unmap(low..low + PAGE_SIZE);
    process.unmap(high..high + PAGE_SIZE);
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
                Some(Message { addr, .. }) => uffd.resolve(addr..addr + PAGE_SIZE, |uffd| uffd.copy(addr, data)),
                None => kernel.compute(30),
            }
        }
        uffd.close();
    });
}
