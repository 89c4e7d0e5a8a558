//! A file's cached folios and its mappings.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use lockdep::LockClass;
use parking_lot::{Mutex, MutexGuard};

use super::{Folio, HUGE_PAGES, Intervals, Shmem};
use crate::{
    classes::{HUGETLBFS_I_MMAP_RWSEM, I_LOCK, I_MMAP_RWSEM, I_PAGES, INVALIDATE_LOCK, PRIVATE_LOCK},
    sched,
    sync::{RwSem, SpinLock},
};

/// The kernel's `struct address_space`.
pub(crate) struct AddressSpace {
    pub(crate) file: u64,
    pub(crate) i_mmap_rwsem: RwSem,
    pub(crate) invalidate_lock: RwSem,
    pub(crate) i_pages: SpinLock,
    /// The lock of the file itself (`mapping->host->i_lock`).
    pub(crate) i_lock: SpinLock,
    /// The lock of the buffers of its folios.
    pub(crate) private_lock: SpinLock,
    pub(crate) i_mmap: Mutex<Intervals>,
    /// What is swapped out of it, if it is one of shared memory.
    pub(crate) shmem: Option<Shmem>,
    cache: Mutex<BTreeMap<u64, Arc<Folio>>>,
    /// The first pages of the dirty folios, under `i_pages`.
    dirty: Mutex<BTreeSet<u64>>,
    /// Whether the file is on the list of writeback, or soon, under `i_lock`.
    is_dirty: AtomicBool,
}

impl AddressSpace {
    pub(crate) fn new(file: u64) -> Arc<Self> {
        Self::with_i_mmap(file, &I_MMAP_RWSEM, None)
    }

    /// That of a file of shared memory.
    pub(crate) fn shmem(file: u64, wants_huge: bool) -> Arc<Self> {
        Self::with_i_mmap(file, &I_MMAP_RWSEM, Some(Shmem::new(file, wants_huge)))
    }

    /// That of a hugetlbfs file. `own_class` is how it has been since 3.11: while it is walked a page table may be
    /// allocated, which nobody may do under the lock of another file.
    pub(crate) fn hugetlbfs(file: u64, own_class: bool) -> Arc<Self> {
        Self::with_i_mmap(file, if own_class { &HUGETLBFS_I_MMAP_RWSEM } else { &I_MMAP_RWSEM }, None)
    }

    fn with_i_mmap(file: u64, class: &'static LockClass, shmem: Option<Shmem>) -> Arc<Self> {
        let owner = ("file", file);
        let i_mmap_rwsem = RwSem::new(class, owner);
        Arc::new(Self {
            file,
            i_mmap: Mutex::new(Intervals::under(&i_mmap_rwsem)),
            i_mmap_rwsem,
            invalidate_lock: RwSem::new(&INVALIDATE_LOCK, owner),
            i_pages: SpinLock::new(&I_PAGES, owner),
            i_lock: SpinLock::new(&I_LOCK, owner),
            private_lock: SpinLock::new(&PRIVATE_LOCK, owner),
            shmem,
            cache: Mutex::default(),
            dirty: Mutex::default(),
            is_dirty: AtomicBool::new(false),
        })
    }

    /// Returns the folio that caches a page, with a reference for the caller. A folio without references is about to be
    /// replaced, taken out or thawed; the page is cached until that is done, so it is waited for (`filemap_get_entry`).
    pub(crate) fn get(&self, index: u64) -> Option<Arc<Folio>> {
        loop {
            {
                // Nobody takes the folio out between the look and the reference.
                let cache = self.cache.lock();
                let folio = at(&cache, index)?;
                if folio.try_get() {
                    return Some(folio.clone());
                }
            }
            // Not only a step: whoever has it frozen goes on even if this actor could run for ever.
            sched::sleep(1);
            sched::step();
        }
    }

    /// The same for who has `i_pages`, for which whoever has the folio frozen may wait: `None` if it is.
    pub(crate) fn get_unless_frozen(&self, index: u64) -> Option<Arc<Folio>> {
        self.peek(index).filter(|folio| folio.try_get())
    }

    /// Returns the folio that caches a page, without a reference: for comparisons only.
    pub(crate) fn peek(&self, index: u64) -> Option<Arc<Folio>> {
        at(&self.cache.lock(), index).cloned()
    }

    /// Adds a folio, unless a page of it is cached already. The cache gets references, one a page.
    pub(crate) fn add(&self, index: u64, folio: &Arc<Folio>) -> bool {
        let _i_pages = self.i_pages.lock_irq();
        let new = self.peek(index).is_none();
        if new {
            folio.get(folio.pages());
            self.locked().insert(index, folio.clone());
        }
        new
    }

    /// Takes a folio out. The caller has `i_pages` and takes over the references of the cache.
    pub(crate) fn remove(&self, index: u64) -> Option<Arc<Folio>> {
        let mut cache = self.locked();
        self.dirty.lock().remove(&index);
        cache.remove(&index)
    }

    /// Puts a folio where another one of the same size was. The caller has `i_pages`.
    pub(crate) fn put_in_place(&self, index: u64, folio: &Arc<Folio>) {
        folio.get(folio.pages());
        self.locked().insert(index, folio.clone());
    }

    /// Replaces the small folios of a huge one. The caller has `i_pages` and takes over their references.
    pub(crate) fn replace(&self, index: u64, huge: &Arc<Folio>) -> Vec<Arc<Folio>> {
        let mut cache = self.locked();
        let old = (index..index + HUGE_PAGES).filter_map(|index| cache.remove(&index)).collect();
        huge.get(huge.pages());
        cache.insert(index, huge.clone());
        old
    }

    /// Puts a page in the place of the part of a huge folio. The caller has `i_pages` and gives its reference.
    pub(crate) fn put_part(&self, index: u64, part: &Arc<Folio>) {
        self.locked().insert(index, part.clone());
    }

    /// Notes that a folio is dirty, if it is still cached and can be written back. The caller has `i_pages`.
    pub(crate) fn tag_dirty(&self, index: u64, folio: &Folio) {
        let is_cached = self.locked().get(&index).is_some_and(|cached| cached.pfn == folio.pfn);
        if is_cached && self.shmem.is_none() {
            self.dirty.lock().insert(index);
        }
    }

    /// Notes that a folio is clean, unless it is dirty again. The caller has `i_pages`.
    pub(crate) fn untag(&self, index: u64, folio: &Folio) {
        let _cache = self.locked();
        if !folio.dirty.load(Relaxed) {
            self.dirty.lock().remove(&index);
        }
    }

    /// Returns whether a folio is noted as dirty: for the invariants.
    pub(crate) fn is_tagged(&self, index: u64) -> bool {
        self.dirty.lock().contains(&index)
    }

    /// Notes whether the file is dirty. The caller has `i_lock`. Returns whether it was.
    pub(crate) fn set_inode_dirty(&self, dirty: bool) -> bool {
        sched::must_hold(self.i_lock.is_mine(), || format!("file {} gets a state without i_lock", self.file));
        self.is_dirty.swap(dirty, Relaxed)
    }

    /// Returns whether the file is dirty.
    pub(crate) fn is_inode_dirty(&self) -> bool {
        self.is_dirty.load(Relaxed)
    }

    /// The cache, for who changes it.
    pub(super) fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Folio>>> {
        sched::must_hold(self.i_pages.is_mine(), || format!("the cache of file {} changes without i_pages", self.file));
        self.cache.lock()
    }

    /// Returns the first page of a range that is cached.
    pub(crate) fn next_cached(&self, pages: &Range<u64>) -> Option<u64> {
        if pages.is_empty() {
            return None;
        }
        let cache = self.cache.lock();
        let before = cache.range(..pages.start).next_back();
        let covers = before.is_some_and(|(&base, folio)| base + folio.pages() > pages.start);
        if covers { Some(pages.start) } else { cache.range(pages.clone()).next().map(|(&base, _)| base) }
    }

    /// Returns the cached folios from `index` on, without references.
    pub(crate) fn from(&self, index: u64) -> Vec<(u64, Arc<Folio>)> {
        let cache = self.cache.lock();
        let overlaps = |(base, folio): &(&u64, &Arc<Folio>)| **base + folio.pages() > index;
        cache.iter().filter(overlaps).map(|(&base, folio)| (base, folio.clone())).collect()
    }
}

/// Returns the folio that caches a page.
fn at(cache: &BTreeMap<u64, Arc<Folio>>, index: u64) -> Option<&Arc<Folio>> {
    let (&base, folio) = cache.range(..=index).next_back()?;
    (index < base + folio.pages()).then_some(folio)
}
