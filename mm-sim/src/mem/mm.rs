//! A process's address space: the mmap lock, the VMA tree, the root of the page tables.

use std::{
    collections::BTreeMap,
    ops::{Deref, Range},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{Ending, PageTable, SecondaryMmu, Slot, Vma};
use crate::{
    classes::{MMAP_LOCK, PAGE_TABLE_LOCK},
    protocol::Protocol,
    sched,
    sync::{ReadGuard, RwSem, SpinLock, WriteGuard},
};

/// The kernel's `struct mm_struct`.
pub(crate) struct Mm {
    pub(crate) id: u64,
    pub(crate) protocol: Protocol,
    pub(crate) mmap_lock: RwSem,
    pub(crate) page_table_lock: SpinLock,
    pub(crate) pgd: Arc<PageTable>,
    pub(crate) vmas: Mutex<BTreeMap<u64, Arc<Vma>>>,
    /// Processes that use it; 0 once it exits.
    pub(crate) users: AtomicI64,
    /// Who ends it, if that takes no mmap lock.
    pub(crate) ending: Ending,
    /// Pages mapped.
    pub(crate) rss: AtomicI64,
    /// Pages on the swap device.
    pub(crate) swaps: AtomicI64,
    /// Page tables, the root included.
    pub(crate) tables: AtomicI64,
    /// On khugepaged's list.
    pub(crate) wants_huge_pages: AtomicBool,
    /// On the list of those that KSM scans (the kernel's `MMF_VM_MERGEABLE`); set under the mmap lock.
    pub(crate) is_mergeable: AtomicBool,
    /// Pages of VMAs that are locked in memory.
    pub(crate) locked_vm: AtomicI64,
    /// The size of the heap.
    pub(crate) heap_pages: AtomicU64,
    /// It never runs again.
    pub(crate) is_killed: AtomicBool,
    /// Its memory is given back by who ends it (the kernel's `MMF_OOM_SKIP`).
    pub(crate) skip_oom: AtomicBool,
    /// Odd while a fork makes pages read-only.
    pub(crate) write_protect_seq: AtomicU64,
    /// Who is told before entries change.
    pub(crate) notifiers: Mutex<Vec<Arc<SecondaryMmu>>>,
    seq: AtomicU64,
    first_mark: Mutex<Option<Arc<Vma>>>,
}

impl Mm {
    pub(crate) fn new(id: u64, protocol: Protocol, pgd: Arc<PageTable>) -> Arc<Self> {
        let owner = ("process", id);
        Arc::new(Self {
            id,
            protocol,
            mmap_lock: RwSem::new(&MMAP_LOCK, owner),
            page_table_lock: SpinLock::new(&PAGE_TABLE_LOCK, owner),
            pgd,
            vmas: Mutex::default(),
            users: AtomicI64::new(1),
            ending: Ending::default(),
            rss: AtomicI64::new(0),
            swaps: AtomicI64::new(0),
            tables: AtomicI64::new(1),
            wants_huge_pages: AtomicBool::new(false),
            is_mergeable: AtomicBool::new(false),
            locked_vm: AtomicI64::new(0),
            heap_pages: AtomicU64::new(0),
            is_killed: AtomicBool::new(false),
            skip_oom: AtomicBool::new(false),
            write_protect_seq: AtomicU64::new(0),
            notifiers: Mutex::default(),
            seq: AtomicU64::new(1),
            first_mark: Mutex::default(),
        })
    }

    /// Returns the number that the mark of a write-locked VMA carries.
    pub(crate) fn seq(&self) -> u64 {
        self.seq.load(Relaxed)
    }

    /// Returns whether this actor keeps the address space as it is: it has the mmap lock, or needs none because it ends the
    /// process.
    pub(crate) fn is_mine(&self) -> bool {
        self.mmap_lock.is_mine() || self.ending.is_mine()
    }

    /// Returns whether nobody else can be using the address space under the mmap lock, or as the one who ends the process.
    pub(crate) fn is_mine_alone(&self) -> bool {
        self.ending.is_mine() || self.mmap_lock.is_mine_to_write() && !self.ending.is_of_others()
    }

    /// Tells lockdep that the mmap lock may be taken here, by a page fault, whether there is one or not.
    #[track_caller]
    pub(crate) fn might_fault(&self) {
        self.mmap_lock.might_read();
    }

    /// Takes the mmap lock for writing.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn mmap_write_lock(self: &Arc<Self>) -> MmapWrite {
        MmapWrite { mm: self.clone(), guard: Some(self.mmap_lock.write()) }
    }

    /// Takes the mmap lock for writing while another one is held: a fork.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn mmap_write_lock_nested(self: &Arc<Self>, subclass: u8) -> MmapWrite {
        MmapWrite { mm: self.clone(), guard: Some(self.mmap_lock.write_nested(subclass)) }
    }

    /// Takes the mmap lock for writing, unless that would wait.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn mmap_write_trylock(self: &Arc<Self>) -> Option<MmapWrite> {
        let guard = self.mmap_lock.try_write()?;
        Some(MmapWrite { mm: self.clone(), guard: Some(guard) })
    }

    /// Deposits a table of this process beside a huge page.
    pub(crate) fn deposit(&self, pmd: &Slot, table: Arc<PageTable>) {
        self.tables.fetch_add(1, Relaxed);
        pmd.table.deposit(table);
    }

    /// Counts pages that are locked in memory from now on, or no more.
    pub(crate) fn account_locked(&self, pages: i64) {
        let holds = self.mmap_lock.is_mine_to_write() || self.page_table_lock.is_mine();
        sched::must_hold(holds, || format!("locked memory of process {} is counted without the mmap lock", self.id));
        self.locked_vm.fetch_add(pages, Relaxed);
    }

    /// Sets the size of the heap.
    pub(crate) fn set_heap_pages(&self, pages: u64) {
        let holds = self.mmap_lock.is_mine_to_write();
        sched::must_hold(holds, || format!("the heap of process {} changes without the mmap lock", self.id));
        self.heap_pages.store(pages, Relaxed);
    }

    /// Returns the VMA that has the address.
    pub(crate) fn find(&self, addr: u64) -> Option<Arc<Vma>> {
        // Under RCU, where nobody sleeps, a VMA that is found may be gone a moment later; who does so looks again.
        self.check_tree(self.is_mine() || sched::is_atomic(), "read");
        let vmas = self.vmas.lock();
        let (_, vma) = vmas.range(..=addr).next_back()?;
        vma.range().contains(&addr).then(|| vma.clone())
    }

    /// Returns the VMA that has the address, or the first one above it.
    pub(crate) fn find_from(&self, addr: u64) -> Option<Arc<Vma>> {
        self.find(addr).or_else(|| self.vmas.lock().range(addr..).next().map(|(_, vma)| vma.clone()))
    }

    /// Returns the VMAs that overlap the range, in order.
    pub(crate) fn find_all(&self, range: &Range<u64>) -> Vec<Arc<Vma>> {
        self.check_tree(self.is_mine(), "read");
        let vmas = self.vmas.lock();
        let before = vmas.range(..range.start).next_back().filter(|(_, vma)| vma.range().end > range.start);
        before.into_iter().chain(vmas.range(range.clone())).map(|(_, vma)| vma.clone()).collect()
    }

    /// Returns all VMAs, in order.
    pub(crate) fn all(&self) -> Vec<Arc<Vma>> {
        self.check_tree(self.is_mine(), "read");
        self.vmas.lock().values().cloned().collect()
    }

    /// Puts a VMA into the tree.
    pub(crate) fn insert(&self, vma: &Arc<Vma>) {
        self.check_tree(self.mmap_lock.is_mine_to_write(), "changed");
        self.vmas.lock().insert(vma.range().start, vma.clone());
    }

    /// Lets a VMA of the tree start lower.
    pub(crate) fn grow_down(&self, vma: &Arc<Vma>, start: u64) {
        let mut vmas = self.vmas.lock();
        vmas.remove(&vma.range().start);
        vma.grow_down(start);
        vmas.insert(start, vma.clone());
    }

    /// Takes a VMA out of the tree.
    pub(crate) fn remove(&self, vma: &Vma) {
        self.check_tree(self.mmap_lock.is_mine_to_write(), "changed");
        self.vmas.lock().remove(&vma.range().start);
    }

    fn check_tree(&self, holds: bool, what: &str) {
        sched::must_hold(holds, || format!("the VMA tree of process {} is {what} without the mmap lock", self.id));
    }

    /// Returns the gap around a range that is not in the tree: the end of the VMA before, the start of the one after.
    pub(crate) fn gap_around(&self, range: &Range<u64>) -> Range<u64> {
        let vmas = self.vmas.lock();
        let floor = vmas.range(..range.start).next_back().map_or(0, |(_, vma)| vma.range().end);
        let ceiling = vmas.range(range.end..).next().map_or(u64::MAX, |(&start, _)| start);
        floor..ceiling
    }

    /// Returns the first VMA marked since the mmap lock was taken, if the strict view keeps its record.
    pub(super) fn first_mark(&self) -> Option<Arc<Vma>> {
        self.first_mark.lock().clone()
    }

    /// Returns the first marked VMA, which is `vma` if there was none.
    pub(super) fn keep_first_mark(&self, vma: &Arc<Vma>) -> Arc<Vma> {
        self.first_mark.lock().get_or_insert_with(|| vma.clone()).clone()
    }

    /// Ends all marks at once.
    fn vma_end_write_all(&self) {
        if let Some(first) = self.first_mark.lock().take() {
            first.lock.map().release();
        }
        self.seq.fetch_add(1, Relaxed);
    }
}

/// Holds the mmap lock for writing, and with it the marks of the VMAs.
#[must_use]
pub(crate) struct MmapWrite {
    mm: Arc<Mm>,
    guard: Option<WriteGuard>,
}

impl MmapWrite {
    /// Goes on as a reader; the marks end.
    pub(crate) fn downgrade(mut self) -> ReadGuard {
        self.mm.vma_end_write_all();
        self.guard.take().expect("only downgrade and drop take it, and both end the guard").downgrade()
    }
}

impl Deref for MmapWrite {
    type Target = Arc<Mm>;

    fn deref(&self) -> &Arc<Mm> {
        &self.mm
    }
}

impl Drop for MmapWrite {
    fn drop(&mut self) {
        if self.guard.is_some() {
            self.mm.vma_end_write_all();
        }
    }
}
