//! V and K: userfaultfd, whose system calls take VMA locks and fill page tables.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use super::{Pair, stage};
use crate::{
    Access, Bug, Invariant, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    scenario::{Expect, Plan},
    world::World,
};

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "V7",
        title: "UFFDIO_MOVE read-locks two VMAs of one class",
        story: "A move keeps both VMAs in place. Where the trylocks fail it takes both locks under the mmap lock, which is\n\
                safe; but lockdep is not told that the second one nests in the first.",
        kernels: "6.9-rc (867a43a34ff8)",
        source: "syzbot+49056626fe41e01f2ba7, 2024-03; 20240321235818.125118-1-lokeshgidra@google.com",
        fix: "down_read_nested() for the second VMA",
        memory: 500,
        buggy: Protocol::V6_12.with(Bug::MoveLocksNotNested),
        fixed: Protocol::V6_12,
        verdict: Expect::Recursion("vma->vm_lock"),
        seeds: 20,
        build: move_and_protect,
    },
    Pair {
        id: "V8",
        title: "UFFDIO_MOVE waits for the mmap lock while it has a VMA read-locked",
        story: "The lock of the second VMA is not to be had at once, so the move would take the mmap lock and wait for it\n\
                there, with the first VMA still read-locked. A writer of the mmap lock waits for that VMA.",
        kernels: "never merged; the comment in uffd_move_lock (6.12) tells of it",
        source: "mm/userfaultfd.c of 6.12",
        fix: "the second lock is only tried; if that fails, both are taken anew under the mmap lock",
        memory: 500,
        buggy: Protocol::V6_12.with(Bug::MoveWaitsForMmapLock),
        fixed: Protocol::V6_12,
        verdict: Expect::Cycle(&["vma->vm_lock", "mm->mmap_lock"]),
        seeds: 1,
        build: move_untouched,
    },
    Pair {
        id: "K5",
        title: "UFFDIO_COPY fills a page table that collapse_pte_mapped_thp has just emptied",
        story: "The table of a mapping that maps a huge folio page by page is emptied under the pte lock and taken out\n\
                under the pmd lock. In between the lock of the folio keeps page faults away, but UFFDIO_COPY puts a\n\
                page of its own into a private mapping without looking at the page cache. The table is freed with it.",
        kernels: "6.5-rc",
        source: "Jann Horn, CAG48ez0FxiRC4d3VTu_a9h=rg5FW-kYD5Rg5xo_RDBM0LTTqZQ@mail.gmail.com",
        fix: "Hugh Dickins: for a private mapping with userfaultfd take the pmd lock before the pte lock, and keep it",
        memory: 4000,
        buggy: Protocol::V6_6.with(Bug::PmdLockAfterPteLock),
        fixed: Protocol::V6_6,
        verdict: Expect::Broken(Invariant::TableFreedNotEmpty),
        seeds: 40,
        build: collapse_and_copy,
    },
];

/// Moves pages out of a mapping that is not ready to be locked without the mmap lock, because nobody has touched it.
fn move_untouched(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    plan.actor("userfaultfd", move || {
        let source = process.map_anon(4);
        let target = process.map_anon(4);
        let uffd = process.userfaultfd();
        uffd.register(target..target + 4 * PAGE_SIZE, true, false);
        // Write-locks the VMAs, under the mmap lock.
        process.unmap(source + 3 * PAGE_SIZE..source + 4 * PAGE_SIZE);
        uffd.zeropage(target);
        uffd.move_page(target + PAGE_SIZE, source);
        uffd.close();
    });
    plan
}

/// Moves pages while another thread changes what their mapping allows.
fn move_and_protect(world: &World) -> Plan {
    const PAGES: u64 = 16;
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let source = process.map_anon(PAGES);
    let target = process.map_anon(PAGES);
    (0..PAGES).for_each(|page| stage::ignore(process.store(source + page * PAGE_SIZE, page)));
    let done = Arc::new(AtomicBool::new(false));
    let (protector, stop) = (process.clone(), done.clone());
    plan.actor("userfaultfd", move || {
        let uffd = process.userfaultfd();
        uffd.register(target..target + PAGES * PAGE_SIZE, true, false);
        uffd.zeropage(target + PAGE_SIZE);
        for page in 0..PAGES {
            uffd.move_page(target + page * PAGE_SIZE, source + page * PAGE_SIZE);
        }
        done.store(true, Relaxed);
        uffd.close();
    });
    plan.actor("mprotect", move || {
        let page = source + (PAGES - 1) * PAGE_SIZE;
        while !stop.load(Relaxed) {
            protector.protect(page..page + PAGE_SIZE, Access::READ);
            protector.protect(source..page + PAGE_SIZE, Access::READ_WRITE);
        }
    });
    plan
}

/// A process maps a huge folio page by page, again and again, and frees the table; another actor copies a page into the
/// mapping at about that time.
fn collapse_and_copy(world: &World) -> Plan {
    const ROUNDS: u64 = 6;
    let mut plan = Plan::default();
    let library = world.create_huge_shmem(2 * HUGE_PAGES);
    let process = stage::process(world, &mut plan);
    let data = process.map_anon(1);
    stage::ignore(process.store(data, 7));
    let copy = process.map_file(&library, 0, 2 * HUGE_PAGES, false);
    let uffd = process.userfaultfd();
    uffd.register(copy..copy + 2 * PMD_SIZE, true, false);
    let shared = process.map_file(&library, 0, HUGE_PAGES, true);
    let turn = Arc::new(AtomicU64::new(0));
    let (kernel, next) = (world.clone(), turn.clone());
    plan.actor("collapse", move || {
        for _ in 0..ROUNDS {
            kernel.truncate(&library, 0);
            kernel.truncate(&library, 2 * HUGE_PAGES);
            // A huge folio, which is mapped page by page where there is a table already.
            stage::ignore(process.store(shared, 7));
            stage::ignore(process.load(copy + 32 * PAGE_SIZE));
            next.fetch_add(1, Relaxed);
            process.collapse_pte_mapped(copy);
        }
        next.store(u64::MAX, Relaxed);
    });
    let kernel = world.clone();
    plan.actor("userfaultfd", move || {
        let mut seen = 0;
        uffd.zeropage(copy + PMD_SIZE);
        uffd.zeropage(copy);
        while turn.load(Relaxed) < u64::MAX {
            if turn.load(Relaxed) > seen {
                seen += 1;
                uffd.copy(copy + seen * PAGE_SIZE, data);
            }
            kernel.compute(1);
        }
    });
    plan
}
