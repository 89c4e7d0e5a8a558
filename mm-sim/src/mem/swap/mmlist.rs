//! The processes that have, or had, something swapped out: where turning swap off has to look.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::Swap;
use crate::{classes::MMLIST_LOCK, mem::Mm, sched, sync::SpinLock};

/// The list, and its lock.
pub(super) struct MmList {
    lock: SpinLock,
    list: Mutex<BTreeMap<u64, Weak<Mm>>>,
}

impl MmList {
    pub(super) fn new() -> Self {
        Self { lock: SpinLock::new(&MMLIST_LOCK, ("swap", 0)), list: Mutex::default() }
    }

    /// Empties the list.
    #[track_caller]
    pub(super) fn clear(&self) {
        let _lock = self.lock.lock();
        self.check_lock();
        self.list.lock().clear();
    }

    fn check_lock(&self) {
        sched::must_hold(self.lock.is_mine(), || "the mmlist is used without its lock".to_owned());
    }
}

impl Swap {
    /// Puts a process on the list, unless it is there.
    #[track_caller]
    pub(crate) fn mmlist_add(&self, mm: &Arc<Mm>) {
        if self.mmlist.list.lock().contains_key(&mm.id) {
            return;
        }
        let _lock = self.mmlist.lock.lock();
        self.mmlist.check_lock();
        self.mmlist.list.lock().insert(mm.id, Arc::downgrade(mm));
    }

    /// Takes a process that ends off the list.
    #[track_caller]
    pub(crate) fn mmlist_remove(&self, mm: &Mm) {
        if self.mmlist.list.lock().contains_key(&mm.id) {
            let _lock = self.mmlist.lock.lock();
            self.mmlist.check_lock();
            self.mmlist.list.lock().remove(&mm.id);
        }
    }

    /// Returns the first process after `id` on the list that has not begun to end, kept alive by a user of its own.
    #[track_caller]
    pub(crate) fn mmlist_next(&self, id: u64) -> Option<Arc<Mm>> {
        let _lock = self.mmlist.lock.lock();
        self.mmlist.check_lock();
        let list = self.mmlist.list.lock();
        let get = |mm: &Weak<Mm>| mm.upgrade().filter(|mm| mm.users.load(Relaxed) > 0);
        list.range(id + 1..).find_map(|(_, mm)| get(mm))
    }

    /// Returns whether a process is on the list: for the invariants.
    pub(crate) fn is_on_mmlist(&self, mm: &Mm) -> bool {
        self.mmlist.list.lock().contains_key(&mm.id)
    }
}
