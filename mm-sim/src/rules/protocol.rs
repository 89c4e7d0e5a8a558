//! Which kernel's rules are in force: [`Protocol`], a value that operations ask.
//!
//! The dates and commits are those of the per-VMA lock's history. What a kernel did not decide is not a field here.

use serde::Serialize;

use crate::bug::Bug;

/// How `retract_page_tables` keeps everybody else away from the page table that it frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retract {
    /// i_mmap for writing and the mmap lock by trylock: enough while page faults take the mmap lock (6.1).
    MmapLock,
    /// The same, and then it waits for the VMA lock, under i_mmap (the series of January 2023).
    BlockingVmaLock,
    /// The same, but it only tries the VMA lock (6.4).
    TryVmaLock,
    /// i_mmap for reading, pmd lock and pte lock, and the table is freed after an RCU grace period (6.6).
    PageTableLocks,
}

/// Which page faults on files run under the VMA lock alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFaults {
    /// None: they take the mmap lock (up to 6.5).
    MmapLock,
    /// Only what the page cache has already (6.6).
    FaultAround,
    /// All (6.7).
    VmaLock,
}

/// What a userfaultfd needs the mmap lock for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserfaultLocks {
    /// Everything (up to 6.5).
    MmapLock,
    /// Its system calls; the page faults run under the VMA lock (6.6).
    Faults,
    /// Neither (6.9).
    Ioctls,
}

/// When `mmap` write-locks the VMA that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MmapMark {
    /// Never.
    Never,
    /// Before it takes i_mmap (6.4.3).
    BeforeImap,
    /// While it holds i_mmap (six days of July 2023).
    UnderImap,
}

/// What keeps the page tables of hugetlbfs, which processes may share, in place while they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HugetlbLocking {
    /// i_mmap, held for reading over the whole page fault (5.7 to 6.0).
    Imap,
    /// A lock of the VMA, if it is a shared mapping (6.1).
    SharedVma,
    /// A lock of the VMA; that of a private mapping is the one of its reservations (6.7).
    EveryVma,
}

/// Under which lock a stack grows when a page below it is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackGrowth {
    /// The mmap lock for reading, which the page fault has already (up to 6.4.0).
    MmapReadLock,
    /// The mmap lock for writing, and the VMA is write-locked (6.4.1).
    MmapWriteLock,
}

/// When a VMA that is cut makes its sequence count odd: the series before the VMA lock (speculative page faults, 2017).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmaSequence {
    /// There is none.
    None,
    /// Before it takes i_mmap.
    BeforeImap,
    /// After that.
    AfterImap,
}

/// What lockdep is told of a write-locked VMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// As the kernel tells it: taken and dropped at once.
    Kernel,
    /// As it is: held until the mmap lock is released or downgraded.
    Strict,
}

/// One of the four that must be excluded before a page table is freed; a deliberate mutant forgets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// Page faults and system calls of the process.
    MmapLock,
    /// Page faults that hold nothing but the VMA.
    VmaLock,
    /// Reverse-map walks that come from the file.
    Imap,
    /// Reverse-map walks that come from anonymous folios.
    AnonVma,
}

impl Exclusion {
    /// All four.
    pub const ALL: [Self; 4] = [Self::MmapLock, Self::VmaLock, Self::Imap, Self::AnonVma];

    /// Returns the name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MmapLock => "mmap-lock",
            Self::VmaLock => "vma-lock",
            Self::Imap => "i-mmap",
            Self::AnonVma => "anon-vma",
        }
    }
}

/// The rules of one kernel. Each decision is a switch of the command line too: see `what_if`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Protocol {
    /// What the command line calls it.
    pub name: &'static str,
    /// One line about it.
    pub title: &'static str,
    /// Whether there is a VMA lock.
    pub vma_lock: bool,
    /// How page tables under a collapsed file are freed.
    pub retract: Retract,
    /// Which file faults run under the VMA lock.
    pub file_faults: FileFaults,
    /// When `mmap` write-locks the new VMA.
    pub mmap_mark: MmapMark,
    /// Whether a fork write-locks the VMAs of the parent (6.4.3).
    pub fork_mark: bool,
    /// Whether a PTE table is mapped under RCU and may be gone when it is locked (6.5).
    pub pte_map_under_rcu: bool,
    /// Whether a fault under the VMA lock may prepare an anon_vma, by trying the mmap lock (6.10).
    pub anon_vma_under_vma_lock: bool,
    /// Whether a fault on what is swapped out runs under the VMA lock (6.6).
    pub swap_under_vma_lock: bool,
    /// What keeps page tables of hugetlbfs in place.
    pub hugetlb_locking: HugetlbLocking,
    /// Whether page faults on hugetlbfs run under the VMA lock (6.10).
    pub hugetlb_under_vma_lock: bool,
    /// Under which lock a stack grows.
    pub stack_growth: StackGrowth,
    /// When a VMA that is cut makes its sequence count odd.
    pub vma_sequence: VmaSequence,
    /// Whether memory failure finds processes under RCU instead of `tasklist_lock` (6.7).
    pub memory_failure_rcu: bool,
    /// Whether `mbind` moves pages when it has dropped the mmap lock (6.7).
    pub mbind_migrates_unlocked: bool,
    /// Whether `/proc/PID/maps` is read under one VMA lock after the other (6.17).
    pub maps_under_vma_lock: bool,
    /// Whether khugepaged gives up if a page turns out to be broken while it is copied (6.4).
    pub collapse_recovers: bool,
    /// Whether a fork tells KSM and khugepaged of the child when all is copied, and not first of all (6.12).
    pub fork_enters_lists_last: bool,
    /// Whether reclaim takes a huge folio that ends in its hands off the split queue under `lru_lock` (6.9).
    pub unqueues_under_lru_lock: bool,
    /// Whether a process ends under its mmap lock (not in 5.14 and before).
    pub exit_under_mmap_lock: bool,
    /// What a userfaultfd needs the mmap lock for.
    pub userfault: UserfaultLocks,
    /// What lockdep is told of write-locked VMAs.
    pub view: View,
    /// What `retract_page_tables` forgets: none in any real kernel.
    pub forgets: Option<Exclusion>,
    /// The bug that an operation has.
    pub bug: Option<Bug>,
}

impl Protocol {
    /// Linux 6.1: no VMA lock.
    pub const V6_1: Self = Self {
        name: "6.1",
        title: "Linux 6.1: page faults take the mmap lock",
        vma_lock: false,
        retract: Retract::MmapLock,
        file_faults: FileFaults::MmapLock,
        mmap_mark: MmapMark::Never,
        fork_mark: false,
        pte_map_under_rcu: false,
        anon_vma_under_vma_lock: false,
        swap_under_vma_lock: false,
        hugetlb_locking: HugetlbLocking::SharedVma,
        hugetlb_under_vma_lock: false,
        stack_growth: StackGrowth::MmapReadLock,
        vma_sequence: VmaSequence::None,
        memory_failure_rcu: false,
        mbind_migrates_unlocked: false,
        maps_under_vma_lock: false,
        collapse_recovers: false,
        fork_enters_lists_last: false,
        unqueues_under_lru_lock: false,
        exit_under_mmap_lock: true,
        userfault: UserfaultLocks::MmapLock,
        view: View::Kernel,
        forgets: None,
        bug: None,
    };

    /// Linux 6.0: as 6.1, and page faults on hugetlbfs hold i_mmap.
    pub const V6_0: Self = Self {
        name: "6.0",
        title: "Linux 6.0: as 6.1, but page faults on hugetlbfs hold i_mmap all the time",
        hugetlb_locking: HugetlbLocking::Imap,
        ..Self::V6_1
    };

    /// The per-VMA lock series of January 2023, as posted.
    pub const JAN_2023: Self = Self {
        name: "jan2023",
        title: "the per-VMA lock series of January 2023: retract waits for the VMA lock under i_mmap",
        vma_lock: true,
        retract: Retract::BlockingVmaLock,
        ..Self::V6_1
    };

    /// What the mail foresees: the same series, once file faults run under the VMA lock too.
    pub const JAN_2023_FILE: Self = Self {
        name: "jan2023-file",
        title: "what the mail foresees: the same series, with file faults under the VMA lock",
        file_faults: FileFaults::VmaLock,
        ..Self::JAN_2023
    };

    /// Linux 6.4.0: the series as first released; a fork does not lock the VMAs of the parent.
    pub const V6_4_0: Self = Self {
        name: "6.4.0",
        title: "Linux 6.4.0: as 6.4, but a fork does not lock the VMAs of the parent",
        mmap_mark: MmapMark::Never,
        fork_mark: false,
        stack_growth: StackGrowth::MmapReadLock,
        ..Self::V6_4
    };

    /// Linux 6.4.3: the series as merged, with a trylock.
    pub const V6_4: Self = Self {
        name: "6.4",
        title: "Linux 6.4: retract only tries the VMA lock",
        retract: Retract::TryVmaLock,
        collapse_recovers: true,
        mmap_mark: MmapMark::BeforeImap,
        fork_mark: true,
        stack_growth: StackGrowth::MmapWriteLock,
        ..Self::JAN_2023
    };

    /// Six days of July 2023: `mmap` write-locks the new VMA while it holds i_mmap.
    pub const V6_5_RC0: Self = Self {
        name: "6.5-rc0",
        title: "July 2023: as 6.4, but mmap waits for the lock of the new VMA under i_mmap",
        mmap_mark: MmapMark::UnderImap,
        ..Self::V6_4
    };

    /// Linux 6.6: page tables are freed by RCU.
    pub const V6_6: Self = Self {
        name: "6.6",
        title: "Linux 6.6: retract takes page-table locks only and frees by RCU",
        retract: Retract::PageTableLocks,
        file_faults: FileFaults::FaultAround,
        userfault: UserfaultLocks::Faults,
        pte_map_under_rcu: true,
        swap_under_vma_lock: true,
        ..Self::V6_4
    };

    /// Linux 6.12: file faults under the VMA lock.
    pub const V6_12: Self = Self {
        name: "6.12",
        title: "Linux 6.12: as 6.6, and file faults run under the VMA lock",
        file_faults: FileFaults::VmaLock,
        memory_failure_rcu: true,
        mbind_migrates_unlocked: true,
        userfault: UserfaultLocks::Ioctls,
        anon_vma_under_vma_lock: true,
        fork_enters_lists_last: true,
        unqueues_under_lru_lock: true,
        hugetlb_locking: HugetlbLocking::EveryVma,
        hugetlb_under_vma_lock: true,
        ..Self::V6_6
    };

    /// All of them, by age.
    pub const ALL: [Self; 7] =
        [Self::V6_1, Self::JAN_2023, Self::JAN_2023_FILE, Self::V6_4, Self::V6_5_RC0, Self::V6_6, Self::V6_12];

    /// Returns whether a stack may grow while page faults hold the lock of its VMA, which no kernel got away with for long.
    pub const fn grows_stacks_under_faults(&self) -> bool {
        self.vma_lock && matches!(self.stack_growth, StackGrowth::MmapReadLock)
    }

    /// Returns whether a fork tears what another thread writes meanwhile under a VMA lock, as up to 6.4.2 (V3 of the
    /// catalogue).
    pub const fn tears_forks(&self) -> bool {
        self.vma_lock && !self.fork_mark
    }

    /// Returns whether something waits for a VMA lock under i_mmap.
    pub const fn waits_under_imap(&self) -> bool {
        matches!(self.retract, Retract::BlockingVmaLock) || matches!(self.mmap_mark, MmapMark::UnderImap)
    }

    /// The same with a bug: `retract_page_tables` forgets one of the four.
    #[must_use]
    pub const fn forgetting(self, exclusion: Exclusion) -> Self {
        Self { forgets: Some(exclusion), ..self }
    }

    /// The same with a bug in an operation.
    #[must_use]
    pub const fn with(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    /// Returns whether an operation has this bug.
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The same with another view of write-locked VMAs.
    #[must_use]
    pub const fn with_view(self, view: View) -> Self {
        Self { view, ..self }
    }

    /// Returns the protocol of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name == name)
    }

    /// As [`named`](Self::named), and the one that stands for a few weeks of history and that no command line offers.
    pub(crate) fn of_history(name: &str) -> Option<Self> {
        Self::named(name).or_else(|| (Self::V6_4_0.name == name).then_some(Self::V6_4_0))
    }
}
