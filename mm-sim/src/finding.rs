//! Findings of the simulator itself: broken invariants, as data.
//!
//! What lockdep finds is a `lockdep::Report`; what the memory model and the invariants find is a [`Finding`]. Both make
//! a run fail. Neighbours: every structure that checks something pushes here through `sched::finding`.

use parking_lot::Mutex;
use serde::Serialize;

/// A rule that holds between any two steps of a run. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Invariant {
    /// A page table is never read or written after it has been freed.
    TableUsedAfterFree,
    /// Page tables are freed only when mmap lock, VMA lock, i_mmap and anon_vma are all excluded or absent.
    TableFreedUnderWalkers,
    /// A page table is freed only when it maps nothing.
    TableFreedNotEmpty,
    /// Page tables are walked only under the mmap lock, the VMA lock, i_mmap or anon_vma.
    WalkUnprotected,
    /// An empty entry is filled only under the mmap lock or the VMA lock.
    InstallUnprotected,
    /// A VMA is changed only under the mmap lock in write mode and, where there is one, the VMA lock.
    VmaChangedUnprotected,
    /// A VMA gets an anon_vma only under the mmap lock.
    AnonVmaUnprotected,
    /// What a lock protects is used or changed only by who holds that lock.
    UsedUnlocked,
    /// A memory policy is never used after it was replaced and freed.
    PolicyUsedAfterFree,
    /// A new page comes from the memory node that the policy of its mapping says, and the pages of the nodes add up.
    WrongNode,
    /// A folio is never used after its last reference is gone.
    FolioUsedAfterFree,
    /// A page is freed only when no processor's TLB leads to it.
    StaleTlb,
    /// A load returns what the memory model says it must.
    WrongRead,
    /// An access gets a signal exactly when the memory model says so.
    WrongSignal,
    /// Nothing sleeps while it holds a spinning lock.
    SleepInAtomic,
    /// Nobody spins for long with interrupts disabled.
    HardLockup,
    /// An actor that ends holds no lock.
    LockHeldAtExit,
    /// A lock is released in the mode it was taken in, by who took it.
    UnlockMismatch,
    /// Map counts, reference counts and RSS agree with the page tables.
    CountMismatch,
    /// The reverse map finds every mapping that the page tables have.
    RmapMismatch,
    /// The counts of the swap device's slots agree with the entries and folios that use them.
    SwapMismatch,
    /// What is dirty is known to be: in the tree of its file, and its file to writeback.
    DirtyLost,
    /// What was cut off or punched out of a file is in its cache no more, before anybody can bring it in again.
    CutButCached,
    /// After everything has ended, all memory is free again.
    Leak,
    /// What is promised of the pool of huge pages is there, and adds up.
    ReservationBroken,
    /// A page table is shared only by mappings that cover all of it, and as many as it counts.
    TableSharedWrongly,
    /// A page that user code has protected, to be told of writes, cannot be written.
    WriteNotTold,
    /// A VMA is not used after it was freed.
    VmaUsedAfterFree,
    /// A lock is freed when nobody has it or waits for it, and not used any more.
    LockUsedAfterFree,
    /// A guest's page tables lead to no page that is freed, and whoever is told that a change begins is told that it ends.
    NotifierMissed,
    /// A pinned folio is neither freed nor replaced under whoever has pinned it, nor shared with a child.
    PinBroken,
    /// The buffers of a folio are neither freed nor moved under whoever uses them, and are dirty when it is.
    BuffersBroken,
    /// The machine stops: every actor waits for another one.
    Deadlock,
    /// Every actor gets to its end.
    NoProgress,
}

impl Invariant {
    /// Returns the stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TableUsedAfterFree => "table-used-after-free",
            Self::TableFreedUnderWalkers => "table-freed-under-walkers",
            Self::TableFreedNotEmpty => "table-freed-not-empty",
            Self::WalkUnprotected => "walk-unprotected",
            Self::InstallUnprotected => "install-unprotected",
            Self::VmaChangedUnprotected => "vma-changed-unprotected",
            Self::AnonVmaUnprotected => "anon-vma-unprotected",
            Self::UsedUnlocked => "used-unlocked",
            Self::PolicyUsedAfterFree => "policy-used-after-free",
            Self::WrongNode => "wrong-node",
            Self::FolioUsedAfterFree => "folio-used-after-free",
            Self::StaleTlb => "stale-tlb",
            Self::WrongRead => "wrong-read",
            Self::WrongSignal => "wrong-signal",
            Self::SleepInAtomic => "sleep-in-atomic",
            Self::HardLockup => "hard-lockup",
            Self::LockHeldAtExit => "lock-held-at-exit",
            Self::UnlockMismatch => "unlock-mismatch",
            Self::CountMismatch => "count-mismatch",
            Self::RmapMismatch => "rmap-mismatch",
            Self::SwapMismatch => "swap-mismatch",
            Self::DirtyLost => "dirty-lost",
            Self::CutButCached => "cut-but-cached",
            Self::Leak => "leak",
            Self::ReservationBroken => "reservation-broken",
            Self::TableSharedWrongly => "table-shared-wrongly",
            Self::WriteNotTold => "write-not-told",
            Self::VmaUsedAfterFree => "vma-used-after-free",
            Self::LockUsedAfterFree => "lock-used-after-free",
            Self::NotifierMissed => "notifier-missed",
            Self::PinBroken => "pin-broken",
            Self::BuffersBroken => "buffers-broken",
            Self::Deadlock => "deadlock",
            Self::NoProgress => "no-progress",
        }
    }
}

/// A broken invariant: which one, who broke it, where in the kernel's code path, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub invariant: Invariant,
    /// The name of the actor.
    pub actor: String,
    /// The operations the actor was in, outermost first.
    pub path: Vec<&'static str>,
    /// What was seen.
    pub text: String,
}

/// The findings of one run, in order; the same one twice in a row is kept once.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<Vec<Finding>>);

impl Findings {
    pub(crate) fn push(&self, finding: Finding) {
        let mut all = self.0.lock();
        if all.last() != Some(&finding) {
            all.push(finding);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn take(&self) -> Vec<Finding> {
        std::mem::take(&mut self.0.lock())
    }
}
