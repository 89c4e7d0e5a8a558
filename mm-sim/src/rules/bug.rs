//! Deliberate bugs: what an operation forgets or does in the wrong order, where that is no decision of a whole kernel.
//!
//! A [`Protocol`](crate::Protocol) carries at most one. An operation asks for it at the place where history's code went
//! wrong.

use serde::Serialize;

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A bug that an operation has when the protocol says so.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Bug {
            $($(#[$doc])* $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the name on the command line, such as `mincore-under-lock`.
            pub fn name(self) -> String {
                let name = match self {
                    $(Self::$name => stringify!($name),)*
                };
                let lower = |(at, letter): (usize, char)| {
                    let dash = (at > 0 && letter.is_uppercase()).then_some('-');
                    dash.into_iter().chain(letter.to_lowercase())
                };
                name.chars().enumerate().flat_map(lower).collect()
            }

            /// Returns what goes wrong, in a few words.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

bugs! {
    /// `mincore` stores its answer to user memory while it holds the mmap lock (CVE-2006-4814).
    MincoreUnderLock = "mincore copies its answer out under the mmap lock",
    /// `mremap` makes the tables of the new place under the rmap locks.
    TableAllocatedUnderRmapLocks = "mremap allocates page tables under the rmap locks",
    /// `mremap` moves a whole table without the rmap locks.
    TableMovedWithoutRmapLocks = "mremap moves a page table without the rmap locks",
    /// `mremap` does not look again at the PMD entry once it has its lock.
    MovedPmdNotCheckedAgain = "mremap does not check the PMD entry again under its lock",
    /// `mremap` flushes the TLBs only after it has dropped the pte locks.
    FlushAfterPteLock = "mremap flushes the TLBs after it has dropped the pte locks",
    /// `munmap` downgrades the mmap lock although a stack may grow into the gap under it.
    DowngradeBesideStack = "munmap downgrades the mmap lock beside a stack that grows under it",
    /// `mbind` replaces the memory policy of a VMA without its lock.
    PolicyWithoutVmaLock = "mbind replaces a memory policy without the VMA lock",
    /// `remap_file_pages` asks the security module under the mmap lock.
    SecurityHookUnderMmapLock = "remap_file_pages asks the security module under the mmap lock",
    /// `MADV_REMOVE` has the file system punch the hole while it holds the mmap lock.
    HolePunchedUnderMmapLock = "MADV_REMOVE punches the hole under the mmap lock",
    /// Cutting a huge page of a locked mapping asks the reverse map, under i_mmap.
    MunlockUnderImap = "a VMA is cut under i_mmap, and to unlock the pages of a huge page the reverse map is asked",
    /// A DAX page fault holds i_mmap while the file system looks for the block.
    DaxBlockUnderImap = "a DAX page fault asks for the block under i_mmap",
    /// A DAX page fault that copies releases i_mmap in the wrong mode.
    DaxUnlocksAsWriter = "a DAX page fault that copies releases i_mmap for writing",
    /// A page fault looks whether the VMA has an anon_vma before it locks the VMA, and not again.
    AnonVmaCheckedEarly = "a page fault checks the anon_vma before it locks the VMA, only",
    /// khugepaged frees a page table without interrupting those who walk without a lock.
    TableFreedWithoutInterrupt = "khugepaged frees a page table while GUP-fast may walk it",
    /// GUP-fast does not look again at the PMD entry once it has a reference to the page.
    FastPmdNotCheckedAgain = "GUP-fast does not check the PMD entry again",
    /// `UFFDIO_MOVE` read-locks the second VMA as if it were the first.
    MoveLocksNotNested = "UFFDIO_MOVE locks two VMAs without saying that it nests them",
    /// `UFFDIO_MOVE` waits for the mmap lock while it has the first VMA read-locked.
    MoveWaitsForMmapLock = "UFFDIO_MOVE waits for the mmap lock under a VMA lock",
    /// `collapse_pte_mapped_thp` lets go of the pte lock before it takes the pmd lock, where userfaultfd may fill the table.
    PmdLockAfterPteLock = "collapse_pte_mapped_thp takes the pmd lock only after it has dropped the pte lock",
    /// Files of hugetlbfs have their i_mmap in the class of all other files (up to 3.10).
    HugetlbfsInCommonClass = "hugetlbfs has no class of its own for i_mmap",
    /// `fork` links a VMA of hugetlbfs into i_mmap before it has its lock (CVE-2024-27022).
    HugetlbLockAfterImap = "fork publishes a hugetlb VMA before it has its lock",
    /// `madvise(MADV_DONTNEED)` takes the hugetlb lock away from the VMA, as if it ended.
    DontneedFreesHugetlbLock = "MADV_DONTNEED frees the hugetlb lock of the VMA",
    /// `hugetlb_wp` takes the fault mutex again while it has the folio of the page cache locked.
    FolioLockedAcrossFaultMutex = "hugetlb_wp waits for the fault mutex with a folio locked",
    /// Unmapping takes i_mmap before the hugetlb lock of the VMA.
    HugetlbZapReversed = "unmapping takes i_mmap before the hugetlb lock of the VMA",
    /// A page fault drops the VMA lock and then unlocks the hugetlb lock of that VMA.
    VmaUsedAfterUnlock = "a hugetlb fault uses the VMA after it has dropped the VMA lock",
    /// A VMA of hugetlbfs has its page tables unshared before the locks for the cut are taken.
    UnsharedBeforeSplit = "split_vma unshares page tables before it has locked the VMA",
    /// Moving a huge page waits for i_mmap while it has the folio locked (5.0-rc).
    MigrationWaitsForImap = "hugetlb migration waits for i_mmap under the folio lock",
    /// Directories have their inode lock in the class of the files of hugetlbfs (up to 3.0).
    DirectoryInFileClass = "directories and hugetlbfs files share the class of the inode lock",
    /// The sockets of the network block device are of the class of everybody's.
    NbdSocketInCommonClass = "sockets of nbd share the class of the sockets of user code",
    /// `mm_take_all_locks` takes i_mmap of all files in the order of their mappings (up to 4.4).
    AllLocksInVmaOrder = "mm_take_all_locks takes i_mmap in the order of the mappings",
    /// `write` copies from user memory, and may fault, while it has the folio locked.
    WriteFaultsUnderFolioLock = "write takes page faults under the folio lock",
    /// `exit_mmap` frees page tables without the mmap lock, beside who reaps the process.
    ExitFreesTablesUnlocked = "exit_mmap frees page tables without the mmap lock",
    /// Reading `/proc/PID/maps` VMA by VMA does not let go of a VMA that has changed.
    MapsKeepVmaLock = "/proc/PID/maps keeps a VMA read-locked that has changed meanwhile",
    /// Memory going offline keeps KSM's mutex from one message to the next.
    OfflineKeepsKsmMutex = "memory offlining holds ksm_thread_mutex while others are told",
    /// The shrinker that splits huge folios waits for their locks.
    ShrinkerWaitsForFolioLock = "the shrinker of huge folios waits for folio locks",
    /// `shmem_lock` takes `shmlock_user_lock` under `info->lock`, and others hold it with interrupts on.
    ShmlockWithIrqsOn = "shmlock_user_lock is taken under info->lock, and elsewhere with interrupts on",
    /// The wait queues of userfaultfd are locked with interrupts on.
    UffdQueuesWithIrqsOn = "the wait queues of userfaultfd are locked with interrupts on",
    /// Something is printed under the lock of a zone.
    PrintsUnderZoneLock = "memory offlining prints under zone->lock",
    /// The counts of a process's pages are moved under `cgroup_threadgroup_rwsem`.
    ChargesMovedUnderThreadgroup = "charges are moved, under the mmap lock, inside cgroup_threadgroup_rwsem",
    /// A charge that fails waits for the victim with whatever is held.
    OomWaitsUnderLocks = "a charge waits for the victim of the OOM killer where it is",
    /// `mlock` waits for work on all processors under the mmap lock.
    DrainsUnderMmapLock = "mlock waits for lru_add_drain_all under the mmap lock",
    /// A huge page is dissolved while the lists of all processors are off.
    DissolvesUnderPcpLock = "a broken huge page is dissolved under pcp_batch_high_lock",
    /// zswap allocates the buffers of a new processor under its mutex.
    ZswapAllocatesUnderMutex = "zswap allocates under acomp_ctx->mutex",
    /// A file system copies to user memory while it holds locks that a page fault may need.
    FsCopiesUnderLocks = "a file system copies to user memory under its locks",
    /// Migration takes pages out of a stack that `execve` is about to move, where nobody will find them.
    TemporaryStackMigrated = "migration takes pages of a stack that execve moves meanwhile",
    /// A trace point of the mmap lock holds the buffer for the group's name while it tells the listeners.
    TracePathUnderLock = "tracing the mmap lock keeps a buffer locked while listeners are told",
    /// A batch of folios that are being moved waits for the lock of one with others locked.
    BatchWaitsForFolio = "a batch of migration waits for a folio lock while it holds others",
    /// `retract_page_tables` does not look whether the process ends, once it has the mmap lock.
    EndingProcessRetracted = "retract_page_tables frees page tables of a process that ends",
}
