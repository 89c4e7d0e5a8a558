//! The mail of January 2023, as two scenarios.
//!
//! `retract_page_tables` holds `i_mmap_rwsem` and waits for the VMA lock. A page fault that holds a VMA lock allocates,
//! and an allocation may have to wait for reclaim. Reclaim takes `i_mmap_rwsem`. Without that third step there is no
//! cycle: no page fault of the series itself takes `i_mmap_rwsem`.

use super::{Expect, Plan, Scenario};
use crate::{
    PAGE_SIZE, PMD_SIZE,
    finding::Invariant,
    mem::HUGE_PAGES,
    op::Signal,
    protocol::{FileFaults, Protocol, Retract, View},
    world::{File, Process, World},
};

const CYCLE: &[&str] = &["mapping->i_mmap_rwsem", "vma->vm_lock", "fs_reclaim"];
const CYCLES: Expect = Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem");

/// Rounds after which kswapd gives up unmapping anything.
const RECLAIM_ROUNDS: u32 = 200;
/// Times that khugepaged comes back to a range in which somebody used a page.
const COLLAPSE_ATTEMPTS: u32 = 50;

/// The series as posted, and what came of it.
pub(super) const MAIL: Scenario = Scenario {
    id: "mail",
    title: "khugepaged frees page tables while pages fault in and kswapd reclaims",
    story: "khugepaged collapses a file range and frees the page tables above it (retract_page_tables, under\n\
            i_mmap_rwsem). Meanwhile another process touches anonymous memory: the page fault holds its VMA\n\
            lock and allocates. kswapd reclaims pages of mapped files (try_to_unmap takes i_mmap_rwsem).\n\
            Others map, unmap, fork, truncate and write, as processes do.",
    source: "Jann Horn, 2023-01-17; syzbot, 2023-03-02",
    memory: 8000,
    default_protocol: Protocol::JAN_2023,
    expect,
    build: |world| build(world, 0, true),
};

/// The same machine with too little memory: page faults reclaim themselves.
pub(super) const FILE_FAULTS: Scenario = Scenario {
    id: "mail-file-faults",
    title: "the same with page faults on the collapsed file, on a machine that is short of memory",
    story: "Page faults on files run under the VMA lock, and memory is short: the fault that reads the next page\n\
            of a file reclaims another page of the same file, for which it waits for i_mmap_rwsem while it\n\
            holds its VMA lock. khugepaged holds that i_mmap_rwsem and waits for that VMA lock.",
    source: "Jann Horn, 2023-01-17: \"might cause trouble later on\"",
    memory: 1180,
    default_protocol: Protocol::JAN_2023_FILE,
    expect: expect_file_faults,
    build: |world| build(world, 6, true),
};

/// The deadlock itself, which the class cycle only promises.
pub(super) const DEADLOCK: Scenario = Scenario {
    id: "mail-deadlock",
    title: "page faults on a file that is collapsed again and again, until two actors wait for each other",
    story: "A file is mapped by many; khugepaged collapses it, it is dropped from the cache and collapsed again.\n\
            One process reads it now and then, its page faults under the VMA lock. A fault that has its VMA lock waits for the folio\n\
            that khugepaged has locked; khugepaged waits for that VMA lock. Under a series with a trylock, or\n\
            without the VMA lock in retract_page_tables, nobody waits.",
    source: "Jann Horn, 2023-01-17: \"might cause trouble later on\"",
    memory: 4000,
    default_protocol: Protocol::JAN_2023_FILE,
    expect: expect_deadlock,
    build: build_deadlock,
};

fn expect_deadlock(protocol: &Protocol) -> Expect {
    match (protocol.view, protocol.retract, protocol.file_faults) {
        (View::Kernel, Retract::BlockingVmaLock, FileFaults::VmaLock) => CYCLES,
        (View::Strict, ..) if protocol.waits_under_imap() => CYCLES,
        _ => Expect::Silent,
    }
}

/// Many sleepers make retract_page_tables take long; the reader's VMA comes last, and it faults once in a while.
fn build_deadlock(world: &World) -> Plan {
    let mut plan = Plan::default();
    let library = world.create(HUGE_PAGES);
    let mut map = |world: &World| {
        let process = world.spawn()?;
        let code = process.map_file(&library, 0, HUGE_PAGES, true);
        ignore(process.touch(code, 1));
        plan.processes.push(process.clone());
        Some((process, code))
    };
    (0..16).for_each(|_| drop(map(world)));
    let reader = map(world);
    let kernel = world.clone();
    plan.actor("file-fault", move || {
        let Some((process, code)) = reader else { return };
        for round in 0..16 {
            kernel.compute(3000);
            ignore(process.load(code + round * 32 * PAGE_SIZE));
        }
    });
    let kernel = world.clone();
    plan.actor("khugepaged", move || {
        for _ in 0..8 {
            let _collapsed = (0..COLLAPSE_ATTEMPTS).any(|_| kernel.collapse(&library, 0));
            kernel.truncate(&library, 0);
            kernel.truncate(&library, HUGE_PAGES);
        }
    });
    plan
}

/// Silent even in January 2023: nothing reclaims, so nothing leads from an allocation to i_mmap_rwsem.
pub(super) const NO_RECLAIM: Scenario = Scenario {
    id: "mail-no-reclaim",
    title: "the same without reclaim: the cycle is not there",
    story: "khugepaged and page faults as in the mail, on a machine with so much memory that nobody reclaims.\n\
            No page fault on anonymous memory takes i_mmap_rwsem, so the blocking VMA lock under i_mmap_rwsem\n\
            closes no cycle. What closes it is the third step, reclaim, which no single process need ever take.",
    source: "Jann Horn, 2023-01-18: \"I also don't see a path from the #PF path to i_mmap_lock_read\"",
    memory: 8000,
    default_protocol: Protocol::JAN_2023,
    expect: expect_deadlock,
    build: |world| build(world, 0, false),
};

/// What `mail-no-reclaim` lacks, without reclaim: the kernel tells lockdep of the third step when it boots.
pub(super) const PRIMED: Scenario = Scenario {
    id: "mail-primed",
    title: "the same without reclaim, on a kernel that shows lockdep at boot what reclaim takes",
    story: "As mail-no-reclaim: nobody reclaims. But when the kernel boots, the code for buffers that devices share takes\n\
            i_mmap_rwsem inside a pretended reclaim, so that lockdep knows of it (dma_resv_lockdep, since 5.x). With that the\n\
            cycle of the mail is found on any machine, whether it is ever short of memory or not.",
    source: "drivers/dma-buf/dma-resv.c",
    expect: expect_primed,
    build: |world| {
        let kernel = world.clone();
        let mut plan = build(world, 0, false);
        plan.actors.insert(0, ("boot".to_owned(), Box::new(move || kernel.prime_dma_resv())));
        plan
    },
    ..NO_RECLAIM
};

fn expect_primed(protocol: &Protocol) -> Expect {
    if protocol.waits_under_imap() { CYCLES } else { expect_deadlock(protocol) }
}

fn expect(protocol: &Protocol) -> Expect {
    if protocol.forgets.is_some() {
        return Expect::Broken(Invariant::TableFreedUnderWalkers);
    }
    match (protocol.view, protocol.file_faults) {
        _ if !protocol.waits_under_imap() => Expect::Silent,
        (View::Kernel, FileFaults::MmapLock) => Expect::Cycle(CYCLE),
        _ => CYCLES,
    }
}

fn expect_file_faults(protocol: &Protocol) -> Expect {
    if protocol.waits_under_imap() { CYCLES } else { Expect::Silent }
}

/// Sets the stage; `readers` processes besides read through the file that is collapsed.
fn build(world: &World, readers: u32, reclaim: bool) -> Plan {
    let mut plan = Plan::default();
    let library = world.create(HUGE_PAGES);
    let data = world.create(64);
    sleeper(world, &library, &data, &mut plan);
    touch_memory(world, &mut plan);
    read_files(world, &library, &data, &mut plan);
    map_and_unmap(world, &library, &mut plan);
    fork_and_write(world, &data, &mut plan);
    truncate_log(world, &mut plan);
    (0..readers).for_each(|number| read_library(world, &library, number, &mut plan));
    let (kernel, file) = (world.clone(), library.clone());
    plan.actor("khugepaged", move || {
        let _collapsed = (0..COLLAPSE_ATTEMPTS).any(|_| kernel.collapse(&file, 0));
    });
    if !reclaim {
        return plan;
    }
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        // Pages that nobody has mapped go first, and pages in use get a second chance.
        let _unmapped = (0..RECLAIM_ROUNDS).any(|_| kernel.reclaim(16));
    });
    plan
}

/// A signal that the model has found right, such as the one for a page that a truncation has cut off.
fn ignore<T>(_checked: Result<T, Signal>) {}

/// A process that has the files mapped and sleeps: its page tables are there to be retracted.
fn sleeper(world: &World, library: &File, data: &File, plan: &mut Plan) {
    let Some(process) = world.spawn() else { return };
    let code = process.map_file(library, 0, HUGE_PAGES, true);
    ignore(process.touch(code, 4));
    let table = process.map_file(data, 0, 64, true);
    ignore(process.touch(table, 32));
    let copy = process.map_file(library, 0, HUGE_PAGES, false);
    ignore(process.store(copy, 7));
    plan.processes.push(process);
}

/// Anonymous memory: from its second page on, page faults run under the VMA lock.
fn touch_memory(world: &World, plan: &mut Plan) {
    let Some(process) = world.spawn() else { return };
    let heap = process.map_anon(48);
    ignore(process.store(heap, 1));
    plan.processes.push(process.clone());
    plan.actor("page-fault", move || {
        for page in 1..48 {
            ignore(process.store(heap + page * PAGE_SIZE, page));
            ignore(process.load(heap + page / 2 * PAGE_SIZE));
        }
    });
}

/// Reads and writes files, shared and private.
fn read_files(world: &World, library: &File, data: &File, plan: &mut Plan) {
    let Some(process) = world.spawn() else { return };
    let code = process.map_file(library, 0, HUGE_PAGES, true);
    let table = process.map_file(data, 0, 64, false);
    plan.processes.push(process.clone());
    let (kernel, file) = (world.clone(), data.clone());
    plan.actor("reader", move || {
        for page in 0..24 {
            ignore(process.load(code + page * 7 * PAGE_SIZE));
            ignore(process.store(code + page * PAGE_SIZE, page + 100));
            ignore(process.load(table + page * PAGE_SIZE));
            ignore(process.store(table + page / 3 * PAGE_SIZE, page + 200));
        }
        kernel.writeback(&file);
    });
}

/// Maps, touches, splits and unmaps, again and again.
fn map_and_unmap(world: &World, library: &File, plan: &mut Plan) {
    let Some(process) = world.spawn() else { return };
    plan.processes.push(process.clone());
    let file = library.clone();
    plan.actor("mmap", move || {
        for round in 0..6 {
            let code = process.map_file(&file, 0, HUGE_PAGES, round % 2 == 0);
            ignore(process.touch(code, 4));
            ignore(process.store(code + 2 * PAGE_SIZE, round));
            process.unmap(code + PMD_SIZE / 2..code + PMD_SIZE / 2 + 8 * PAGE_SIZE);
            ignore(process.load(code + PAGE_SIZE));
            process.unmap(code..code + PMD_SIZE);
        }
    });
}

/// Forks; parent and children write to what they share.
fn fork_and_write(world: &World, data: &File, plan: &mut Plan) {
    let Some(process) = world.spawn() else { return };
    let heap = process.map_anon(12);
    let table = process.map_file(data, 0, 16, false);
    plan.processes.push(process.clone());
    plan.actor("fork", move || {
        (0..12).for_each(|page| ignore(process.store(heap + page * PAGE_SIZE, page)));
        for round in 0..4 {
            let Some(child) = process.fork() else { continue };
            write_both(&process, &child, heap, table, round);
            child.exit();
        }
    });
}

fn write_both(parent: &Process, child: &Process, heap: u64, table: u64, round: u64) {
    for page in 0..6 {
        ignore(child.store(heap + page * PAGE_SIZE, 1000 + round));
        ignore(parent.store(heap + page * 2 * PAGE_SIZE, 2000 + round));
        ignore(child.load(heap + page * 2 * PAGE_SIZE));
        ignore(child.store(table + page * PAGE_SIZE, 3000 + round));
        ignore(parent.load(table + page * PAGE_SIZE));
    }
}

/// Cuts and grows a file that is mapped.
fn truncate_log(world: &World, plan: &mut Plan) {
    let log = world.create(16);
    let Some(process) = world.spawn() else { return };
    let text = process.map_file(&log, 0, 16, true);
    plan.processes.push(process.clone());
    plan.actor("writer", move || {
        for page in 0..48 {
            ignore(process.store(text + page % 16 * PAGE_SIZE, page));
        }
    });
    let kernel = world.clone();
    plan.actor("truncate", move || {
        for size in [9, 16, 3, 16, 0, 16] {
            kernel.truncate(&log, size);
        }
    });
}

/// Reads all through the library, from one end or the other.
fn read_library(world: &World, library: &File, number: u32, plan: &mut Plan) {
    let Some(process) = world.spawn() else { return };
    let code = process.map_file(library, 0, HUGE_PAGES, true);
    plan.processes.push(process.clone());
    plan.actor(&format!("file-fault-{}", number + 1), move || {
        for page in (0..HUGE_PAGES).step_by(16) {
            let page = if number.is_multiple_of(2) { page } else { HUGE_PAGES - 1 - page };
            ignore(process.load(code + page * PAGE_SIZE));
        }
    });
}
