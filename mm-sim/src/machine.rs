//! The [`Machine`]: memory, the LRU, the files and processes of one run, and the rules in force.
//!
//! Lock order of an allocation: everything that is held `-> fs_reclaim` (taken and dropped, for lockdep to know that the
//! allocation may have to wait for reclaim), and in direct reclaim `fs_reclaim -> what reclaim takes`.

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
    finding::Invariant,
    mem::{
        FaultMutexes, Folio, FolioKind, HugetlbPool, Inode, Ksm, Level, Lru, Memory, Mm, OutOfMemory, PageTable,
        Poison, SplitQueue, SuperBlock, Swap, Tlb, Vma, Wb, local_node,
    },
    model::Model,
    op::{mmu_notifier, neighbours::Neighbours, reclaim, thp::khugepaged::Khugepaged},
    protocol::Protocol,
    sched,
    stats::Stats,
    sync::{LocklessWalks, Look, PseudoLock, Rcu, RwSem, RwSpinLock, SleepMutex},
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

    /// Allocates a folio of zeros with one reference, on the nearest node.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_folio(&self, kind: FolioKind, pages: u64) -> Result<Arc<Folio>, OutOfMemory> {
        self.alloc_folio_on(local_node(), kind, pages)
    }

    /// Allocates a folio of zeros with one reference, on a node.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_folio_on(&self, node: u8, kind: FolioKind, pages: u64) -> Result<Arc<Folio>, OutOfMemory> {
        self.alloc_pages(pages)?;
        Ok(self.memory.make_folio(kind, pages, node))
    }

    /// Allocates a folio on a node, if that needs no reclaim.
    #[inline(never)]
    pub(crate) fn alloc_folio_nowait(&self, node: u8, kind: FolioKind, pages: u64) -> Result<Arc<Folio>, OutOfMemory> {
        if self.memory.take(pages) { Ok(self.memory.make_folio(kind, pages, node)) } else { Err(OutOfMemory) }
    }

    /// Allocates an empty page table.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_table(&self, level: Level) -> Result<Arc<PageTable>, OutOfMemory> {
        self.alloc_pages(1)?;
        Ok(self.memory.make_table(level))
    }

    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_pages(&self, pages: u64) -> Result<(), OutOfMemory> {
        if sched::is_atomic() {
            sched::finding(Invariant::SleepInAtomic, "an allocation may sleep under a spinning lock".to_owned());
        }
        self.might_reclaim();
        if self.memory.take(pages) {
            return Ok(());
        }
        if sched::in_reclaim() { Err(OutOfMemory) } else { self.alloc_pages_slowpath(pages) }
    }

    /// Tells lockdep that reclaim may have to be waited for here, whether it has or not.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn might_reclaim(&self) {
        if !sched::in_reclaim() {
            self.fs_reclaim.acquire();
            // Reclaim unmaps, and who unmaps tells the others.
            self.mmu_notifier.acquire();
            self.mmu_notifier.release();
            self.fs_reclaim.release();
        }
    }

    #[inline(never)]
    fn alloc_pages_slowpath(&self, pages: u64) -> Result<(), OutOfMemory> {
        for _ in 0..reclaim::RETRIES {
            reclaim::try_to_free_pages(self, pages);
            self.memory.drain_all_pages();
            if self.memory.take(pages) {
                return Ok(());
            }
        }
        Err(OutOfMemory)
    }

    /// Drops references to a folio, and frees it with the last one.
    pub(crate) fn put_folio(&self, folio: &Arc<Folio>, count: u64) {
        if folio.drop_refs(count) {
            self.free_folio(folio);
        }
    }

    /// Frees a folio without references.
    pub(crate) fn free_folio(&self, folio: &Folio) {
        if let Some((mm, page)) = self.tlb.stale(folio.pfn..folio.pfn + folio.pages()) {
            let text =
                format!("folio {} is freed, but a TLB leads to it from page {page:#x} of process {mm}", folio.pfn);
            sched::finding(Invariant::StaleTlb, text);
        }
        mmu_notifier::check_not_mapped(self, folio);
        if folio.kind == FolioKind::Hugetlb {
            folio.set_place(None);
            return self.hugetlb.enqueue(&self.memory, folio);
        }
        self.lru.forget(folio);
        self.split_queue.remove(folio);
        self.neighbours.memcg.uncharge(folio);
        folio.set_place(None);
        self.memory.free_folio(folio);
    }

    /// Frees a table now. The caller has made sure that nobody walks it.
    pub(crate) fn free_table(&self, table: &PageTable) {
        self.memory.free_table(table, sched::path());
    }

    /// Frees a table once everybody who may walk it under RCU has finished.
    pub(crate) fn free_table_rcu(&self, table: Arc<PageTable>) {
        let (memory, by) = (self.memory.clone(), sched::path());
        if sched::forgets(Look::RcuGracePeriod) {
            return memory.free_table(&table, by);
        }
        self.rcu.call(move || memory.free_table(&table, by));
    }

    /// Frees a VMA that nobody finds any more: where there is a VMA lock, once everybody who may look at it under RCU has
    /// finished.
    pub(crate) fn free_vma(&self, vma: &Arc<Vma>) {
        let vma = vma.clone();
        if self.protocol.vma_lock {
            self.rcu.call(move || vma.free());
        } else {
            vma.free();
        }
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
