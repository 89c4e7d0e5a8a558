//! A file's cached folios and its mappings.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use lockdep::LockClass;
use parking_lot::{Mutex, MutexGuard};

use super::{Folio, HUGE_PAGES, Intervals, Shmem};
use crate::{
    classes::{HUGETLBFS_I_MMAP_RWSEM, I_LOCK, I_MMAP_RWSEM, I_PAGES, INVALIDATE_LOCK, PRIVATE_LOCK},
    finding::Invariant,
    sched,
    sync::{Look, RwSem, SpinLock},
};

/// The cached folios by their first pages.
pub(super) type Cache = BTreeMap<u64, Arc<Folio>>;

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
    cache: Mutex<Cache>,
    /// The first pages of the dirty folios, under `i_pages`, with the number of the last writeback that had begun when they became
    /// dirty.
    dirty: Mutex<BTreeMap<u64, u64>>,
    /// How many writebacks have begun, under `i_pages`.
    writebacks: AtomicU64,
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
            writebacks: AtomicU64::new(0),
            is_dirty: AtomicBool::new(false),
        })
    }

    /// Returns the folio that caches a page, with a reference for the caller, once nobody has it frozen (`filemap_get_entry`).
    pub(crate) fn get(&self, index: u64) -> Option<Arc<Folio>> {
        self.check_may_wait();
        loop {
            match self.try_get(|cache| first_in(cache, &(index..index + 1))) {
                Ok(found) => return found.map(|(_, folio)| folio),
                Err(_) => wait_for_thaw(),
            }
        }
    }

    /// The same for who must not wait: `None` if somebody has it frozen.
    pub(crate) fn get_unless_frozen(&self, index: u64) -> Option<Arc<Folio>> {
        let found = self.try_get(|cache| first_in(cache, &(index..index + 1)));
        found.ok().flatten().map(|(_, folio)| folio)
    }

    /// Returns the first folio that caches a page of a range, and the first page of that folio, with a reference for the
    /// caller. This is how a walk goes on (`find_get_entries`): a folio that is frozen is looked at again, because there will be
    /// another one in its place, or parts of it, or it will be there still.
    pub(crate) fn next(&self, pages: &Range<u64>) -> Option<(u64, Arc<Folio>)> {
        self.walk(pages.start, |cache, from| first_in(cache, &(from..pages.end)))
    }

    /// The same of the folios from a page on that were dirty when the writeback of this number began
    /// (`filemap_get_folios_tag`).
    pub(crate) fn next_to_write(&self, from: u64, number: u64) -> Option<(u64, Arc<Folio>)> {
        self.walk(from, |cache, from| {
            let index = first_before(&self.dirty.lock(), from, number)?;
            Some((index, cache.get(&index)?))
        })
    }

    fn walk(
        &self,
        mut from: u64,
        find: impl for<'c> Fn(&'c Cache, u64) -> Option<(u64, &'c Arc<Folio>)>,
    ) -> Option<(u64, Arc<Folio>)> {
        self.check_may_wait();
        loop {
            match self.try_get(|cache| find(cache, from)) {
                Ok(found) => return found,
                Err(end) if sched::forgets(Look::FrozenAgain) => from = end,
                Err(_) => wait_for_thaw(),
            }
        }
    }

    /// Takes a reference to what is found: the folio and its first page. If it has none, which it gives nobody before it is
    /// replaced, taken out or thawed, the page behind it is the error.
    fn try_get(
        &self,
        find: impl for<'c> Fn(&'c Cache) -> Option<(u64, &'c Arc<Folio>)>,
    ) -> Result<Option<(u64, Arc<Folio>)>, u64> {
        // Nobody takes the folio out between the look and the reference.
        let cache = self.cache.lock();
        match find(&cache) {
            Some((base, folio)) if !folio.try_get() => Err(base + folio.pages()),
            found => Ok(found.map(|(base, folio)| (base, folio.clone()))),
        }
    }

    /// Whoever has a folio frozen takes `i_pages` and the locks of lists before he lets go of it, of shared memory `i_mmap_rwsem`
    /// too, to read (`collapse`), and no other: so waiting for him ends, unless the caller has one of these, or what is waited for
    /// under them.
    fn check_may_wait(&self) {
        if sched::is_atomic() {
            let text = format!("waits for a folio of file {} under a spinning lock", self.file);
            sched::finding(Invariant::SleepInAtomic, text);
        }
        sched::must_hold(self.shmem.is_none() || !self.i_mmap_rwsem.is_mine(), || {
            format!("a folio of file {} is waited for under i_mmap_rwsem", self.file)
        });
    }

    /// Returns the folio that caches a page, without a reference: for comparisons only.
    pub(crate) fn peek(&self, index: u64) -> Option<Arc<Folio>> {
        first_in(&self.cache.lock(), &(index..index + 1)).map(|(_, folio)| folio.clone())
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

    /// Puts a folio where another one of the same size was, as dirty as that. The caller has `i_pages` and has the old one
    /// frozen.
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

    /// Puts pages in the place of a huge folio, each as dirty as that was. The caller has `i_pages`, has the folio frozen, and gives
    /// the references of the pages. It is done at once: whoever walks the cache without `i_pages` finds no gap.
    pub(crate) fn put_parts(&self, base: u64, parts: &[Arc<Folio>]) {
        let (mut cache, mut dirty) = (self.locked(), self.dirty.lock());
        cache.remove(&base);
        let since = dirty.remove(&base);
        for (index, part) in (base..).zip(parts) {
            cache.insert(index, part.clone());
            dirty.extend(since.map(|since| (index, since)));
        }
    }

    /// Notes that a folio has become dirty, if it is so still, is still cached and can be written back. The caller has `i_pages`,
    /// and has marked the folio before he took it: whoever began to write it meanwhile has removed the note already.
    pub(crate) fn tag_dirty(&self, index: u64, folio: &Folio) {
        let is_cached = self.locked().get(&index).is_some_and(|cached| cached.pfn == folio.pfn);
        if is_cached && folio.dirty.load(Relaxed) && self.shmem.is_none() {
            self.dirty.lock().insert(index, self.writebacks.load(Relaxed));
        }
    }

    /// Begins a writeback: what is dirty now is to be written (`tag_pages_for_writeback`). Returns its number.
    #[track_caller]
    pub(crate) fn begin_writeback(&self) -> u64 {
        let _i_pages = self.i_pages.lock_irq();
        let _cache = self.locked();
        self.writebacks.fetch_add(1, Relaxed) + 1
    }

    /// Returns the first page of a folio that has been dirty since before the writeback of this number, which has been missed if
    /// that has come to its end.
    pub(crate) fn missed_by(&self, number: u64) -> Option<u64> {
        first_before(&self.dirty.lock(), 0, number)
    }

    /// Notes that a folio has been cleaned, or, if it is dirty again, that it has become so since. The caller has `i_pages`.
    pub(crate) fn untag(&self, index: u64, folio: &Folio) {
        let _cache = self.locked();
        let mut dirty = self.dirty.lock();
        if !folio.dirty.load(Relaxed) {
            dirty.remove(&index);
        } else if let Some(since) = dirty.get_mut(&index) {
            *since = self.writebacks.load(Relaxed);
        }
    }

    /// Returns whether a folio is noted as dirty: for the invariants.
    pub(crate) fn is_tagged(&self, index: u64) -> bool {
        self.dirty.lock().contains_key(&index)
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
    pub(super) fn locked(&self) -> MutexGuard<'_, Cache> {
        sched::must_hold(self.i_pages.is_mine(), || format!("the cache of file {} changes without i_pages", self.file));
        self.cache.lock()
    }

    /// Returns the first page of a range of a cache that is locked.
    pub(super) fn first_cached(cache: &Cache, pages: &Range<u64>) -> Option<u64> {
        first_in(cache, pages).map(|(base, _)| base.max(pages.start))
    }

    /// The cache, for who looks at more than one page of it, or at what belongs to it besides.
    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock()
    }

    /// Returns the first page of a folio all of which is in a range: for the invariants.
    pub(crate) fn whole_in(&self, pages: &Range<u64>) -> Option<u64> {
        let cache = self.cache.lock();
        cache.range(pages.clone()).find(|(base, folio)| **base + folio.pages() <= pages.end).map(|(&base, _)| base)
    }

    /// Returns the folios that are cached now, without references: for the invariants, and for who looks for folios that cannot be
    /// frozen.
    pub(crate) fn folios(&self) -> Vec<(u64, Arc<Folio>)> {
        self.cache.lock().iter().map(|(&base, folio)| (base, folio.clone())).collect()
    }
}

/// Lets whoever has a folio frozen go on, even if this actor could run for ever.
fn wait_for_thaw() {
    sched::sleep(1);
    sched::step();
}

/// Returns the first folio that caches a page of a range, and its first page.
fn first_in<'c>(cache: &'c Cache, pages: &Range<u64>) -> Option<(u64, &'c Arc<Folio>)> {
    if pages.is_empty() {
        return None;
    }
    let before = cache.range(..pages.start).next_back();
    let covers = before.filter(|(base, folio)| **base + folio.pages() > pages.start);
    covers.or_else(|| cache.range(pages.clone()).next()).map(|(&base, folio)| (base, folio))
}

/// Returns the first page from `from` on that became dirty before the writeback of this number began.
fn first_before(dirty: &BTreeMap<u64, u64>, from: u64, number: u64) -> Option<u64> {
    dirty.range(from..).find(|(_, since)| **since < number).map(|(&index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::FolioKind;

    fn folio(pfn: u64, pages: u64) -> Arc<Folio> {
        Arc::new(Folio::new(pfn, FolioKind::File, pages, 0))
    }

    #[test]
    fn a_walk_finds_a_folio_by_any_of_its_pages_and_nothing_twice() {
        let file = AddressSpace::new(1);
        let (huge, small) = (folio(HUGE_PAGES, HUGE_PAGES), folio(7, 1));
        assert!(file.add(0, &huge) && file.add(HUGE_PAGES + 3, &small) && !file.add(9, &folio(8, 1)));
        let next = |pages: Range<u64>| file.next(&pages).map(|(base, _)| base);
        assert_eq!((next(5..9), next(HUGE_PAGES..HUGE_PAGES + 3), next(9..9)), (Some(0), None, None));
        assert_eq!(next(HUGE_PAGES..u64::MAX), Some(HUGE_PAGES + 3));
        assert_eq!(file.whole_in(&(1..u64::MAX)), Some(HUGE_PAGES + 3), "the huge one only in part");
        assert_eq!((small.refs(), file.folios().len()), (1 + 1 + 1, 2), "ours, the cache's, the walk's");
    }

    #[test]
    fn who_must_not_wait_gets_no_frozen_folio() {
        let file = AddressSpace::new(1);
        let one = folio(7, 1);
        assert!(file.add(3, &one) && one.freeze(2));
        assert!(file.get_unless_frozen(3).is_none());
        one.unfreeze(2);
        assert!(file.get_unless_frozen(3).is_some() && file.get(3).is_some());
    }

    /// Somebody marks a folio, which another one writes before the first one has noted it.
    #[test]
    fn what_is_clean_by_now_is_not_noted_as_dirty() {
        let file = AddressSpace::new(1);
        let one = folio(7, 1);
        assert!(file.add(0, &one));
        one.dirty.store(true, Relaxed);
        one.dirty.store(false, Relaxed);
        let _i_pages = file.i_pages.lock_irq();
        file.untag(0, &one);
        file.tag_dirty(0, &one);
        assert!(!file.is_tagged(0), "no writeback would ever find it dirty");
    }

    #[test]
    fn what_was_dirty_when_a_writeback_began_stays_its_own_wherever_it_goes() {
        let file = AddressSpace::new(1);
        let (huge, late) = (folio(HUGE_PAGES, HUGE_PAGES), folio(7, 1));
        assert!(file.add(0, &huge) && file.add(HUGE_PAGES, &late));
        let dirty = |index, folio: &Folio| {
            folio.dirty.store(true, Relaxed);
            let _i_pages = file.i_pages.lock_irq();
            file.tag_dirty(index, folio);
        };
        dirty(0, &huge);
        let number = file.begin_writeback();
        dirty(HUGE_PAGES, &late);
        let bases = |from| file.next_to_write(from, number).map(|(base, _)| base);
        assert_eq!((bases(0), bases(1), file.missed_by(number)), (Some(0), None, Some(0)));
        let parts: Vec<_> = (0..2).map(|page| folio(20 + page, 1)).collect();
        let moved = folio(30, 1);
        {
            let _i_pages = file.i_pages.lock_irq();
            file.put_parts(0, &parts);
            file.put_in_place(1, &moved);
        }
        let next = file.next_to_write(1, number).unwrap();
        assert_eq!((bases(0), next.0, next.1.pfn, bases(2)), (Some(0), 1, 30, None));
        // Somebody writes to it as soon as it is clean.
        moved.dirty.store(true, Relaxed);
        for (index, part) in [(0, &parts[0]), (1, &moved)] {
            let _i_pages = file.i_pages.lock_irq();
            file.untag(index, part);
        }
        assert_eq!((file.missed_by(number), file.missed_by(number + 1)), (None, Some(1)));
        assert!(!file.is_tagged(0) && file.is_tagged(1));
    }
}
