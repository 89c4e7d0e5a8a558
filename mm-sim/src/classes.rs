//! The lock classes, under the names that the kernel's comments and lockdep give them.
//!
//! The folio lock is a bit lock that the kernel's lockdep cannot see; here it is a class per kind of folio, because a
//! hang through it is as real as any other.

use lockdep::LockClass;

/// A process's address space: the VMA tree and everything below it.
pub static MMAP_LOCK: LockClass = LockClass::new("mm->mmap_lock");
/// One VMA: what a page fault holds instead of the mmap lock.
pub static VM_LOCK: LockClass = LockClass::new("vma->vm_lock");
/// The interval tree of a file's mappings.
pub static I_MMAP_RWSEM: LockClass = LockClass::new("mapping->i_mmap_rwsem");
/// The interval trees of a family of anonymous mappings.
pub static ANON_VMA_RWSEM: LockClass = LockClass::new("anon_vma->rwsem");
/// Page cache contents against truncation.
pub static INVALIDATE_LOCK: LockClass = LockClass::new("mapping.invalidate_lock");
/// A folio of anonymous memory.
pub static FOLIO_LOCK_ANON: LockClass = LockClass::new("folio_lock(anon)");
/// A folio of the page cache.
pub static FOLIO_LOCK_FILE: LockClass = LockClass::new("folio_lock(file)");
/// A folio of a file of shared memory.
pub static FOLIO_LOCK_SHMEM: LockClass = LockClass::new("folio_lock(shmem)");
/// A folio of hugetlbfs.
pub static FOLIO_LOCK_HUGETLB: LockClass = LockClass::new("folio_lock(hugetlb)");
/// Size and contents of a file.
pub static I_RWSEM: LockClass = LockClass::new("inode->i_rwsem");
/// Pseudo lock: being inside reclaim, or being about to wait for it.
pub static FS_RECLAIM: LockClass = LockClass::new("fs_reclaim");
/// The upper page-table levels of a process.
pub static PAGE_TABLE_LOCK: LockClass = LockClass::new("mm->page_table_lock");
/// One table of the PTE level.
pub static PTE_LOCK: LockClass = LockClass::new("pte_lock");
/// One table of the PMD level.
pub static PMD_LOCK: LockClass = LockClass::new("pmd_lock");
/// The tree of a file's cached folios.
pub static I_PAGES: LockClass = LockClass::new("i_pages");
/// Pseudo lock: a transaction of a journaling file system is open.
pub static JBD2_HANDLE: LockClass = LockClass::new("jbd2_handle");
/// The sequence count of a VMA, in the series before the VMA lock.
pub static VM_SEQUENCE: LockClass = LockClass::new("vma->vm_sequence");
/// The processes that want huge pages.
pub static KHUGEPAGED_MM_LOCK: LockClass = LockClass::new("khugepaged_mm_lock");
/// The lists that reclaim takes folios from.
pub static LRU_LOCK: LockClass = LockClass::new("lruvec->lru_lock");

// The page allocator.

/// The free pages of a zone; taken in interrupts too.
pub static ZONE_LOCK: LockClass = LockClass::new("zone->lock");
/// The free pages that one processor keeps at hand; only tried, except by who drains all of them.
pub static PCP_LOCK: LockClass = LockClass::new("pcp->lock");

// Swap.

/// The free clusters of a swap device, and whether it may be used.
pub static SWAP_INFO_LOCK: LockClass = LockClass::new("swap_info->lock");
/// The counts of the slots of one cluster.
pub static SWAP_CLUSTER_LOCK: LockClass = LockClass::new("swap_cluster->lock");
/// The tree of the folios that are in memory and have a slot of the swap device.
pub static SWAP_CACHE: LockClass = LockClass::new("swap_cache");
/// The list of the processes that have something swapped out.
pub static MMLIST_LOCK: LockClass = LockClass::new("mmlist_lock");
/// Turning swap on and off.
pub static SWAPON_MUTEX: LockClass = LockClass::new("swapon_mutex");
/// The list of the shmem files that have something swapped out.
pub static SHMEM_SWAPLIST_MUTEX: LockClass = LockClass::new("shmem_swaplist_mutex");

// Dirty files.

/// The state of a file: whether it is dirty, its counts.
pub static I_LOCK: LockClass = LockClass::new("inode->i_lock");
/// The buffers of a file's folios.
pub static PRIVATE_LOCK: LockClass = LockClass::new("mapping->private_lock");
/// The lists of dirty files.
pub static WB_LIST_LOCK: LockClass = LockClass::new("wb->list_lock");
/// Pseudo lock: being in a system call that writes to a file system, which freezing waits for.
pub static SB_WRITERS: LockClass = LockClass::new("sb_writers");
/// Pseudo lock: the same of a page fault.
pub static SB_PAGEFAULTS: LockClass = LockClass::new("sb_pagefaults");

// Huge folios.

/// The huge folios that are mapped in part only and will be split.
pub static SPLIT_QUEUE_LOCK: LockClass = LockClass::new("split_queue_lock");

// Hugetlb: locks of its own, and classes of its own for the locks that it shares with other files.

/// Size and contents of a hugetlbfs file: taken under the mmap lock, unlike those of its directories.
pub static HUGETLBFS_I_RWSEM: LockClass = LockClass::new("inode->i_rwsem(hugetlbfs)");
/// A directory, of whatever file system.
pub static DIR_I_RWSEM: LockClass = LockClass::new("inode->i_rwsem(directory)");
/// The interval tree of a hugetlbfs file's mappings.
pub static HUGETLBFS_I_MMAP_RWSEM: LockClass = LockClass::new("hugetlbfs i_mmap_rwsem");
/// One page of a hugetlbfs file, while it is faulted in or taken out; hashed by file and index.
pub static HUGETLB_FAULT_MUTEX: LockClass = LockClass::new("hugetlb_fault_mutex");
/// The page tables of one shared mapping of hugetlbfs, which may be shared with other processes.
pub static HUGETLB_VMA_LOCK: LockClass = LockClass::new("hugetlb vma_lock");
/// The counts of the pool of huge pages.
pub static HUGETLB_LOCK: LockClass = LockClass::new("hugetlb_lock");
/// Which pages of a file or of a private mapping are reserved.
pub static RESV_MAP_LOCK: LockClass = LockClass::new("resv_map->lock");
/// The page tables of one private mapping of hugetlbfs.
pub static RESV_MAP_RW_SEMA: LockClass = LockClass::new("resv_map->rw_sema");

// Who else knows a process's memory.
/// Pseudo lock: those who map a process's memory by tables of their own are told that entries are about to change.
pub static MMU_NOTIFIER: LockClass = LockClass::new("mmu_notifier_invalidate_range_start");
/// Who takes all locks of a process's memory at once.
pub static MM_ALL_LOCKS_MUTEX: LockClass = LockClass::new("mm_all_locks_mutex");
/// The page tables of a guest.
pub static KVM_MMU_LOCK: LockClass = LockClass::new("kvm->mmu_lock");
/// A userfaultfd: filling pages against changing mappings.
pub static UFFD_MAP_CHANGING_LOCK: LockClass = LockClass::new("userfaultfd map_changing_lock");
/// Readers of a userfaultfd.
pub static UFFD_FD_WQH: LockClass = LockClass::new("ctx->fd_wqh");
/// Page faults that a userfaultfd has not been told of yet.
pub static UFFD_FAULT_PENDING_WQH: LockClass = LockClass::new("ctx->fault_pending_wqh");
/// Page faults that it has been told of.
pub static UFFD_FAULT_WQH: LockClass = LockClass::new("ctx->fault_wqh");
/// The state of KSM.
pub static KSM_THREAD_MUTEX: LockClass = LockClass::new("ksm_thread_mutex");
/// The list of processes that KSM scans.
pub static KSM_MMLIST_LOCK: LockClass = LockClass::new("ksm_mmlist_lock");
/// One memory failure at a time.
pub static MF_MUTEX: LockClass = LockClass::new("mf_mutex");
/// The list of processes.
pub static TASKLIST_LOCK: LockClass = LockClass::new("tasklist_lock");
/// Memory comes and goes.
pub static MEM_HOTPLUG_LOCK: LockClass = LockClass::new("mem_hotplug_lock");
/// Who is told that memory comes or goes.
pub static MEMORY_CHAIN_RWSEM: LockClass = LockClass::new("memory_chain.rwsem");
/// Processes that fork, against breakpoints that are put into all of them.
pub static DUP_MMAP_SEM: LockClass = LockClass::new("dup_mmap_sem");

// Neighbours of memory management.

/// Who prints now.
pub static CONSOLE_OWNER: LockClass = LockClass::new("console_owner");
/// A serial port.
pub static PORT_LOCK: LockClass = LockClass::new("port->lock");
/// Which processors there are.
pub static CPU_HOTPLUG_LOCK: LockClass = LockClass::new("cpu_hotplug_lock");
/// How many pages processors keep at hand.
pub static PCP_BATCH_HIGH_LOCK: LockClass = LockClass::new("pcp_batch_high_lock");
/// Processes that fork or end, against those that are moved between groups.
pub static CGROUP_THREADGROUP_RWSEM: LockClass = LockClass::new("cgroup_threadgroup_rwsem");
/// Which group a page is counted in.
pub static MEMCG_MOVE_LOCK: LockClass = LockClass::new("memcg->move_lock");
/// The counts of a file of shared memory.
pub static SHMEM_INFO_LOCK: LockClass = LockClass::new("info->lock");
/// How much shared memory users have locked.
pub static SHMLOCK_USER_LOCK: LockClass = LockClass::new("shmlock_user_lock");
/// Pseudo lock: work is running, or somebody waits for it.
pub static WQ_COMPLETION: LockClass = LockClass::new("(wq_completion)events");
/// The compressor of a processor.
pub static ACOMP_CTX_MUTEX: LockClass = LockClass::new("acomp_ctx->mutex");
/// The reservation of a buffer that devices share.
pub static DMA_RESV: LockClass = LockClass::new("reservation_ww_class_mutex");
/// The run queue of a processor.
pub static RQ_LOCK: LockClass = LockClass::new("rq->lock");
/// Whoever is being woken.
pub static PI_LOCK: LockClass = LockClass::new("p->pi_lock");
/// The buffer of a processor for the names of memory groups.
pub static MEMCG_PATHS_LOCK: LockClass = LockClass::new("memcg_paths.lock");
