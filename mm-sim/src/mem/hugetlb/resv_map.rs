//! Which huge pages are reserved (the kernel's `struct resv_map`).
//!
//! That of a file has the pages that somebody has been promised or that are in its cache; that of a private mapping has
//! those whose promise has been used up. Lock order: `resv_map->rw_sema -> ... -> resv_map->lock`, the innermost.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use parking_lot::Mutex;

use crate::{
    classes::{RESV_MAP_LOCK, RESV_MAP_RW_SEMA},
    sched,
    sync::{RwSem, SpinLock},
};

/// A set of huge pages with a lock of its own.
pub(crate) struct ResvMap {
    id: u64,
    lock: SpinLock,
    /// Guards the page tables of a private mapping.
    pub(crate) rw_sema: RwSem,
    pages: Mutex<BTreeSet<u64>>,
    /// Which folio each promise of a private mapping was used for, without a lock: for invariants.
    users: Mutex<BTreeMap<u64, u64>>,
}

impl ResvMap {
    pub(crate) fn new(id: u64) -> Self {
        let owner = ("resv_map", id);
        let (lock, rw_sema) = (SpinLock::new(&RESV_MAP_LOCK, owner), RwSem::new(&RESV_MAP_RW_SEMA, owner));
        Self { id, lock, rw_sema, pages: Mutex::default(), users: Mutex::default() }
    }

    /// Returns whether it has a page (`region_chg` of one page).
    #[track_caller]
    pub(crate) fn has(&self, huge_index: u64) -> bool {
        let _lock = self.lock.lock();
        self.look().contains(&huge_index)
    }

    /// Returns how many pages of a range it has (`region_count`).
    #[track_caller]
    pub(crate) fn count(&self, range: Range<u64>) -> u64 {
        let _lock = self.lock.lock();
        self.look().range(range).count() as u64
    }

    /// Adds a range. Returns how many pages are new (`region_add`).
    #[track_caller]
    pub(crate) fn add(&self, range: Range<u64>) -> u64 {
        let _lock = self.lock.lock();
        let mut pages = self.look();
        range.filter(|&index| pages.insert(index)).count() as u64
    }

    /// Removes a range. Returns how many pages it had of it (`region_del`).
    #[track_caller]
    pub(crate) fn remove(&self, range: Range<u64>) -> u64 {
        let _lock = self.lock.lock();
        let mut pages = self.look();
        let before = pages.len();
        pages.retain(|index| !range.contains(index));
        self.users.lock().retain(|index, _| !range.contains(index));
        (before - pages.len()) as u64
    }

    /// Notes which folio the promise of a page is used for.
    pub(crate) fn note_user(&self, huge_index: u64, pfn: u64) {
        self.users.lock().insert(huge_index, pfn);
    }

    /// Notes that the mapping has given up a page, and that no other one can be promised.
    pub(crate) fn give_up(&self, huge_index: u64) {
        self.users.lock().remove(&huge_index);
    }

    /// Returns which folios promises are used for.
    pub(crate) fn users(&self) -> BTreeMap<u64, u64> {
        self.users.lock().clone()
    }

    /// Returns its pages, without a lock: for invariants.
    pub(crate) fn pages(&self) -> BTreeSet<u64> {
        self.pages.lock().clone()
    }

    fn look(&self) -> parking_lot::MutexGuard<'_, BTreeSet<u64>> {
        sched::must_hold(self.lock.is_mine(), || format!("reservation map {} is used without its lock", self.id));
        self.pages.lock()
    }
}
