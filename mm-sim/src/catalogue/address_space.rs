//! V, K, M and F: address spaces that change under somebody's feet.

use super::{Pair, stage};
use crate::{
    Access, Advice, Bug, Invariant, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::{Protocol, StackGrowth, VmaSequence},
    scenario::{Expect, Plan},
    world::{File, World},
};

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "V5",
        title: "a stack grows under the mmap lock in read mode, and page faults hold its VMA lock",
        story: "A touch below a stack moves its start down. Other page faults that took the mmap lock were kept away by\n\
                the page_table_lock. One that holds nothing but the VMA lock is not: it sees borders that are half\n\
                changed, or a node of the VMA tree that is replaced and freed (StackRot).",
        kernels: "6.1 to 6.4 (CVE-2023-3269)",
        source: "Ruihan Li, 2023",
        fix: "9471f1f2f502 and the merge before it (6.4.1): the mmap lock for writing; c137381f71ae: the VMA lock too",
        memory: 500,
        buggy: Protocol { stack_growth: StackGrowth::MmapReadLock, ..Protocol::V6_4 },
        fixed: Protocol::V6_4,
        verdict: Expect::Broken(Invariant::VmaChangedUnprotected),
        seeds: 1,
        build: grow_and_touch,
    },
    Pair {
        id: "V6",
        title: "mbind replaces a memory policy without the VMA lock",
        story: "A page fault that holds nothing but the VMA lock allocates by the policy of the VMA, without a reference.\n\
                mbind holds the mmap lock in write mode, replaces the policy and frees it.",
        kernels: "6.4",
        source: "Jann Horn, 2023",
        fix: "6c21e066f925: write-lock the VMA first; 49b0638502da: so does whoever walks page tables in write mode",
        memory: 500,
        buggy: Protocol::V6_4.with(Bug::PolicyWithoutVmaLock),
        fixed: Protocol::V6_4,
        verdict: Expect::Broken(Invariant::PolicyUsedAfterFree),
        seeds: 10,
        build: bind_and_touch,
    },
    Pair {
        id: "F1",
        title: "remap_file_pages asks the security module under the mmap lock",
        story: "The security module measures the file before it is mapped, under the inode lock. A write to a file holds\n\
                the inode lock and copies from user memory, which may fault and take the mmap lock.",
        kernels: "6.12-rc",
        source: "syzbot+1cd571a672400ef3a930",
        fix: "58a039e679fe: ask before, under no lock, and look again",
        memory: 500,
        buggy: Protocol::V6_12.with(Bug::SecurityHookUnderMmapLock),
        fixed: Protocol::V6_12,
        verdict: Expect::Cycle(&["mm->mmap_lock", "inode->i_rwsem"]),
        seeds: 1,
        build: remap_and_write,
    },
    Pair {
        id: "F2",
        title: "MADV_REMOVE has the file system punch the hole under the mmap lock",
        story: "To punch a hole the file system takes the inode lock, as a write to a file does before it copies from\n\
                user memory and faults. By now both wait for a frozen file system first, which closes the same cycle.",
        kernels: "2.6.16 to 2.6.21",
        source: "lockdep",
        fix: "90ed52ebe481: drop the mmap lock first",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::HolePunchedUnderMmapLock),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("mm->mmap_lock", "inode->i_rwsem"),
        seeds: 1,
        build: remove_and_write,
    },
    Pair {
        id: "M5",
        title: "cutting a VMA takes a huge page apart under i_mmap, and that asks the reverse map",
        story: "munmap of part of a locked mapping cuts the VMA, with i_mmap_rwsem held for writing, and takes the huge page\n\
                apart that the cut goes through. The first version unlocked its pages then, and to see whether somebody\n\
                else had locked them it walked the reverse map, for which it took i_mmap_rwsem once more.",
        kernels: "development of huge pages in files, 4.8",
        source: "Kirill Shutemov, 1465222029-45942-14-git-send-email-kirill.shutemov@linux.intel.com",
        fix: "37f9f5595c26: take it apart before i_mmap_rwsem is taken; later it asked nobody any more",
        memory: 4000,
        buggy: Protocol::V6_6.with(Bug::MunlockUnderImap),
        fixed: Protocol::V6_6,
        verdict: Expect::Recursion("mapping->i_mmap_rwsem"),
        seeds: 1,
        build: lock_and_cut,
    },
    Pair {
        id: "M3",
        title: "a DAX page fault holds i_mmap while it asks the file system for the block",
        story: "A file of persistent memory has no page cache: the fault asks the file system where the page is, and keeps\n\
                truncation away by i_mmap_rwsem. To find or allocate a block the file system starts a transaction. When it\n\
                changes blocks within a transaction it unmaps them, for which it takes i_mmap_rwsem.",
        kernels: "4.3-rc (843172978bb9)",
        source: "Dave Chinner and Ross Zwisler, 1444258729-21974-2-git-send-email-ross.zwisler@linux.intel.com",
        fix: "0f90cc6609c7: reverted",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::DaxBlockUnderImap),
        fixed: Protocol::V6_1,
        verdict: Expect::Cycle(&["mapping->i_mmap_rwsem", "jbd2_handle"]),
        seeds: 1,
        build: |world| dax_fault_and_truncate(world, true),
    },
    Pair {
        id: "M4",
        title: "a DAX fault that copies takes i_mmap for reading and releases it for writing",
        story: "What keeps truncation away while a page of persistent memory is copied was made a read lock, and one of\n\
                the places that release it was forgotten.",
        kernels: "4.3 to 4.4-rc",
        source: "Yigal Korman, 1447675755-5692-1-git-send-email-yigal@plexistor.com",
        fix: "2e4cdab0584f and the one after it: release it for reading",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::DaxUnlocksAsWriter),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::UnlockMismatch),
        seeds: 1,
        build: |world| dax_fault_and_truncate(world, false),
    },
    Pair {
        id: "V12",
        title: "speculative page faults, 2017: the sequence count of a VMA is taken before i_mmap",
        story: "The predecessor of the VMA lock was a sequence count, written while a VMA changes. To cut a VMA it was begun\n\
                before i_mmap_rwsem; to unmap pages of a file, under it.",
        kernels: "speculative page fault series, RFC v3",
        source: "Laurent Dufour, 1493308376-23851-12-git-send-email-ldufour@linux.vnet.ibm.com",
        fix: "the count comes after the mapping lock: the opposite of what the VMA lock decided",
        memory: 500,
        buggy: Protocol { vma_sequence: VmaSequence::BeforeImap, ..Protocol::V6_1 },
        fixed: Protocol { vma_sequence: VmaSequence::AfterImap, ..Protocol::V6_1 },
        verdict: Expect::Cycle(&["vma->vm_sequence", "mapping->i_mmap_rwsem"]),
        seeds: 1,
        build: cut_and_truncate,
    },
    Pair {
        id: "M8",
        title: "munmap downgrades the mmap lock, and a stack grows into the hole",
        story: "munmap has taken a mapping out of the VMA tree, looked how far the gap around it goes, and goes on with\n\
                the mmap lock in read mode. A stack above the gap grows under the mmap lock in read mode. The tables\n\
                that munmap frees are in use again.",
        kernels: "4.20 to 5.7 (CVE-2020-29369)",
        source: "Jann Horn, 2020",
        fix: "246c320a8cfe: no downgrade beside a stack",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::DowngradeBesideStack),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::TableFreedUnderWalkers),
        seeds: 20,
        build: unmap_below_stack,
    },
];

/// One thread lets its stack grow, another one touches pages of it all the while.
fn grow_and_touch(world: &World) -> Plan {
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let stack = process.map_stack(4);
    stage::ignore(process.store(stack, 1));
    let other = process.clone();
    plan.actor("page-fault", move || {
        (1..4).for_each(|page| stage::ignore(other.store(stack + page * PAGE_SIZE, page)));
    });
    plan.actor("stack", move || {
        (1..12).for_each(|page| stage::ignore(process.store(stack - page * PAGE_SIZE, page)));
    });
    plan
}

/// One thread says again and again where memory is to come from, another one touches it for the first time.
fn bind_and_touch(world: &World) -> Plan {
    const PAGES: u64 = 24;
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let heap = process.map_anon(PAGES);
    let all = heap..heap + PAGES * PAGE_SIZE;
    // Page faults run under the VMA lock once there is an anon_vma.
    stage::ignore(process.store(heap, 1));
    process.bind(all.clone(), 0);
    let other = process.clone();
    plan.actor("mbind", move || {
        for round in 1..12 {
            process.bind(all.clone(), round % 2);
        }
    });
    plan.actor("page-fault", move || {
        (1..PAGES).for_each(|page| stage::ignore(other.store(heap + page * PAGE_SIZE, page)));
    });
    plan
}

/// One process writes to a file from its memory, another one lets its mapping show another part of it.
fn remap_and_write(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(16);
    world.measure(&file);
    writer(world, &file, &mut plan);
    let (process, addr) = stage::sleeper(world, &file, 8, &mut plan);
    plan.actor("remap", move || {
        for offset in 1..8 {
            process.remap_file_pages(addr..addr + 4 * PAGE_SIZE, offset);
            stage::ignore(process.touch(addr, 8));
        }
    });
    plan
}

/// One process writes to a file from its memory, another one punches holes into it.
fn remove_and_write(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(16);
    writer(world, &file, &mut plan);
    let (process, addr) = stage::sleeper(world, &file, 16, &mut plan);
    plan.actor("madvise", move || {
        for page in 0..8 {
            stage::ignore(process.store(addr + page * PAGE_SIZE, page + 1));
            process.advise(addr + page * PAGE_SIZE..addr + (page + 2) * PAGE_SIZE, Advice::Remove);
            stage::ignore(process.touch(addr, 16));
        }
    });
    plan
}

/// A process locks a mapping of a huge page and unmaps part of it.
fn lock_and_cut(world: &World) -> Plan {
    let mut plan = Plan::default();
    let library = world.create(HUGE_PAGES);
    let (process, code) = stage::sleeper(world, &library, HUGE_PAGES, &mut plan);
    let kernel = world.clone();
    plan.actor("munmap", move || {
        let _collapsed = (0..50).any(|_| kernel.collapse(&library, 0));
        stage::ignore(process.load(code));
        stage::ignore(process.lock(code..code + HUGE_PAGES * PAGE_SIZE));
        process.unmap(code + 100 * PAGE_SIZE..code + 200 * PAGE_SIZE);
        stage::ignore(process.load(code));
    });
    plan
}

/// One process reads and writes a file of persistent memory, shared or private, and the file is cut and grown again.
fn dax_fault_and_truncate(world: &World, shared: bool) -> Plan {
    let mut plan = Plan::default();
    let file = world.create_dax(8);
    let process = stage::process(world, &mut plan);
    let addr = process.map_file(&file, 0, 8, shared);
    plan.actor("page-fault", move || {
        for page in 0..8 {
            stage::ignore(process.store(addr + page * PAGE_SIZE, page));
            stage::ignore(process.load(addr + page * PAGE_SIZE));
        }
    });
    let kernel = world.clone();
    plan.actor("truncate", move || {
        for pages in [6, 8, 2, 8] {
            kernel.truncate(&file, pages);
        }
    });
    plan
}

/// One process cuts its mapping of a file, and the file is cut and grown again.
fn cut_and_truncate(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(16);
    let (process, addr) = stage::sleeper(world, &file, 16, &mut plan);
    plan.actor("mprotect", move || {
        for page in 1..8 {
            process.protect(addr + page * PAGE_SIZE..addr + (page + 1) * PAGE_SIZE, Access::READ);
            stage::ignore(process.touch(addr, 8));
        }
    });
    let kernel = world.clone();
    plan.actor("truncate", move || {
        for pages in [6, 16, 2, 16] {
            kernel.truncate(&file, pages);
        }
    });
    plan
}

/// A process that writes the first pages of a file from its own memory.
fn writer(world: &World, file: &File, plan: &mut Plan) {
    let process = stage::process(world, plan);
    let data = process.map_anon(8);
    let file = file.clone();
    plan.actor("write", move || {
        for page in 0..8 {
            stage::ignore(process.store(data + page * PAGE_SIZE, 100 + page));
            stage::ignore(process.write(&file, page, data + page * PAGE_SIZE));
        }
    });
}

/// One thread unmaps what is below a stack, another one lets the stack grow.
fn unmap_below_stack(world: &World) -> Plan {
    const BELOW: u64 = 8;
    let mut plan = Plan::default();
    let process = stage::process(world, &mut plan);
    let stack = process.map_stack(2);
    // What is below the border has a page table of its own, which the stack does not use yet.
    let border = stack / PMD_SIZE * PMD_SIZE;
    stage::ignore(process.store(border, 1));
    let below = border - 16 * PAGE_SIZE;
    let is_free = process.map_anon_at(below, BELOW);
    debug_assert!(is_free, "there is room below a stack");
    (0..BELOW).for_each(|page| stage::ignore(process.store(below + page * PAGE_SIZE, page)));
    let other = process.clone();
    plan.actor("munmap", move || process.unmap(below..below + BELOW * PAGE_SIZE));
    plan.actor("stack", move || {
        (1..6).for_each(|page| stage::ignore(other.store(border - page * PAGE_SIZE, page)));
    });
    plan
}
