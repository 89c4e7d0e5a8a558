//! H: hugetlbfs, whose page tables processes share; and the classes of locks that were split for it (M1, M2, F3).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use lockdep::LockClass;

use super::{Pair, stage};
use crate::{
    Advice, Bug, Huge, Invariant, PAGE_SIZE, PMD_SIZE, PUD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    scenario::{Expect, Plan},
    sync::SleepMutex,
    world::{File, World},
};

/// Pages that are shared by sharing their tables.
const GIGABYTE: u64 = PUD_SIZE / PAGE_SIZE;
/// Memory of most machines here.
const MEMORY: u64 = 20 * HUGE_PAGES;

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "H1",
        title: "page faults hold i_mmap all the time, and migration waits for it with a folio locked",
        story: "To keep shared page tables in place, page faults held i_mmap from beginning to end, and locked folios\n\
                under it. Migration has the folio locked and then wants i_mmap. It took a second attempt to find out\n\
                that it may only try. Memory failure is the same inversion by another way, and the second attempt had\n\
                it to its end: it looks, under i_mmap, for the processes that have a page which it has locked.",
        kernels: "5.0-rc1 to 5.0-rc3; the attempt of 5.7 to 6.0 tries",
        source: "Mike Kravetz, 2018 to 2022",
        fix: "ddeaab32a89f: reverted; 8d9bfb260814 (6.1): a lock of the VMA instead of i_mmap",
        memory: MEMORY,
        buggy: Protocol::V6_0.with(Bug::MigrationWaitsForImap),
        fixed: Protocol::V6_1,
        verdict: Expect::Cycle(&["hugetlbfs i_mmap_rwsem", "folio_lock(hugetlb)"]),
        seeds: 1,
        build: fault_and_migrate,
    },
    Pair {
        id: "H2",
        title: "fork publishes a VMA before it has its hugetlb lock",
        story: "The child's VMA is in the interval tree of the file before its lock has been made. Punching a hole finds\n\
                it, has nothing to lock, unmaps, and then unlocks the lock that is there by now.",
        kernels: "6.1 to 6.8 (CVE-2024-27022)",
        source: "Miaohe Lin and Thorvald Natvig, 2024",
        fix: "35e351780fa9: link the VMA after it has been initialised",
        memory: MEMORY,
        buggy: Protocol::V6_1.with(Bug::HugetlbLockAfterImap),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::UnlockMismatch),
        seeds: 60,
        build: fork_and_punch,
    },
    Pair {
        id: "H3",
        title: "MADV_DONTNEED takes the hugetlb lock away from a VMA that stays",
        story: "The code that unmapped a VMA for good freed its lock, and MADV_DONTNEED used the same code. A page fault\n\
                of another thread waits for the lock at that moment.",
        kernels: "6.1-rc",
        source: "syzbot+ca56f14c500045350f93, November 2022",
        fix: "04ada095dcfc: only munmap and exit free it",
        memory: MEMORY,
        buggy: Protocol::V6_1.with(Bug::DontneedFreesHugetlbLock),
        fixed: Protocol::V6_1,
        verdict: Expect::Broken(Invariant::LockUsedAfterFree),
        seeds: 40,
        build: discard_and_fault,
    },
    Pair {
        id: "H4",
        title: "a copy on write waits for the fault mutex with the folio of the page cache locked",
        story: "The pool is empty, so a parent takes its page back from its child. For that it drops the fault mutex,\n\
                and takes it again, with the folio of the page cache locked all the time. Another fault has the mutex\n\
                and waits for the folio. The kernel's lockdep does not know the folio lock: a real hang, found by DEPT.",
        kernels: "up to 6.15",
        source: "Gavin Guo, 20250513093448.592150-1-gavinguo@igalia.com",
        fix: "6.16: unlock the folio first",
        memory: MEMORY,
        buggy: Protocol::V6_1.with(Bug::FolioLockedAcrossFaultMutex),
        fixed: Protocol::V6_1,
        verdict: Expect::Deadlock(&["hugetlb_fault_mutex", "folio_lock(hugetlb)"]),
        seeds: 60,
        build: copy_without_memory,
    },
    Pair {
        id: "H5",
        title: "unmapping takes i_mmap before the hugetlb lock of the VMA",
        story: "A page fault holds the hugetlb lock of its VMA and takes i_mmap to share a page table. The patch wanted\n\
                the two the other way around. The comment in rmap.c was right.",
        kernels: "mm-new, November 2025; not merged",
        source: "syzbot ci, on 20251110111553.88384-1-lance.yang@linux.dev: three reports in a day",
        fix: "withdrawn",
        memory: MEMORY,
        buggy: Protocol::V6_12.with(Bug::HugetlbZapReversed),
        fixed: Protocol::V6_12,
        verdict: Expect::Cycle(&["hugetlb vma_lock", "hugetlbfs i_mmap_rwsem"]),
        seeds: 1,
        build: share_and_unmap,
    },
    Pair {
        id: "H6",
        title: "a socket is locked while its data fault in from hugetlbfs, and reclaim may send through a socket",
        story: "A page fault on hugetlbfs makes a page table under its locks, which may have to wait for reclaim; reclaim\n\
                may write to a network block device, which locks its socket; sendmsg locks a socket and copies from\n\
                user memory, which may fault. No two of these are ever the same socket: a class too wide.",
        kernels: "6.18-rc1",
        source: "syzbot+1ad78f6a1785a2fceb88, October 2025",
        fix: "none yet; here the sockets of the device have a class of their own",
        memory: MEMORY,
        buggy: Protocol::V6_12.with(Bug::NbdSocketInCommonClass),
        fixed: Protocol::V6_12,
        verdict: Expect::CyclesThrough("sk_lock-AF_INET", "hugetlb vma_lock"),
        seeds: 1,
        build: send_and_reclaim,
    },
    Pair {
        id: "H7",
        title: "a hugetlb fault drops the VMA lock, and then unlocks the hugetlb lock of that VMA",
        story: "A fault that cannot go on under the VMA lock drops it and asks to be tried again. What it still had to\n\
                unlock was found by way of the VMA, which munmap has freed by then.",
        kernels: "linux-next of 2024-04-12",
        source: "syzbot+7fd4b85697bcf2a9daa2",
        fix: "Vishal Moola: drop the VMA lock last",
        memory: MEMORY,
        buggy: Protocol::V6_12.with(Bug::VmaUsedAfterUnlock),
        fixed: Protocol::V6_12,
        verdict: Expect::Broken(Invariant::VmaUsedAfterFree),
        seeds: 60,
        build: retry_and_unmap,
    },
    Pair {
        id: "H8",
        title: "page tables are unshared before a VMA is locked for a cut, and shared again before it is cut",
        story: "Cutting a VMA through a shared page table unshares the table first. That came before the VMA was\n\
                write-locked: a page fault of another thread shares it anew. Afterwards neither half covers the table,\n\
                and nobody flushes all of it.",
        kernels: "up to 6.15 (CVE-2025-38084)",
        source: "Jann Horn, 2025",
        fix: "081056dc00a2: unshare under the locks of the cut",
        memory: MEMORY,
        buggy: Protocol::V6_12.with(Bug::UnsharedBeforeSplit),
        fixed: Protocol::V6_12,
        verdict: Expect::Broken(Invariant::TableSharedWrongly),
        seeds: 60,
        build: split_and_share,
    },
    Pair {
        id: "M1",
        title: "mm_take_all_locks takes i_mmap of all files in the order in which they are mapped",
        story: "Registering an MMU notifier locks all files that a process maps, one after the other: an ordinary one and\n\
                then one of hugetlbfs. Under the latter page tables are allocated, which may wait for reclaim, and\n\
                reclaim takes i_mmap of the former.",
        kernels: "2.6.27 to 4.4",
        source: "Dmitry Vyukov; 1452510328-93955-1-git-send-email-kirill.shutemov@linux.intel.com",
        fix: "88f306b68cbb: those of hugetlbfs first",
        memory: MEMORY,
        buggy: Protocol::V6_1.with(Bug::AllLocksInVmaOrder),
        fixed: Protocol::V6_1,
        verdict: Expect::Cycle(&["mapping->i_mmap_rwsem", "hugetlbfs i_mmap_rwsem", "fs_reclaim"]),
        seeds: 1,
        build: register_and_reclaim,
    },
    Pair {
        id: "M2",
        title: "hugetlbfs allocates page tables under i_mmap, in the class of all files",
        story: "Sharing a page table looks for another mapping under i_mmap, and makes a table of its own if there is\n\
                none. An allocation may wait for reclaim, and reclaim takes i_mmap: of other files, as huge pages are\n\
                never reclaimed. A class too wide.",
        kernels: "3.11-rc",
        source: "Michal Hocko, 1375195560-23888-1-git-send-email-mhocko@suse.cz",
        fix: "b610ded71918: a class of its own",
        memory: MEMORY,
        buggy: Protocol::V6_1.with(Bug::HugetlbfsInCommonClass),
        fixed: Protocol::V6_1,
        verdict: Expect::Cycle(&["mapping->i_mmap_rwsem", "fs_reclaim"]),
        seeds: 1,
        build: share_and_reclaim,
    },
    Pair {
        id: "F3",
        title: "hugetlbfs locks an inode under the mmap lock, and readdir faults under the lock of a directory",
        story: "Mapping a file of hugetlbfs locks its inode under the mmap lock. Reading a directory copies names to user\n\
                memory with the directory locked, and the page fault takes the mmap lock. A directory is never mapped:\n\
                a class too wide.",
        kernels: "3.0",
        source: "Josh Boyer, 2011",
        fix: "e096d0c7e2e4: directories have a class of their own",
        memory: MEMORY,
        buggy: Protocol::V6_1.with(Bug::DirectoryInFileClass),
        fixed: Protocol::V6_1,
        verdict: Expect::Cycle(&["mm->mmap_lock", "inode->i_rwsem(hugetlbfs)"]),
        seeds: 1,
        build: map_and_readdir,
    },
];

/// A pool of `pages` huge pages, and a file.
fn hugetlbfs(world: &World, pages: u64) -> File {
    world.set_huge_pages(pages);
    world.create_huge()
}

/// A process maps 1 GiB of the file and touches some of it, again and again.
fn sharer(world: &World, file: &File, name: &str, plan: &mut Plan) {
    let process = stage::process(world, plan);
    let file = file.clone();
    plan.actor(name, move || {
        for round in 0..4 {
            let Some(addr) = process.map_huge(&file, 0, GIGABYTE, Huge::SharedNoreserve) else { return };
            for page in 0..4 {
                stage::ignore(process.store(addr + page * PMD_SIZE, round));
            }
            process.unmap(addr..addr + PUD_SIZE);
        }
    });
}

fn fault_and_migrate(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    sharer(world, &file, "page-fault", &mut plan);
    let kernel = world.clone();
    plan.actor("migrate", move || {
        for round in 0..40 {
            kernel.migrate_huge(&file, round % 4);
        }
    });
    plan
}

fn fork_and_punch(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    let process = stage::process(world, &mut plan);
    // Something that the child has page tables for already.
    let heap = process.map_anon(1);
    stage::ignore(process.store(heap, 1));
    let addr = process.map_huge(&file, 0, 2 * HUGE_PAGES, Huge::Shared);
    plan.actor("fork", move || {
        for _ in 0..24 {
            addr.into_iter().for_each(|addr| stage::ignore(process.store(addr, 1)));
            process.fork().into_iter().for_each(|child| child.exit());
        }
    });
    let kernel = world.clone();
    plan.actor("punch-hole", move || {
        (0..72).for_each(|_| {
            kernel.punch_hole(&file, 0..2 * HUGE_PAGES);
        });
    });
    plan
}

fn discard_and_fault(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    let process = stage::process(world, &mut plan);
    let Some(addr) = process.map_huge(&file, 0, 4 * HUGE_PAGES, Huge::Shared) else { return plan };
    for thread in 0..2 {
        let process = process.clone();
        plan.actor(&format!("page-fault-{thread}"), move || {
            (0..12).for_each(|round| stage::ignore(process.store(addr + round % 4 * PMD_SIZE, round)));
        });
    }
    plan.actor("madvise", move || {
        for _ in 0..6 {
            process.advise(addr..addr + 4 * PMD_SIZE, Advice::DontNeed);
        }
    });
    plan
}

/// A parent and its child share a private page, the page cache has another one, and the pool has none.
fn copy_without_memory(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 2);
    let parent = stage::process(world, &mut plan);
    world.allocate(&file, 0..HUGE_PAGES);
    let Some(own) = parent.map_huge(&file, 0, HUGE_PAGES, Huge::Private) else { return plan };
    stage::ignore(parent.store(own, 1));
    let Some(child) = parent.fork() else { return plan };
    plan.processes.push(child);
    for number in 0..2 {
        let process = stage::process(world, &mut plan);
        let addr = process.map_huge(&file, 0, HUGE_PAGES, Huge::SharedNoreserve);
        plan.actor(&format!("reader-{number}"), move || {
            for _ in 0..4 {
                let Some(addr) = addr else { return };
                stage::ignore(process.load(addr));
                process.advise(addr..addr + PMD_SIZE, Advice::DontNeed);
            }
        });
    }
    plan.actor("parent", move || stage::ignore(parent.store(own, 2)));
    plan
}

fn share_and_unmap(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    sharer(world, &file, "one", &mut plan);
    plan
}

/// The locks of the network that a page fault may meet: a small model of a network block device and of sockets.
fn send_and_reclaim(world: &World) -> Plan {
    static SK_LOCK: LockClass = LockClass::new("sk_lock-AF_INET");
    static SK_LOCK_NBD: LockClass = LockClass::new("sk_lock-AF_INET-NBD");
    static NBD_COMMAND: LockClass = LockClass::new("nbd cmd->lock");
    static NBD_SEND: LockClass = LockClass::new("nsock->tx_lock");
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    sharer(world, &file, "page-fault", &mut plan);
    let is_common = world.protocol().has(Bug::NbdSocketInCommonClass);
    let nbd_socket = SleepMutex::new(if is_common { &SK_LOCK } else { &SK_LOCK_NBD }, ("socket", 1));
    let (command, send) = (SleepMutex::new(&NBD_COMMAND, ("nbd", 1)), SleepMutex::new(&NBD_SEND, ("nbd", 1)));
    let kernel = world.clone();
    plan.actor("reclaim", move || {
        for _ in 0..4 {
            kernel.machine.fs_reclaim.acquire();
            {
                let _command = command.lock();
                let _send = send.lock();
                let _socket = nbd_socket.lock();
            }
            kernel.machine.fs_reclaim.release();
        }
    });
    let process = stage::process(world, &mut plan);
    let user_socket = SleepMutex::new(&SK_LOCK, ("socket", 2));
    plan.actor("sendmsg", move || {
        let Some(data) = process.map_huge(&file, 0, GIGABYTE, Huge::SharedNoreserve) else { return };
        for page in 0..4 {
            let _socket = user_socket.lock();
            stage::ignore(process.load(data + page * PMD_SIZE)); // copy_from_user()
        }
    });
    plan
}

fn retry_and_unmap(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    world.allocate(&file, 0..HUGE_PAGES);
    let process = stage::process(world, &mut plan);
    // Where it is mapped now; 0 when it is over.
    let place = Arc::new(AtomicU64::new(1));
    for number in 0..3 {
        let (process, place) = (process.clone(), place.clone());
        plan.actor(&format!("page-fault-{number}"), move || {
            while place.load(Relaxed) > 0 {
                stage::ignore(process.store(place.load(Relaxed), number));
            }
        });
    }
    // The processor of a page fault has others to run, too.
    for number in 0..4 {
        let (process, place) = (stage::process(world, &mut plan), place.clone());
        let heap = process.map_anon(1);
        plan.actor(&format!("user-{number}"), move || {
            while place.load(Relaxed) > 0 {
                stage::ignore(process.load(heap));
            }
        });
    }
    plan.actor("munmap", move || {
        for _ in 0..60 {
            let addr = process.map_huge(&file, 0, HUGE_PAGES, Huge::PrivateNoreserve).unwrap_or_default();
            place.store(addr.max(1), Relaxed);
            process.unmap(addr..addr + PMD_SIZE);
        }
        place.store(0, Relaxed);
    });
    plan
}

fn split_and_share(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    let other = stage::process(world, &mut plan);
    if let Some(addr) = other.map_huge(&file, 0, GIGABYTE, Huge::SharedNoreserve) {
        stage::ignore(other.store(addr, 1));
    }
    for number in 0..4 {
        let process = stage::process(world, &mut plan);
        let Some(addr) = process.map_huge(&file, 0, GIGABYTE, Huge::SharedNoreserve) else { return plan };
        let thread = process.clone();
        plan.actor(&format!("munmap-{number}"), move || {
            stage::ignore(process.load(addr));
            process.unmap(addr + 8 * PMD_SIZE..addr + 16 * PMD_SIZE);
        });
        plan.actor(&format!("page-fault-{number}"), move || {
            (0..16).for_each(|round| stage::ignore(thread.load(addr + round % 4 * PMD_SIZE)));
        });
    }
    plan
}

fn share_and_reclaim(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    sharer(world, &file, "one", &mut plan);
    sharer(world, &file, "two", &mut plan);
    let data = world.create(32);
    stage::sleeper(world, &data, 32, &mut plan);
    stage::kswapd(world, &mut plan);
    plan
}

/// As [`share_and_reclaim`], and a process that maps a file of each sort gets a guest.
fn register_and_reclaim(world: &World) -> Plan {
    let mut plan = share_and_reclaim(world);
    let (data, huge) = (world.create(4), world.create_huge());
    let process = stage::process(world, &mut plan);
    plan.actor("guest", move || {
        process.map_file(&data, 0, 4, true);
        process.map_huge(&huge, 0, HUGE_PAGES, Huge::Shared);
        drop(process.create_guest());
    });
    plan
}

fn map_and_readdir(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = hugetlbfs(world, 10);
    sharer(world, &file, "mmap", &mut plan);
    let directory = world.make_directory();
    let process = stage::process(world, &mut plan);
    plan.actor("readdir", move || {
        for _ in 0..4 {
            let buffer = process.map_anon(1);
            stage::ignore(process.readdir(&directory, 0, buffer));
            process.unmap(buffer..buffer + PAGE_SIZE);
        }
    });
    plan
}
