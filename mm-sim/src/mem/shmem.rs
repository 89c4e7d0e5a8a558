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
}

impl Shmem {
    pub(super) fn new(file: u64) -> Self {
        let lock = SpinLock::new(&SHMEM_INFO_LOCK, ("file", file));
        Self { lock, slots: Mutex::default(), swapped: AtomicU64::new(0) }
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
        self.peek(index).is_none() && self.shmem.as_ref().is_none_or(|shmem| shmem.slot(index).is_none())
    }

    /// Puts a locked folio into the cache, with a reference, if the page still is where `expected` says: on the swap device
    /// in this slot, or nowhere (the kernel's `shmem_add_to_page_cache`).
    #[track_caller]
    pub(crate) fn shmem_add(self: &Arc<Self>, index: u64, folio: &Arc<Folio>, expected: Option<u64>) -> bool {
        let Some(shmem) = &self.shmem else { return false };
        let _i_pages = self.i_pages.lock_irq();
        folio.check_locked("put into the cache");
        let mut cache = self.locked();
        let mut slots = shmem.slots.lock();
        if cache.contains_key(&index) || slots.get(&index).copied() != expected {
            return false;
        }
        slots.remove(&index);
        folio.get(1);
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
        self.locked().remove(&index);
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
    use crate::mem::FolioKind;

    #[test]
    fn a_page_is_in_one_place_and_goes_where_it_is_expected_to_come_from() {
        let file = AddressSpace::shmem(1);
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
}
