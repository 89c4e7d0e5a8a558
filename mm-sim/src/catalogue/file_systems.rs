//! F: file systems that copy to user memory while they hold what a page fault may need.
//!
//! The file systems are models of one lock or two: a hook that page faults call, and a system call that copies.

use std::sync::Arc;

use lockdep::LockClass;

use super::{Pair, stage};
use crate::{
    Bug, PAGE_SIZE,
    mem::FileSystem,
    op::access,
    protocol::Protocol,
    scenario::{Expect, Plan},
    sync::RwSem,
    world::{Process, World},
};

static BTRFS_TREE: LockClass = LockClass::new("btrfs-tree");
static BTRFS_EXTENT: LockClass = LockClass::new("extent_lock");
static XATTR_SEM: LockClass = LockClass::new("ei->xattr_sem");
static QUOTA_LOCK: LockClass = LockClass::new("dquot_lock");
static DEBUGFS_I_RWSEM: LockClass = LockClass::new("inode->i_rwsem(debugfs)");
static DEBUGFS_MUTEX: LockClass = LockClass::new("q->debugfs_mutex");
static Q_USAGE_COUNTER: LockClass = LockClass::new("q->q_usage_counter");

/// Pages of user memory that answers are copied to.
const ANSWERS: u64 = 6;
/// Pages of a file.
const FILE: u64 = 8;

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "F4",
        title: "btrfs copies what a search finds to user memory with its tree locked",
        story: "The ioctl walks a tree and copies item by item. The copy may fault, and a fault that makes a page of a\n\
                btrfs file writable locks the tree under the mmap lock.",
        kernels: "up to 5.9",
        source: "lockdep",
        fix: "a48b73eca4ce: fault the pages in before, and copy without faults",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::FsCopiesUnderLocks),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("btrfs-tree", "mm->mmap_lock"),
        seeds: 1,
        build: |world| search_and_write(world, &BTRFS_TREE),
    },
    Pair {
        id: "F5",
        title: "btrfs tells of extents with the extents locked",
        story: "fiemap locks a range of a file and copies to user memory. If that is a mapping of the same file that is\n\
                written for the first time, the fault waits for the range.",
        kernels: "up to 6.7",
        source: "real hangs",
        fix: "b0ad381fa769: copy when the range is unlocked",
        memory: 500,
        buggy: Protocol::V6_4.with(Bug::FsCopiesUnderLocks),
        fixed: Protocol::V6_4,
        verdict: Expect::CyclesThrough("extent_lock", "mm->mmap_lock"),
        seeds: 1,
        build: |world| search_and_write(world, &BTRFS_EXTENT),
    },
    Pair {
        id: "F6",
        title: "two file systems, each right, make a cycle together",
        story: "One file system takes its xattr lock when a page becomes writable, under the invalidate lock. Another one\n\
                takes a quota lock under the same class, and copies to user memory under that. No instance is in\n\
                both: the class is.",
        kernels: "6.15-rc3",
        source: "syzbot+3a250b71df6ff0bb5f9e",
        fix: "open; here: the copy is made without the quota lock",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::FsCopiesUnderLocks),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("ei->xattr_sem", "dquot_lock"),
        seeds: 1,
        build: fiemap_and_xattr,
    },
    Pair {
        id: "F7",
        title: "blktrace's file in debugfs is read under its i_rwsem",
        story: "A page fault reads a block: it holds the mmap lock and waits while the queue is frozen. Who has frozen it\n\
                makes a file in debugfs and waits for an i_rwsem. Who reads there holds that and copies to user memory.",
        kernels: "6.14-rc1",
        source: "blktests, 2025",
        fix: "not checked; here: the copy is made without the i_rwsem",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::FsCopiesUnderLocks),
        fixed: Protocol::V6_1,
        verdict: Expect::CyclesThrough("inode->i_rwsem(debugfs)", "q->q_usage_counter"),
        seeds: 1,
        build: trace_and_freeze,
    },
    Pair {
        id: "F8",
        title: "a write copies from a mapping of the page that it writes to",
        story: "write locks the folio and copies from user memory, which is a mapping of that very page and not in the\n\
                page tables: the page fault waits for the folio, under the mmap lock.",
        kernels: "up to 2.6.2x; gfs2 and btrfs up to 5.16",
        source: "commits",
        fix: "fault the user's page in before, and copy without faults; 00bfe02f4796 (gfs2)",
        memory: 500,
        buggy: Protocol::V6_1.with(Bug::WriteFaultsUnderFolioLock),
        fixed: Protocol::V6_1,
        verdict: Expect::Deadlock(&["folio_lock(file)", "mm->mmap_lock"]),
        seeds: 1,
        build: write_from_itself,
    },
];

/// A file system that takes one lock when a page becomes writable.
struct OneLock(RwSem);

impl FileSystem for OneLock {
    fn page_mkwrite(&self) {
        let _locked = self.0.write();
    }
}

/// A device whose queue may be frozen.
struct Queue(RwSem);

impl FileSystem for Queue {
    fn read_folio(&self) {
        let _usage = self.0.read();
    }
}

/// Copies a word to user memory: with `locks` held, or without if that has been fixed.
fn copy_out<T>(world: &World, process: &Process, addr: u64, locks: impl FnOnce() -> T) {
    let held = locks();
    if world.protocol().has(Bug::FsCopiesUnderLocks) {
        copy_to_user(world, process, addr);
        drop(held);
    } else {
        drop(held);
        copy_to_user(world, process, addr);
    }
}

#[inline(never)]
fn copy_to_user(world: &World, process: &Process, addr: u64) {
    stage::ignore(access::store(&world.machine, &process.mm, addr, 7));
}

/// One process asks a file system, into a mapping of another file; another one writes to a mapping of the file system's.
fn search_and_write(world: &World, class: &'static LockClass) -> Plan {
    let mut plan = Plan::default();
    let (plain, file) = (world.create(FILE), world.create(FILE));
    let fs = Arc::new(OneLock(RwSem::new(class, ("file system", 1))));
    file.0.mount(fs.clone());
    let asker = stage::process(world, &mut plan);
    let answers = asker.map_file(&plain, 0, ANSWERS, true);
    let kernel = world.clone();
    plan.actor("ioctl", move || {
        for page in 0..ANSWERS {
            copy_out(&kernel, &asker, answers + page * PAGE_SIZE, || fs.0.read());
        }
    });
    writer(world, &file, &mut plan);
    plan
}

/// Writes to every page of a mapping of a file.
fn writer(world: &World, file: &crate::File, plan: &mut Plan) {
    let process = stage::process(world, plan);
    let data = process.map_file(file, 0, FILE, true);
    plan.actor("page-fault", move || {
        (0..FILE).for_each(|page| stage::ignore(process.store(data + page * PAGE_SIZE, page)));
    });
}

fn fiemap_and_xattr(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(FILE);
    file.0.mount(Arc::new(OneLock(RwSem::new(&XATTR_SEM, ("ext4 inode", 1)))));
    writer(world, &file, &mut plan);
    let other = RwSem::new(&XATTR_SEM, ("ocfs2 inode", 2));
    let quota = Arc::new(RwSem::new(&QUOTA_LOCK, ("ocfs2", 1)));
    let same = quota.clone();
    plan.actor("setxattr", move || {
        let _xattr_sem = other.write();
        let _quota = same.write();
    });
    let asker = stage::process(world, &mut plan);
    let answers = asker.map_anon(ANSWERS);
    let kernel = world.clone();
    plan.actor("fiemap", move || {
        for page in 0..ANSWERS {
            copy_out(&kernel, &asker, answers + page * PAGE_SIZE, || quota.read());
        }
    });
    plan
}

fn trace_and_freeze(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(FILE);
    let queue = Arc::new(Queue(RwSem::new(&Q_USAGE_COUNTER, ("queue", 1))));
    file.0.mount(queue.clone());
    let reader = stage::process(world, &mut plan);
    let code = reader.map_file(&file, 0, FILE, true);
    plan.actor("page-fault", move || stage::ignore(reader.touch(code, FILE)));
    let debugfs = Arc::new(RwSem::new(&DEBUGFS_I_RWSEM, ("file", 99)));
    let (mutex, directory) = (RwSem::new(&DEBUGFS_MUTEX, ("queue", 1)), debugfs.clone());
    plan.actor("elevator-switch", move || {
        let _frozen = queue.0.write();
        let _debugfs_mutex = mutex.write();
        let _i_rwsem = directory.write();
    });
    let tracer = stage::process(world, &mut plan);
    let answers = tracer.map_anon(ANSWERS);
    let kernel = world.clone();
    plan.actor("relay-read", move || {
        for page in 0..ANSWERS {
            copy_out(&kernel, &tracer, answers + page * PAGE_SIZE, || debugfs.read());
        }
    });
    plan
}

fn write_from_itself(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(FILE);
    let (process, data) = stage::sleeper(world, &file, 2, &mut plan);
    // Beyond what a fault maps around itself there is nothing; so the page is taken out again.
    process.unmap(data..data + 2 * PAGE_SIZE);
    let data = process.map_file(&file, 0, FILE, true);
    plan.actor("write", move || stage::ignore(process.write(&file, 1, data + PAGE_SIZE)));
    plan
}
