//! What a file of shared memory has in its cache in place of folios: the slots of the pages that are swapped out.
//!
//! Lock order: `i_pages` for the slots, alone or under `shmem_swaplist_mutex`; `info->lock` for their count, likewise.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{AddressSpace, Folio, Place};
use crate::{classes::SHMEM_INFO_LOCK, sched, sync::SpinLock};

/// The kernel's `struct shmem_inode_info`.
pub(crate) struct Shmem {
    lock: SpinLock,
    /// The slots, by page, under `i_pages`.
    slots: Mutex<BTreeMap<u64, u64>>,
    /// How many pages are swapped out, under `lock`; for a moment one more or less than there are slots.
    swapped: AtomicU64,
    /// Whether it gets huge folios where there is room for them (mounted with `huge=always`).
    pub(crate) wants_huge: bool,
}

impl Shmem {
    pub(super) fn new(file: u64, wants_huge: bool) -> Self {
        let lock = SpinLock::new(&SHMEM_INFO_LOCK, ("file", file));
        Self { lock, slots: Mutex::default(), swapped: AtomicU64::new(0), wants_huge }
    }

    /// Counts a page that is swapped out or comes back (the kernel's `shmem_recalc_inode`).
    #[track_caller]
    pub(crate) fn recalc(&self, change: impl Fn(u64) -> u64) {
        let _info = self.lock.lock_irq();
        sched::must_hold(self.lock.is_mine(), || "a file's swapped pages are counted without info->lock".to_owned());
        self.swapped.store(change(self.swapped()), Relaxed);
    }

    /// Returns how many pages are swapped out.
    pub(crate) fn swapped(&self) -> u64 {
        self.swapped.load(Relaxed)
    }

    /// Returns the slot of a page that is swapped out.
    pub(crate) fn slot(&self, index: u64) -> Option<u64> {
        self.slots.lock().get(&index).copied()
    }

    /// Returns the pages of a range that are swapped out, with their slots.
    pub(crate) fn slots(&self, pages: Range<u64>) -> Vec<(u64, u64)> {
        self.slots.lock().range(pages).map(|(&index, &slot)| (index, slot)).collect()
    }
}

impl AddressSpace {
    /// Returns whether a page has never been there, or not since it was cut: neither cached nor swapped out.
    pub(crate) fn is_hole(&self, index: u64) -> bool {
        self.shmem_next(&(index..index + 1)).is_none()
    }

    /// Returns the first page of a range that is cached or swapped out.
    pub(crate) fn shmem_next(&self, pages: &Range<u64>) -> Option<u64> {
        // Both at once: a page that is swapped out meanwhile is in one place or the other.
        let cache = self.cache();
        let slot = || Some(*self.shmem.as_ref()?.slots.lock().range(pages.clone()).next()?.0);
        Self::first_cached(&cache, pages).into_iter().chain(slot()).min()
    }

    /// Returns how many folios and pages that are swapped out there are in a range. The caller has `i_pages`.
    pub(crate) fn count_shmem(&self, pages: &Range<u64>) -> usize {
        let cached = self.locked().range(pages.clone()).count();
        cached + self.shmem.as_ref().map_or(0, |shmem| shmem.slots.lock().range(pages.clone()).count())
    }

    /// Puts a locked folio into the cache, with its references, if its pages still are where `expected` says: the one on the
    /// swap device in this slot, or all nowhere (the kernel's `shmem_add_to_page_cache`).
    #[track_caller]
    pub(crate) fn shmem_add(self: &Arc<Self>, index: u64, folio: &Arc<Folio>, expected: Option<u64>) -> bool {
        let Some(shmem) = &self.shmem else { return false };
        let _i_pages = self.i_pages.lock_irq();
        folio.check_locked("put into the cache");
        let pages = index..index + folio.pages();
        let mut cache = self.locked();
        let is_cached = Self::first_cached(&cache, &pages).is_some();
        let mut slots = shmem.slots.lock();
        let swapped = slots.range(pages).next().map(|(&index, &slot)| (index, slot));
        if is_cached || swapped != expected.map(|slot| (index, slot)) {
            return false;
        }
        slots.remove(&index);
        folio.get(folio.pages());
        folio.set_place(Some(Place::File(self.clone(), index)));
        cache.insert(index, folio.clone());
        true
    }

    /// Puts a slot where a locked folio was. The caller takes over the cache's reference (the kernel's
    /// `shmem_delete_from_page_cache`).
    #[track_caller]
    pub(crate) fn shmem_swap_out(&self, index: u64, folio: &Folio, slot: u64) {
        let Some(shmem) = &self.shmem else { return };
        let _i_pages = self.i_pages.lock_irq();
        folio.check_locked("taken out of the cache");
        let mut cache = self.locked();
        cache.remove(&index);
        shmem.slots.lock().insert(index, slot);
        folio.set_place(None);
    }

    /// Forgets a page that is swapped out, if it still is in this slot. The slot's user is the caller's then.
    #[track_caller]
    pub(crate) fn shmem_free_swap(&self, index: u64, slot: u64) -> bool {
        let Some(shmem) = &self.shmem else { return false };
        let _i_pages = self.i_pages.lock_irq();
        let _cache = self.locked();
        let mut slots = shmem.slots.lock();
        let is_there = slots.get(&index) == Some(&slot);
        if is_there {
            slots.remove(&index);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::{FolioKind, HUGE_PAGES};

    #[test]
    fn a_page_is_in_one_place_and_goes_where_it_is_expected_to_come_from() {
        let file = AddressSpace::shmem(1, false);
        let folio = Arc::new(Folio::new(7, FolioKind::Shmem, 1, 0));
        let _locked = folio.lock.try_lock();
        assert!(file.is_hole(3));
        assert!(!file.shmem_add(3, &folio, Some(5)), "it is not on the device");
        assert!(file.shmem_add(3, &folio, None) && folio.is_in(&file) && folio.refs() == 2);
        assert!(!file.shmem_add(3, &folio, None), "it is cached");
        file.shmem_swap_out(3, &folio, 5);
        assert!(file.peek(3).is_none() && !file.is_hole(3) && !folio.is_in(&file));
        assert!(!file.shmem_add(3, &folio, None) && !file.shmem_add(3, &folio, Some(6)), "it is in slot 5");
        assert!(!file.shmem_free_swap(3, 6) && file.shmem_free_swap(3, 5) && file.is_hole(3));
    }

    #[test]
    fn a_huge_folio_needs_all_of_its_pages_to_be_nowhere() {
        let file = AddressSpace::shmem(1, true);
        let (huge, small) =
            (Folio::new(HUGE_PAGES, FolioKind::Shmem, HUGE_PAGES, 0), Folio::new(7, FolioKind::Shmem, 1, 0));
        let (huge, small) = (Arc::new(huge), Arc::new(small));
        let _locked = (huge.lock.try_lock(), small.lock.try_lock());
        assert!(file.shmem_add(HUGE_PAGES - 1, &small, None));
        assert!(!file.shmem_add(0, &huge, None), "its last page is there");
        file.shmem_swap_out(HUGE_PAGES - 1, &small, 5);
        assert!(!file.shmem_add(0, &huge, None) && !file.shmem_add(0, &huge, Some(5)), "its last page is in slot 5");
        assert_eq!(file.shmem_next(&(3..2 * HUGE_PAGES)), Some(HUGE_PAGES - 1));
        assert!(file.shmem_free_swap(HUGE_PAGES - 1, 5) && file.shmem_add(0, &huge, None));
        assert_eq!(huge.refs(), 1 + HUGE_PAGES as i64);
        assert!(!file.shmem_add(HUGE_PAGES - 1, &small, None), "a page of the huge one");
        assert_eq!(file.shmem_next(&(9..9)), None, "a range without pages, within a folio");
        assert_eq!((file.shmem_next(&(3..9)), file.shmem_next(&(HUGE_PAGES..9 * HUGE_PAGES))), (Some(3), None));
    }
}
