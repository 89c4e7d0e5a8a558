//! V: the lock of one VMA.

use super::{Pair, stage};
use crate::{
    Bug, Invariant, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    scenario::{Expect, Plan},
    world::World,
};

const MAIL: Expect = Expect::Cycle(&["mapping->i_mmap_rwsem", "vma->vm_lock", "fs_reclaim"]);

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "V1",
        title: "khugepaged waits for the VMA lock under i_mmap",
        story: "retract_page_tables holds i_mmap_rwsem and waits for the VMA lock of every mapping. A page fault holds\n\
                a VMA lock and allocates, an allocation may wait for reclaim, and reclaim takes i_mmap_rwsem.",
        kernels: "per-VMA lock series v1 to v4; linux-next of 2023-03-01",
        source: "Jann Horn, 2023-01-17; syzbot+8955a9646d1a48b8be92, 2023-03-02",
        fix: "vma_try_start_write(), part of 55fd6fccad31 (6.4)",
        memory: 8000,
        buggy: Protocol::JAN_2023,
        fixed: Protocol::V6_4,
        verdict: MAIL,
        seeds: 1,
        build: collapse_and_fault,
    },
    Pair {
        id: "V2",
        title: "mmap write-locks the VMA it makes while it holds i_mmap",
        story: "mmap_region links the new VMA into the file's interval tree and only then write-locks it. A page fault\n\
                under a VMA lock that has to reclaim takes the two the other way round.",
        kernels: "6.5-rc0 (33313a747e81), six days of July 2023",
        source: "lockdep, when Suren Baghdasaryan's patch met it; b5a5626-2684-899d-874b-801e7974b17@google.com",
        fix: "1c7873e33645: lock the VMA first",
        memory: 2000,
        buggy: Protocol::V6_5_RC0,
        fixed: Protocol::V6_4,
        verdict: MAIL,
        seeds: 1,
        build: map_and_fault,
    },
    Pair {
        id: "V3",
        title: "fork does not lock the VMAs of the parent: page faults of its threads race with the copying",
        story: "fork makes the parent's pages read-only and flushes the TLBs once, at the end. A thread that faults\n\
                under the VMA lock copies a page meanwhile, while the TLB of another one still lets it write to the\n\
                old page; and the child keeps a mixture of before and after.",
        kernels: "6.4.0 to 6.4.2",
        source: "bugzilla 217455 and 217624; 20230708191212.4147700-1-surenb@google.com",
        fix: "fb49c455323f (6.4.3): vma_start_write() on every VMA of the parent",
        memory: 2000,
        buggy: Protocol::V6_4_0,
        fixed: Protocol::V6_4,
        verdict: Expect::Broken(Invariant::WrongRead),
        seeds: 20,
        build: fork_and_write,
    },
    Pair {
        id: "V4",
        title: "a page fault checks the anon_vma before it locks the VMA, and mremap takes it away in between",
        story: "Under the VMA lock a fault must not make an anon_vma, so lock_vma_under_rcu wants one to be there. It\n\
                looked before it had the lock. mremap with MREMAP_DONTUNMAP leaves a VMA behind without one.",
        kernels: "6.4 to 6.5-rc3",
        source: "Jann Horn, 2023-07-26",
        fix: "657b5146955e: check under the lock",
        memory: 2000,
        buggy: Protocol::V6_4.with(Bug::AnonVmaCheckedEarly),
        fixed: Protocol::V6_4,
        verdict: Expect::Broken(Invariant::AnonVmaUnprotected),
        seeds: 40,
        build: leave_and_touch,
    },
];

fn collapse_and_fault(world: &World) -> Plan {
    let mut plan = Plan::default();
    let library = stage::library(world, &mut plan);
    let data = world.create(32);
    stage::sleeper(world, &data, 32, &mut plan);
    stage::toucher(world, 24, &mut plan);
    stage::khugepaged(world, &library, &mut plan);
    stage::kswapd(world, &mut plan);
    plan
}

fn map_and_fault(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(HUGE_PAGES);
    stage::sleeper(world, &file, 32, &mut plan);
    stage::toucher(world, 24, &mut plan);
    stage::kswapd(world, &mut plan);
    let process = stage::process(world, &mut plan);
    plan.actor("mmap", move || {
        for _ in 0..4 {
            let addr = process.map_file(&file, 0, HUGE_PAGES, true);
            process.unmap(addr..addr + PMD_SIZE);
        }
    });
    plan
}

/// Threads of the parent write while it forks; afterwards parent and child read what they have.
fn fork_and_write(world: &World) -> Plan {
    const PAGES: u64 = 8;
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(PAGES);
    let each = move |mut act: Box<dyn FnMut(u64)>| (0..PAGES).for_each(|page| act(heap + page * PAGE_SIZE));
    let (setup, parent) = (process.clone(), process.clone());
    each(Box::new(move |addr| stage::ignore(setup.store(addr, 1))));
    plan.actor("fork", move || {
        for _ in 0..8 {
            let Some(child) = parent.fork() else { continue };
            let reader = child.clone();
            each(Box::new(move |addr| stage::ignore(reader.load(addr))));
            child.exit();
        }
    });
    for thread in 0..2 {
        let process = process.clone();
        plan.actor(&format!("writer-{thread}"), move || {
            for round in 2..22 {
                let process = process.clone();
                each(Box::new(move |addr| {
                    stage::ignore(process.store(addr, round));
                    stage::ignore(process.load(addr));
                }));
            }
        });
    }
    plan
}

/// One thread moves a heap away again and again, another one touches what is left behind.
fn leave_and_touch(world: &World) -> Plan {
    const PAGES: u64 = 4;
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(PAGES);
    stage::ignore(process.store(heap, 1));
    let mover = process.clone();
    plan.actor("mremap", move || {
        for _ in 0..8 {
            if let Some(moved) = mover.remap_leaving_empty(heap..heap + PAGES * PAGE_SIZE) {
                mover.unmap(moved..moved + PAGES * PAGE_SIZE);
            }
        }
    });
    plan.actor("page-fault", move || {
        for round in 0..60 {
            stage::ignore(process.store(heap + round % PAGES * PAGE_SIZE, round));
        }
    });
    plan
}
