//! A virtual memory area and its lock.
//!
//! A writer marks the VMA: it takes the lock for a moment to wait for readers, notes the sequence number of the mm, and
//! lets go; the mark lasts until the mmap lock is released or downgraded, which moves the number on. A reader (a page
//! fault) only ever tries. So lockdep sees what leads to a writer and what a reader leads to, and nothing a marked VMA
//! leads to, unless the protocol asks for the strict view, which keeps the record of the first mark.

use std::{
    ops::Range,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use lockdep::{Acquire, LockMap};
use parking_lot::Mutex;

use super::{AnonVma, Folio, HugetlbVma, Inode, Mm, PAGE_SIZE, Policy, Userfaultfd, VmFlags};
use crate::{
    classes::{VM_LOCK, VM_SEQUENCE},
    finding::Invariant,
    protocol::{StackGrowth, View, VmaSequence},
    sched,
    sync::{Look, ReadGuard, RwSem},
};

/// A range of addresses with one backing.
pub(crate) struct Vma {
    pub(crate) id: u64,
    pub(crate) mm: Weak<Mm>,
    pub(crate) file: Option<Arc<Inode>>,
    pub(crate) anon_vma: Mutex<Option<Arc<AnonVma>>>,
    /// The anon_vmas whose interval trees this VMA is in.
    pub(crate) anon_vma_chain: Mutex<Vec<Arc<AnonVma>>>,
    pub(crate) lock: RwSem,
    /// Not in the VMA tree any more (from 6.4 on).
    pub(crate) detached: AtomicBool,
    /// In the interval tree of its file.
    pub(crate) is_file_linked: AtomicBool,
    /// What it has besides if it is one of hugetlbfs.
    pub(crate) hugetlb: HugetlbVma,
    is_freed: AtomicBool,
    /// What speculative page faults looked at.
    sequence: LockMap,
    flags: Mutex<VmFlags>,
    policy: Mutex<Option<Arc<Policy>>>,
    uffd: Mutex<Option<Arc<Userfaultfd>>>,
    start: AtomicU64,
    end: AtomicU64,
    pgoff: AtomicU64,
    seq: AtomicU64,
}

impl Vma {
    /// A VMA that is in no tree yet. `pgoff` is the offset of its first page, in pages.
    pub(crate) fn new(
        id: u64,
        mm: &Arc<Mm>,
        range: Range<u64>,
        pgoff: u64,
        flags: VmFlags,
        file: Option<Arc<Inode>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            mm: Arc::downgrade(mm),
            file,
            anon_vma: Mutex::default(),
            anon_vma_chain: Mutex::default(),
            lock: RwSem::new(&VM_LOCK, ("vma", id)),
            detached: AtomicBool::new(false),
            is_file_linked: AtomicBool::new(false),
            hugetlb: HugetlbVma::default(),
            is_freed: AtomicBool::new(false),
            sequence: LockMap::new_in(&VM_SEQUENCE),
            flags: Mutex::new(flags),
            policy: Mutex::default(),
            uffd: Mutex::default(),
            start: AtomicU64::new(range.start),
            end: AtomicU64::new(range.end),
            pgoff: AtomicU64::new(pgoff),
            seq: AtomicU64::new(0),
        })
    }

    /// A VMA of the same sort for another range, in no tree yet.
    pub(crate) fn like(&self, id: u64, mm: &Arc<Mm>, range: Range<u64>, pgoff: u64) -> Arc<Self> {
        let copy = Self::new(id, mm, range, pgoff, self.flags(), self.file.clone());
        *copy.policy.lock() = self.policy().map(|policy| Arc::new(Policy::new(policy.node)));
        *copy.uffd.lock() = self.uffd();
        copy
    }

    /// Returns the memory policy, without a reference: for as long as the VMA stays in place.
    pub(crate) fn policy(&self) -> Option<Arc<Policy>> {
        self.policy.lock().clone()
    }

    /// Replaces the memory policy, and frees the old one. The VMA is write-locked.
    pub(crate) fn replace_policy(&self, policy: Option<Arc<Policy>>) {
        self.check_write_locked("gets another memory policy");
        if let Some(old) = std::mem::replace(&mut *self.policy.lock(), policy) {
            old.free();
        }
    }

    /// Checks that a page that is new here comes from the node that the policy says: it cannot have been replaced since it
    /// was asked.
    pub(crate) fn check_node(&self, folio: &Folio) {
        if let Some(policy) = self.policy().filter(|policy| policy.node != folio.node) {
            let text =
                format!("vma {} gets a page of node {}, but node {} is wanted", self.id, folio.node, policy.node);
            sched::finding(Invariant::WrongNode, text);
        }
    }

    /// Returns whether its pages are huge ones of hugetlbfs.
    pub(crate) fn is_hugetlb(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.hugetlb.is_some())
    }

    /// It is freed now.
    pub(crate) fn free(&self) {
        self.is_freed.store(true, Relaxed);
    }

    /// Checks that it has not been freed.
    pub(crate) fn check_not_freed(&self, what: &str) {
        if self.is_freed.load(Relaxed) {
            sched::finding(Invariant::VmaUsedAfterFree, format!("vma {} {what} after it was freed", self.id));
        }
    }

    pub(crate) fn flags(&self) -> VmFlags {
        *self.flags.lock()
    }

    /// What a child does not get: locked memory, userfaultfd. It is in no tree yet.
    pub(crate) fn init_for_fork(&self) {
        let flags = self.flags();
        *self.flags.lock() = VmFlags { locked: false, uffd_missing: false, uffd_wp: false, uffd_minor: false, ..flags };
        *self.uffd.lock() = None;
    }

    /// Changes the flags. The VMA is write-locked.
    pub(crate) fn set_flags(&self, flags: VmFlags) {
        self.check_write_locked("gets new flags");
        *self.flags.lock() = flags;
    }

    /// Returns who brings its pages in.
    pub(crate) fn uffd(&self) -> Option<Arc<Userfaultfd>> {
        self.uffd.lock().clone()
    }

    /// Changes who brings its pages in. The VMA is write-locked, or in no tree yet.
    pub(crate) fn set_uffd(&self, ctx: Option<Arc<Userfaultfd>>) {
        self.check_write_locked("gets another userfaultfd");
        *self.uffd.lock() = ctx;
    }

    pub(crate) fn range(&self) -> Range<u64> {
        self.start.load(Relaxed)..self.end.load(Relaxed)
    }

    /// Returns what the kernel does with the sequence counts of VMAs.
    pub(crate) fn vma_sequence(&self) -> VmaSequence {
        self.mm.upgrade().map_or(VmaSequence::None, |mm| mm.protocol.vma_sequence)
    }

    /// Makes the sequence count odd, if the kernel has one.
    #[track_caller]
    pub(crate) fn write_sequence(self: &Arc<Self>, has_one: bool) -> Option<SequenceGuard> {
        has_one.then(|| {
            self.sequence.acquire(Acquire::exclusive());
            SequenceGuard(self.clone())
        })
    }

    /// Returns how many pages it has.
    pub(crate) fn pages(&self) -> u64 {
        let range = self.range();
        (range.end - range.start) / PAGE_SIZE
    }

    /// Returns the page offsets it covers.
    pub(crate) fn pgoffs(&self) -> Range<u64> {
        let (range, pgoff) = (self.range(), self.pgoff.load(Relaxed));
        pgoff..pgoff + (range.end - range.start) / PAGE_SIZE
    }

    /// Returns the page offset of an address.
    pub(crate) fn pgoff_of(&self, addr: u64) -> u64 {
        self.pgoff.load(Relaxed) + (addr - self.range().start) / PAGE_SIZE
    }

    /// Returns the addresses at which it maps some of these page offsets.
    pub(crate) fn addrs_of(&self, pgoffs: &Range<u64>) -> Range<u64> {
        let mine = self.pgoffs();
        let (first, last) = (pgoffs.start.max(mine.start), pgoffs.end.min(mine.end).max(mine.start));
        let addr = |pgoff: u64| self.range().start + (pgoff.max(mine.start) - mine.start) * PAGE_SIZE;
        addr(first.min(last))..addr(last)
    }

    /// Moves the borders. The VMA is in no interval tree meanwhile.
    pub(crate) fn set_range(&self, range: Range<u64>, pgoff: u64) {
        self.check_write_locked("gets new borders");
        self.start.store(range.start, Relaxed);
        self.end.store(range.end, Relaxed);
        self.pgoff.store(pgoff, Relaxed);
    }

    /// Moves the start down. Where a stack grows under the mmap lock in read mode, anon_vma and the page_table_lock keep others
    /// that grow it away, and those who walk the reverse map; who holds its VMA lock would not be kept away.
    pub(crate) fn grow_down(&self, start: u64) {
        let Some(mm) = self.mm.upgrade() else { return };
        match mm.protocol.stack_growth {
            StackGrowth::MmapWriteLock => self.check_write_locked("grows"),
            StackGrowth::MmapReadLock => self.check_grows_under_read_lock(&mm),
        }
        let pages = (self.range().start - start) / PAGE_SIZE;
        self.start.store(start, Relaxed);
        self.pgoff.fetch_sub(pages, Relaxed);
    }

    fn check_grows_under_read_lock(&self, mm: &Mm) {
        let by_anon = self.anon_vma.lock().as_ref().is_some_and(|anon_vma| anon_vma.rwsem().is_mine_to_write());
        if !(mm.mmap_lock.is_mine() && by_anon && mm.page_table_lock.is_mine()) || mm.protocol.vma_lock {
            let text = format!("vma {} grows, and page faults that hold it are not kept away", self.id);
            sched::finding(Invariant::VmaChangedUnprotected, text);
        }
    }

    /// Checks that this actor has write-locked it, and that no reader is left.
    pub(crate) fn check_write_locked(&self, what: &str) {
        let Some(mm) = self.mm.upgrade() else { return };
        let no_readers = || !mm.protocol.vma_lock || sched::settles(|| !self.lock.is_held_by_others());
        if !(mm.mmap_lock.is_mine_to_write() && self.is_marked_if_any(&mm) && no_readers()) {
            sched::finding(
                Invariant::VmaChangedUnprotected,
                format!("vma {} {what} without being write-locked", self.id),
            );
        }
    }

    /// Tries to read-lock it: the way a page fault takes it, under RCU.
    #[track_caller]
    pub(crate) fn start_read(self: &Arc<Self>, mm: &Mm) -> Option<VmaReadGuard> {
        if self.is_marked(mm) {
            return None;
        }
        let guard = self.lock.try_read()?;
        // A writer that came between the two looks has marked it without our noticing.
        (!self.is_marked(mm) || sched::forgets(Look::VmaSequenceAgain))
            .then(|| VmaReadGuard { vma: self.clone(), _guard: guard })
    }

    /// Read-locks it for a caller who has the mmap lock, so that no writer comes in between. `level` is 1 for the second one.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn start_read_locked(self: &Arc<Self>, mm: &Mm, level: u8) -> VmaReadGuard {
        let holds = mm.mmap_lock.is_mine();
        sched::must_hold(holds, || format!("vma {} is waited for without the mmap lock", self.id));
        VmaReadGuard { vma: self.clone(), _guard: self.lock.read_nested(level) }
    }

    /// Returns whether a writer has marked it.
    pub(crate) fn is_marked(&self, mm: &Mm) -> bool {
        self.seq.load(Relaxed) == mm.seq()
    }

    /// Returns whether a writer has marked it, or the protocol knows no VMA lock.
    pub(crate) fn is_marked_if_any(&self, mm: &Mm) -> bool {
        !mm.protocol.vma_lock || self.is_marked(mm)
    }

    /// Marks it, after waiting for its readers. The caller holds the mmap lock in write mode.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn vma_start_write(self: &Arc<Self>, mm: &Mm) {
        if self.is_marked_if_any(mm) {
            return;
        }
        let strict = mm.protocol.view == View::Strict;
        if strict {
            mm.first_mark().iter().for_each(|first| first.lock.map().release());
        }
        let guard = self.lock.write();
        self.mark(mm);
        drop(guard);
        if strict {
            mm.keep_first_mark(self).lock.map().acquire(Acquire::exclusive().trylock());
        }
    }

    /// Marks it, unless that would wait for a reader.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn vma_try_start_write(self: &Arc<Self>, mm: &Mm) -> bool {
        if self.is_marked_if_any(mm) {
            return true;
        }
        let guard = self.lock.try_write();
        if guard.is_some() {
            self.mark(mm);
        }
        guard.is_some()
    }

    /// Notes that it leaves the VMA tree. Its readers must be gone, so a writer must have marked it.
    pub(crate) fn mark_detached(&self, mm: &Mm) {
        if !(mm.is_mine_alone() && self.is_marked_if_any(mm)) {
            let text = format!("vma {} leaves the tree without being write-locked", self.id);
            sched::finding(Invariant::VmaChangedUnprotected, text);
        }
        self.detached.store(true, Relaxed);
    }

    fn mark(&self, mm: &Mm) {
        if !mm.mmap_lock.is_mine_to_write() {
            let text = format!("vma {} is write-locked without the mmap lock", self.id);
            sched::finding(Invariant::VmaChangedUnprotected, text);
        }
        let is_ours = self.lock.is_mine_to_write();
        sched::must_hold(is_ours, || format!("vma {} is marked although its readers have not ended", self.id));
        self.seq.store(mm.seq(), Relaxed);
    }
}

/// The sequence count of a VMA is odd while this lives.
#[must_use]
pub(crate) struct SequenceGuard(Arc<Vma>);

impl Drop for SequenceGuard {
    fn drop(&mut self) {
        self.0.sequence.release();
    }
}

/// Holds a VMA for reading.
#[must_use]
pub(crate) struct VmaReadGuard {
    pub(crate) vma: Arc<Vma>,
    _guard: ReadGuard,
}
