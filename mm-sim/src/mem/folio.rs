//! A folio: one page or a huge page of data, its counts, its lock, and where it belongs.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicI64, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use parking_lot::Mutex;

use super::{AddressSpace, AnonVma, Buffers, HUGE_PAGES, KsmStable};
use crate::{
    classes::{FOLIO_LOCK_ANON, FOLIO_LOCK_FILE, FOLIO_LOCK_HUGETLB, FOLIO_LOCK_SHMEM},
    finding::Invariant,
    sched,
    sync::{FolioLock, SpinLock},
};

/// What a folio holds; each kind has a lock class of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolioKind {
    Anon,
    File,
    /// A page of a file of shared memory, in its cache or in the swap cache.
    Shmem,
    /// A huge page of the pool, in the cache of a hugetlbfs file or private to its mappings.
    Hugetlb,
}

/// Where a folio belongs.
#[derive(Clone)]
pub(crate) enum Place {
    /// The page cache, from this page of the file on.
    File(Arc<AddressSpace>, u64),
    /// Anonymous memory, at this page offset of the VMAs of this anon_vma.
    Anon(Arc<AnonVma>, u64),
    /// Anonymous memory that several places share because it is alike.
    Ksm(Arc<KsmStable>),
}

/// A folio. A page holds one word of data, which is all that telling pages apart takes.
pub(crate) struct Folio {
    pub(crate) pfn: u64,
    pub(crate) kind: FolioKind,
    /// The memory node that it is on.
    pub(crate) node: u8,
    pub(crate) lock: FolioLock,
    pub(crate) dirty: AtomicBool,
    pub(crate) uptodate: AtomicBool,
    /// Locked in memory, as far as is known: a page of a VMA that is locked.
    pub(crate) mlocked: AtomicBool,
    /// Nobody has used it since it was marked, as far as is known.
    pub(crate) is_idle: AtomicBool,
    /// It was used, although no entry says so any more.
    pub(crate) was_used: AtomicBool,
    /// It may be dropped while it is clean (MADV_FREE).
    pub(crate) lazyfree: AtomicBool,
    /// A huge page that was taken out of the pool as a promise, and is not yet what it was promised for.
    pub(crate) is_promised: AtomicBool,
    /// Its place on the LRU list; 0 if it is on none.
    pub(crate) lru: AtomicU64,
    /// The hardware has reported it broken.
    pub(crate) is_broken: AtomicBool,
    /// On its way to disk or to the swap device.
    pub(crate) writeback: AtomicBool,
    /// Reclaim wants it as soon as it is clean.
    pub(crate) reclaim: AtomicBool,
    /// Its slot of the swap device and 1; 0 if it is not in the swap cache.
    swap: AtomicU64,
    /// Who writes to it past all page tables; each has a reference too.
    pub(crate) pins: AtomicI64,
    words: Box<[AtomicU64]>,
    refs: AtomicI64,
    maps: AtomicI64,
    place: Mutex<Option<Place>>,
    /// Its buffers, if its file system has given it some.
    buffers: Mutex<Option<Arc<Buffers>>>,
}

impl Folio {
    /// A folio of `pages` zero pages on a node, with one reference.
    pub(crate) fn new(pfn: u64, kind: FolioKind, pages: u64, node: u8) -> Self {
        let class = match kind {
            FolioKind::Anon => &FOLIO_LOCK_ANON,
            FolioKind::File => &FOLIO_LOCK_FILE,
            FolioKind::Shmem => &FOLIO_LOCK_SHMEM,
            FolioKind::Hugetlb => &FOLIO_LOCK_HUGETLB,
        };
        Self {
            pfn,
            kind,
            node,
            lock: FolioLock::new(class, ("folio", pfn)),
            dirty: AtomicBool::new(false),
            uptodate: AtomicBool::new(false),
            mlocked: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            lazyfree: AtomicBool::new(false),
            is_promised: AtomicBool::new(false),
            lru: AtomicU64::new(0),
            is_broken: AtomicBool::new(false),
            writeback: AtomicBool::new(false),
            reclaim: AtomicBool::new(false),
            swap: AtomicU64::new(0),
            pins: AtomicI64::new(0),
            words: (0..pages).map(|_| AtomicU64::new(0)).collect(),
            refs: AtomicI64::new(1),
            maps: AtomicI64::new(0),
            place: Mutex::new(None),
            buffers: Mutex::new(None),
        }
    }

    pub(crate) fn pages(&self) -> u64 {
        self.words.len() as u64
    }

    pub(crate) fn is_huge(&self) -> bool {
        self.pages() == HUGE_PAGES
    }

    /// Reads the word of the page `pfn`.
    pub(crate) fn read(&self, pfn: u64) -> u64 {
        self.words[(pfn - self.pfn) as usize].load(Relaxed)
    }

    /// Writes the word of the page `pfn`.
    pub(crate) fn write(&self, pfn: u64, word: u64) {
        self.words[(pfn - self.pfn) as usize].store(word, Relaxed);
    }

    pub(crate) fn place(&self) -> Option<Place> {
        self.place.lock().clone()
    }

    pub(crate) fn set_place(&self, place: Option<Place>) {
        *self.place.lock() = place;
    }

    /// Returns its slot of the swap device, if it is in the swap cache.
    pub(crate) fn swap(&self) -> Option<u64> {
        self.swap.load(Relaxed).checked_sub(1)
    }

    /// Sets its slot.
    pub(crate) fn set_swap(&self, slot: Option<u64>) {
        self.swap.store(slot.map_or(0, |slot| slot + 1), Relaxed);
    }

    /// Checks that this actor has locked it.
    pub(crate) fn check_locked(&self, what: &str) {
        sched::must_hold(self.lock.is_mine(), || format!("folio {} is {what} without being locked", self.pfn));
    }

    /// Returns whether it has the page `pfn`.
    pub(crate) fn has_page(&self, pfn: u64) -> bool {
        (self.pfn..self.pfn + self.pages()).contains(&pfn)
    }

    /// Returns whether several places share it because it is alike.
    pub(crate) fn is_ksm(&self) -> bool {
        matches!(&*self.place.lock(), Some(Place::Ksm(_)))
    }

    /// Returns whether it caches a page of this mapping.
    pub(crate) fn is_in(&self, mapping: &Arc<AddressSpace>) -> bool {
        matches!(&*self.place.lock(), Some(Place::File(mine, _)) if Arc::ptr_eq(mine, mapping))
    }

    /// Takes references; the caller has one already, or holds what keeps one.
    pub(crate) fn get(&self, count: u64) {
        if self.refs.fetch_add(count as i64, Relaxed) <= 0 {
            sched::finding(Invariant::FolioUsedAfterFree, format!("folio {} is taken without a reference", self.pfn));
        }
    }

    /// Takes a reference unless the last one is gone.
    pub(crate) fn try_get(&self) -> bool {
        self.refs.fetch_update(Relaxed, Relaxed, |refs| (refs > 0).then_some(refs + 1)).is_ok()
    }

    /// Drops references. Returns whether the last one is gone.
    pub(crate) fn drop_refs(&self, count: u64) -> bool {
        let left = self.refs.fetch_sub(count as i64, Release) - count as i64;
        if left < 0 {
            sched::finding(Invariant::CountMismatch, format!("folio {} has {left} references", self.pfn));
        }
        left == 0
    }

    /// Takes all references at once if there are exactly `count`.
    pub(crate) fn freeze(&self, count: u64) -> bool {
        self.refs.compare_exchange(count as i64, 0, Acquire, Relaxed).is_ok()
    }

    /// The same, if it is clean too. It is looked at after the references, because whoever had one may have written to it
    /// before he let go of it (the kernel's `__remove_mapping`).
    pub(crate) fn freeze_clean(&self, count: u64) -> bool {
        let frozen = self.freeze(count);
        let is_clean = !self.dirty.load(Relaxed);
        if frozen && !is_clean {
            self.unfreeze(count);
        }
        frozen && is_clean
    }

    /// Undoes [`freeze`](Self::freeze).
    pub(crate) fn unfreeze(&self, count: u64) {
        self.refs.store(count as i64, Relaxed);
    }

    pub(crate) fn refs(&self) -> i64 {
        self.refs.load(Relaxed)
    }

    /// Records that an entry maps it: a map count and a reference.
    pub(crate) fn map(&self) {
        self.maps.fetch_add(1, Relaxed);
        self.get(1);
    }

    /// Records that as many more entries map it.
    pub(crate) fn map_more(&self, entries: u64) {
        self.maps.fetch_add(entries as i64, Relaxed);
        self.get(entries);
    }

    /// Records that an entry maps it no more; the reference is the caller's to drop.
    pub(crate) fn unmap(&self) {
        let left = self.maps.fetch_sub(1, Relaxed) - 1;
        if left < 0 {
            sched::finding(Invariant::CountMismatch, format!("folio {} has a map count of {left}", self.pfn));
        }
    }

    /// Returns whether somebody writes to it past all page tables.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.load(Relaxed) > 0
    }

    pub(crate) fn maps(&self) -> i64 {
        self.maps.load(Relaxed)
    }

    /// Returns its buffers, if it has any.
    pub(crate) fn buffers(&self) -> Option<Arc<Buffers>> {
        self.buffers.lock().clone()
    }

    /// Returns how many references its buffers have to it.
    pub(crate) fn buffer_refs(&self) -> u64 {
        u64::from(self.buffers.lock().is_some())
    }

    /// Gives it buffers, which are as dirty as it is. The caller has locked it, and has `private_lock`.
    pub(crate) fn attach_buffers(&self, private_lock: &SpinLock) {
        self.check_locked("given buffers");
        let buffers = Buffers::new(self.pfn, self.dirty.load(Relaxed));
        buffers.check_lock(private_lock, "are attached");
        self.get(1);
        *self.buffers.lock() = Some(Arc::new(buffers));
    }

    /// Frees its buffers, whose reference to it the caller takes over. Under `private_lock`, unless it is in no file any more.
    pub(crate) fn detach_buffers(&self, private_lock: Option<&SpinLock>) {
        if let Some(buffers) = self.buffers.lock().take() {
            buffers.free(private_lock);
        }
    }

    /// Gives its buffers to the folio that its pages move to. Both are locked, and nobody may begin to use the buffers. The
    /// caller takes over their reference to it.
    pub(crate) fn move_buffers(&self, to: &Self) {
        self.check_locked("moved");
        if let Some(buffers) = self.buffers.lock().take() {
            buffers.follow(to.pfn);
            to.get(1);
            *to.buffers.lock() = Some(buffers);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Somebody writes by a reference and lets go of it, while reclaim tries to free the folio again and again.
    #[test]
    fn what_is_written_by_the_last_other_reference_is_seen() {
        for _ in 0..2000 {
            let folio = Folio::new(7, FolioKind::Anon, 1, 0);
            folio.get(1);
            thread::scope(|scope| {
                scope.spawn(|| {
                    folio.dirty.store(true, Relaxed);
                    assert!(!folio.drop_refs(1));
                });
                while folio.refs() > 1 {
                    assert!(!folio.freeze_clean(1), "it is dirty before the other one has gone");
                }
            });
            assert!(!folio.freeze_clean(1) && folio.refs() == 1);
            folio.dirty.store(false, Relaxed);
            assert!(folio.freeze_clean(1) && folio.refs() == 0);
        }
    }
}
