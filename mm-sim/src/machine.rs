//! The [`Machine`]: memory, the LRU, the files and processes of one run, and the rules in force.
//!
//! It is what the operations work on, and knows none of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use crate::{
    Bug,
    classes::{
        DUP_MMAP_SEM, FS_RECLAIM, MEM_HOTPLUG_LOCK, MEMORY_CHAIN_RWSEM, MF_MUTEX, MM_ALL_LOCKS_MUTEX, MMU_NOTIFIER,
        TASKLIST_LOCK,
    },
    mem::{
        FaultMutexes, HugetlbPool, Inode, Khugepaged, Ksm, Lru, Memcg, Memory, Mm, Neighbours, Poison, SplitQueue,
        SuperBlock, Swap, Tlb, Wb,
    },
    model::Model,
    protocol::Protocol,
    stats::Stats,
    sync::{LocklessWalks, PseudoLock, Rcu, RwSem, RwSpinLock, SleepMutex},
};

/// One simulated machine.
pub(crate) struct Machine {
    pub(crate) protocol: Protocol,
    pub(crate) memory: Arc<Memory>,
    pub(crate) lru: Lru,
    pub(crate) swap: Swap,
    pub(crate) wb: Wb,
    pub(crate) sb: SuperBlock,
    pub(crate) split_queue: SplitQueue,
    pub(crate) memcg: Memcg,
    pub(crate) neighbours: Neighbours,
    pub(crate) rcu: Rcu,
    pub(crate) walks: LocklessWalks,
    pub(crate) ksm: Ksm,
    pub(crate) mf_mutex: SleepMutex,
    pub(crate) poison: Poison,
    pub(crate) tasklist_lock: RwSpinLock,
    pub(crate) mem_hotplug_lock: RwSem,
    pub(crate) memory_chain_rwsem: RwSem,
    pub(crate) tlb: Tlb,
    pub(crate) model: Model,
    pub(crate) stats: Stats,
    pub(crate) khugepaged: Khugepaged,
    pub(crate) fs_reclaim: PseudoLock,
    pub(crate) hugetlb: HugetlbPool,
    pub(crate) hugetlb_fault_mutexes: FaultMutexes,
    pub(crate) mmu_notifier: PseudoLock,
    pub(crate) mm_all_locks_mutex: SleepMutex,
    /// Forks against breakpoints that are put into processes.
    pub(crate) dup_mmap_sem: RwSem,
    pub(crate) files: Mutex<Vec<Arc<Inode>>>,
    pub(crate) mms: Mutex<BTreeMap<u64, Arc<Mm>>>,
    next_id: AtomicU64,
    this: Weak<Self>,
}

impl Machine {
    /// A machine with `pages` pages of memory.
    pub(crate) fn new(protocol: Protocol, pages: u64) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            protocol,
            memory: Arc::new(Memory::new(pages)),
            lru: Lru::new(),
            swap: Swap::new(),
            wb: Wb::new(),
            sb: SuperBlock::new(),
            split_queue: SplitQueue::new(),
            memcg: Memcg::new(),
            neighbours: Neighbours::new(),
            rcu: Rcu::default(),
            walks: LocklessWalks::new(),
            ksm: Ksm::new(),
            mf_mutex: SleepMutex::new(&MF_MUTEX, ("machine", 0)),
            poison: Poison::default(),
            tasklist_lock: RwSpinLock::new(&TASKLIST_LOCK, ("machine", 0)),
            mem_hotplug_lock: RwSem::new(&MEM_HOTPLUG_LOCK, ("machine", 0)),
            memory_chain_rwsem: RwSem::new(&MEMORY_CHAIN_RWSEM, ("machine", 0)),
            tlb: Tlb::default(),
            model: Model::default(),
            stats: Stats::default(),
            khugepaged: Khugepaged::new(),
            fs_reclaim: PseudoLock::new(&FS_RECLAIM),
            hugetlb: HugetlbPool::new(),
            hugetlb_fault_mutexes: FaultMutexes::new(),
            mmu_notifier: PseudoLock::new(&MMU_NOTIFIER),
            mm_all_locks_mutex: SleepMutex::new(&MM_ALL_LOCKS_MUTEX, ("machine", 0)),
            dup_mmap_sem: RwSem::new(&DUP_MMAP_SEM, ("machine", 0)),
            files: Mutex::default(),
            mms: Mutex::default(),
            next_id: AtomicU64::new(1),
        })
    }

    /// Returns the machine for whoever outlives the operation: an interrupt.
    pub(crate) fn arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("who has a reference keeps the machine alive")
    }

    /// Returns a number that nothing else of this machine has.
    pub(crate) fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    /// Makes an empty file of hugetlbfs.
    pub(crate) fn create_hugetlbfs(&self) -> Arc<Inode> {
        let file = Inode::hugetlbfs(self.new_id(), !self.protocol.has(Bug::HugetlbfsInCommonClass));
        self.files.lock().push(file.clone());
        self.model.create(file.id, 0);
        file
    }

    /// Makes a file of shared memory of `pages` zero pages, which gets huge folios where there is room for them or not.
    pub(crate) fn create_shmem(&self, pages: u64, wants_huge: bool) -> Arc<Inode> {
        let file = Inode::shmem(self.new_id(), pages, wants_huge);
        self.files.lock().push(file.clone());
        self.model.create(file.id, pages);
        file
    }

    /// Makes a file of `pages` zero pages.
    pub(crate) fn create(&self, pages: u64) -> Arc<Inode> {
        let file = Inode::new(self.new_id(), pages);
        self.files.lock().push(file.clone());
        self.model.create(file.id, pages);
        file
    }
}
