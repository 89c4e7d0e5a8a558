//! C: groups of processes, processors, and work for all of them.

use std::sync::Arc;

use super::{Pair, stage};
use crate::{
    Bug, Invariant, PAGE_SIZE,
    op::neighbours::{cpus, memcg, trace, workqueue, zswap},
    protocol::Protocol,
    scenario::{Expect, Plan},
    world::World,
};

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "C1",
        title: "a process is moved to another group: its pages are counted anew under the lock that forks wait for",
        story: "Attaching a process holds cgroup_threadgroup_rwsem and waits for the process's mmap lock. Who holds that may\n\
                be waiting for a kernel thread to be made, and a fork waits for cgroup_threadgroup_rwsem.",
        kernels: "4.4 and 4.5",
        source: "Johannes Weiner, Tejun Heo, 2016",
        fix: "264a0ae164bc: afterwards, and the mmap lock is only tried",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::ChargesMovedUnderThreadgroup),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("cgroup_threadgroup_rwsem", "mm->mmap_lock"),
        seeds: 1,
        build: attach_and_fork,
    },
    Pair {
        id: "C2",
        title: "a write at its group's limit waits for a victim that waits for the writer",
        story: "A write holds i_rwsem, has no room left for a page, and waits until the victim of the OOM killer has ended.\n\
                The victim is in a write to the same file. Nobody waits for a lock that lockdep could see twice: one of\n\
                the two waits is for the end of a process.",
        kernels: "up to 3.11",
        source: "azurIt and Michal Hocko, 2012 and 2013",
        fix: "3812c8c8f395: the charge fails, and who holds nothing waits",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::OomWaitsUnderLocks),
        fixed: Protocol::V6_1,
        verdict: Expect::Hang(&["inode->i_rwsem", "the end of a process that is to be killed"]),
        seeds: 1,
        build: write_and_kill,
    },
    Pair {
        id: "C3",
        title: "mlock waits for work on all processors under the mmap lock",
        story: "To find all pages on the LRU list mlock has every processor empty its batch, and waits for that with the\n\
                mmap lock held. Other work in the same queue may be waiting for the mmap lock.",
        kernels: "2.6.28-rc",
        source: "lockdep",
        fix: "8891d6da17db: before the lock is taken",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::DrainsUnderMmapLock),
        fixed: Protocol::V6_1,
        verdict: Expect::Cycle(&["mm->mmap_lock", "(wq_completion)events"]),
        seeds: 1,
        build: lock_and_work,
    },
    Pair {
        id: "C4",
        title: "tracing the mmap lock takes the lock of a buffer, in the scheduler too",
        story: "The name of the process's group went to a buffer of the processor, which stayed locked until all listeners had\n\
                been told; one of them wakes a reader, and that takes locks of the scheduler. A trace point in the scheduler\n\
                tries the mmap lock to see where a process was, and comes to the same buffer with the run queue locked.",
        kernels: "5.11 to 6.10",
        source: "syzbot, several times",
        fix: "7d6be67cfdd4: a buffer on the stack, and no lock",
        memory: 500,
        buggy: Protocol::V6_6.with(Bug::TracePathUnderLock),
        fixed: Protocol::V6_6,
        verdict: Expect::CyclesThrough("memcg_paths.lock", "rq->lock"),
        seeds: 1,
        build: trace_and_switch,
    },
    Pair {
        id: "C5",
        title: "a broken huge page is dissolved while the lists of the processors are off",
        story: "pcp_batch_high_lock keeps the pages from going back into a list. Giving a huge page back switches code on,\n\
                which waits for processors that come; and a processor that comes waits for pcp_batch_high_lock.",
        kernels: "5.18 to 6.8",
        source: "lockdep, 1983184c22dd",
        fix: "1983184c22dd: the page is dissolved before",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::DissolvesUnderPcpLock),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("pcp_batch_high_lock", "cpu_hotplug_lock"),
        seeds: 1,
        build: poison_and_plug,
    },
    Pair {
        id: "C6",
        title: "memory failure goes through all processes under tasklist_lock",
        story: "To find who has the broken page, every process is looked at, with the reverse map locked and tasklist_lock held\n\
                for reading. Who forks or ends waits for that lock with interrupts disabled. No order is wrong: with enough\n\
                processes the watchdog takes the machine for dead. The comment in mm/rmap.c lists the lock to this day.",
        kernels: "2.6.32 to 6.6",
        source: "Tong Tiangen, 2023",
        fix: "d256d1cd8da1 (6.7): the processes are found under RCU",
        memory: 3000,
        buggy: Protocol::V6_6,
        fixed: Protocol { memory_failure_rcu: true, ..Protocol::V6_6 },
        verdict: Expect::Broken(Invariant::HardLockup),
        seeds: 3,
        build: break_and_fork,
    },
    Pair {
        id: "C7",
        title: "zswap allocates the buffers of a new processor under its mutex",
        story: "The mutex of a processor's compressor is taken in reclaim, to compress what is swapped out. When a\n\
                processor comes its buffers were allocated under the mutex: if that reclaims, it waits for itself.",
        kernels: "6.13",
        source: "syzbot, 2025",
        fix: "779b9955f643: allocate before",
        memory: 300,
        buggy: Protocol::V6_12.with(Bug::ZswapAllocatesUnderMutex),
        fixed: Protocol::V6_12,
        verdict: Expect::Cycle(&["acomp_ctx->mutex", "fs_reclaim"]),
        seeds: 1,
        build: plug_and_swap,
    },
];

fn attach_and_fork(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(4);
    (0..4).for_each(|page| stage::ignore(process.store(heap + page * PAGE_SIZE, page)));
    let (kernel, mm) = (world.clone(), process.mm.clone());
    plan.actor("attach", move || {
        memcg::attach_task(&kernel.machine, &mm, 1);
        assert!(kernel.machine.memcg.charged(1) > 0, "its pages are counted in the new group");
    });
    let kernel = world.clone();
    plan.actor("kthread-create", move || {
        let _mmap = process.mm.mmap_write_lock();
        let _fork = kernel.machine.memcg.threadgroup_rwsem.read();
    });
    plan
}

fn write_and_kill(world: &World) -> Plan {
    const PAGES: u64 = 6;
    let mut plan = Plan::default();
    let file = world.create(PAGES);
    world.machine.memcg.limit(2);
    let (kernel, process, same) = (world.clone(), stage::process(world, &mut plan), file.clone());
    let from = process.map_anon(1);
    stage::ignore(process.store(from, 7));
    plan.actor("write", move || (0..PAGES).for_each(|page| stage::ignore(process.write(&same, page, from))));
    let victim = stage::process(world, &mut plan);
    let from = victim.map_anon(1);
    stage::ignore(victim.store(from, 8));
    plan.actor("victim", move || {
        (0..40).for_each(|round| stage::ignore(victim.write(&file, round % 2, from)));
        // Back in user space it is killed.
        kernel.machine.memcg.victim_ended();
    });
    plan
}

fn lock_and_work(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(4);
    stage::ignore(process.store(heap, 1));
    let (kernel, mm) = (world.clone(), process.mm.clone());
    plan.actor("mlock", move || workqueue::drain_for_mlock(&kernel.machine, &process.mm));
    let kernel = world.clone();
    plan.actor("kworker", move || workqueue::async_pf_execute(&kernel.machine, &mm));
    plan
}

fn poison_and_plug(world: &World) -> Plan {
    let mut plan = Plan::default();
    let kernel = world.clone();
    plan.actor("memory-failure", move || cpus::page_handle_poison(&kernel.machine));
    let kernel = world.clone();
    plan.actor("cpu-up", move || cpus::cpu_up(&kernel.machine));
    plan
}

fn plug_and_swap(world: &World) -> Plan {
    const PAGES: u64 = 16;
    let mut plan = Plan::default();
    world.swapon(64);
    world.machine.neighbours.zswap.enable();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(PAGES);
    (0..PAGES).for_each(|page| stage::ignore(process.store(heap + page * PAGE_SIZE, page)));
    plan.actor("swap-in", move || stage::ignore(process.touch(heap, PAGES)));
    stage::kswapd(world, &mut plan);
    let kernel = world.clone();
    let machine = Arc::clone(&kernel.machine);
    plan.actor("cpu-up", move || zswap::zswap_cpu_comp_prepare(&machine));
    plan
}

/// A page that hundreds of processes share breaks, and more of them come and go.
fn break_and_fork(world: &World) -> Plan {
    const PROCESSES: u64 = 350;
    let mut plan = Plan::default();
    let parent = stage::process(world, &mut plan);
    let heap = parent.map_anon(1);
    stage::ignore(parent.store(heap, 1));
    plan.processes.extend((0..PROCESSES).filter_map(|_| parent.fork()));
    let (kernel, broken) = (world.clone(), parent.clone());
    plan.actor("memory-failure", move || {
        kernel.break_page(&broken, heap);
    });
    let kernel = world.clone();
    plan.actor("fork", move || {
        for _ in 0..20 {
            let Some(process) = kernel.spawn() else { return };
            process.exit();
        }
    });
    plan
}

/// One thread takes page faults, and the processor switches from another one, with both traced.
fn trace_and_switch(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let (kernel, mm) = (world.clone(), process.mm.clone());
    plan.actor("page-fault", move || (0..4).for_each(|_| trace::mmap_read_lock_traced(&kernel.machine, &mm)));
    let (kernel, mm) = (world.clone(), process.mm.clone());
    plan.actor("scheduler", move || (0..4).for_each(|_| trace::schedule_traced(&kernel.machine, &mm)));
    plan
}
