//! R: waiting at the wrong moment.

use std::sync::Arc;

use lockdep::LockClass;

use super::{Pair, stage};
use crate::{
    Bug, PAGE_SIZE,
    mem::HUGE_PAGES,
    op::neighbours::{console, shmlock},
    protocol::Protocol,
    scenario::{Expect, Plan},
    sched,
    sync::{Irq, SpinLock},
    world::World,
};

static AIO_CTX_LOCK: LockClass = LockClass::new("aio ctx_lock");

const PAGES: u64 = 24;

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "R5",
        title: "mincore copies to user memory under the mmap lock: one reader twice, with a writer in between",
        story: "A thread holds the mmap lock for reading and stores into its own memory; the page fault takes the mmap\n\
            lock for reading again. If another thread waits to write by then, a fair lock lets nobody pass it.\n\
            Under kernels with a VMA lock the fault needs no mmap lock, most of the time: the bug hides.",
        kernels: "up to 2.6.19",
        source: "CVE-2006-4814",
        fix: "2f77d107050a: the answer is kept aside until the lock is dropped",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::MincoreUnderLock),
        fixed: Protocol::V6_1,
        verdict: Expect::Recursion("mm->mmap_lock"),
        seeds: 1,
        build: ask_and_map,
    },
    Pair {
        id: "R1",
        title: "a shrinker waits for the lock of a folio",
        story: "Reclaim splits huge folios that are of no use as a whole, and waits for their locks. Whoever has a folio\n\
                locked may allocate, and wait for reclaim: for a node of the page cache, or for the request to the disk.",
        kernels: "4.14 to 4.16",
        source: "Kirill Shutemov and Eric Wheeler, 2018",
        fix: "b3cd54b257ad and fa41b900c30b: the shrinkers only try",
        memory: 4000,
        buggy: Protocol::V6_1.with(Bug::ShrinkerWaitsForFolioLock),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("folio_lock(file)", "fs_reclaim"),
        seeds: 1,
        build: split_and_read,
    },
    Pair {
        id: "R3",
        title: "the lock of a counter is taken under one that interrupts need",
        story: "shmem_lock takes shmlock_user_lock under info->lock, and info->lock is taken under the lock of the page\n\
                cache, which the end of a write takes in an interrupt. Others hold shmlock_user_lock with interrupts on.",
        kernels: "4.8 to 5.6",
        source: "syzbot+c8a8197c8852f566b9d9",
        fix: "ea0dfeb4209b: shmem_lock needs no info->lock",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::ShmlockWithIrqsOn),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("shmlock_user_lock", "<softirq>"),
        seeds: 1,
        build: lock_shared_memory,
    },
    Pair {
        id: "R4",
        title: "the wait queues of userfaultfd are locked with interrupts on, under a lock of interrupts",
        story: "A poll of the file by aio locks its wait queue under ctx_lock, which an interrupt takes when the request is\n\
                cancelled. Who reads messages locked the wait queue with interrupts on.",
        kernels: "4.19 to 5.2",
        source: "syzbot; Eric Biggers, 2019",
        fix: "cbcfa130a911: all of them with interrupts off",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::UffdQueuesWithIrqsOn),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("ctx->fd_wqh", "<softirq>"),
        seeds: 1,
        build: poll_and_read,
    },
    Pair {
        id: "R7",
        title: "memory offlining prints with the free pages of a zone locked",
        story: "Printing may have to write to a terminal, and the terminal's port may be locked by who allocates a buffer\n\
                for input: from the zone whose lock the printer holds.",
        kernels: "up to 5.5",
        source: "Qian Cai, 2019",
        fix: "4a55c0474a92 and others: print afterwards",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::PrintsUnderZoneLock),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("zone->lock", "console_owner"),
        seeds: 1,
        build: offline_and_type,
    },
];

fn ask_and_map(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let (data, answers) = (process.map_anon(PAGES), process.map_anon(PAGES));
    // The first touch makes the anon_vma, which always takes the mmap lock.
    stage::ignore(process.store(data, 1).and(process.store(answers, 1)));
    let other = process.clone();
    plan.actor("mincore", move || {
        for page in 1..PAGES {
            stage::ignore(process.load(data + page * PAGE_SIZE));
            stage::ignore(process.mincore(data..data + PAGES * PAGE_SIZE, answers + page * PAGE_SIZE));
        }
    });
    plan.actor("mmap", move || {
        for _ in 0..PAGES {
            let addr = other.map_anon(1);
            other.unmap(addr..addr + PAGE_SIZE);
        }
    });
    plan
}

fn split_and_read(world: &World) -> Plan {
    let mut plan = Plan::default();
    let (library, data) = (world.create(HUGE_PAGES), world.create(16));
    let collapsed = (0..4).any(|_| world.collapse(&library, 0));
    assert!(collapsed, "nobody else is there yet");
    // The huge folio goes across the new end: most of it is of no use any more.
    world.truncate(&library, 300);
    let (process, code) = stage::sleeper(world, &data, 16, &mut plan);
    let other = world.create(16);
    let more = process.map_file(&other, 0, 16, true);
    plan.actor("page-fault", move || stage::ignore(process.touch(code, 16).and(process.touch(more, 16))));
    let (kernel, rest) = (world.clone(), library.clone());
    plan.actor("reclaim", move || {
        (0..4).for_each(|_| {
            kernel.reclaim(16);
        });
        kernel.truncate(&rest, 0);
    });
    plan
}

fn lock_shared_memory(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(4);
    let (process, data) = stage::sleeper(world, &file, 4, &mut plan);
    let (kernel, dirty) = (world.clone(), file.clone());
    plan.actor("writeback", move || {
        (0..4).for_each(|page| stage::ignore(process.store(data + page * PAGE_SIZE, page)));
        kernel.writeback(&dirty);
    });
    let kernel = world.clone();
    plan.actor("shmctl", move || {
        shmlock::shmem_lock(&kernel.machine);
        shmlock::user_shm_unlock(&kernel.machine);
        shmlock::shmem_charge(&kernel.machine, &file.0);
    });
    plan
}

fn poll_and_read(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let watched = Arc::new(process.userfaultfd());
    let requests = Arc::new(SpinLock::new(&AIO_CTX_LOCK, ("aio", 1)));
    let polled = watched.clone();
    plan.actor("aio-poll", move || {
        for _ in 0..3 {
            {
                let _ctx_lock = requests.lock_irq();
                polled.poll();
            }
            let cancelled = requests.clone();
            sched::raise(Irq::Soft, 4, Box::new(move || drop(cancelled.lock_irq())));
            sched::idle_while(|| true);
        }
    });
    plan.actor("reader", move || {
        for _ in 0..3 {
            watched.read();
        }
    });
    plan
}

fn offline_and_type(world: &World) -> Plan {
    let mut plan = Plan::default();
    let kernel = world.clone();
    plan.actor("offline", move || {
        // The others come first, as they do all the time.
        kernel.compute(2000);
        console::test_pages_isolated(&kernel.machine);
    });
    let kernel = world.clone();
    plan.actor("terminal", move || console::tty_input(&kernel.machine));
    let kernel = world.clone();
    plan.actor("printer", move || console::printk(&kernel.machine));
    plan
}
