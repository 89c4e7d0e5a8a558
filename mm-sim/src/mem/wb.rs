//! Which files have something that is to be written to disk (the kernel's `struct bdi_writeback`).

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::{classes::WB_LIST_LOCK, sched, sync::SpinLock};

/// The list of the dirty files of one device, by number.
pub(crate) struct Wb {
    pub(crate) list_lock: SpinLock,
    dirty: Mutex<BTreeSet<u64>>,
}

impl Wb {
    pub(crate) fn new() -> Self {
        Self { list_lock: SpinLock::new(&WB_LIST_LOCK, ("wb", 0)), dirty: Mutex::default() }
    }

    /// Puts a file on the list. The caller has the lock.
    pub(crate) fn insert(&self, file: u64) {
        self.check_lock();
        self.dirty.lock().insert(file);
    }

    /// Takes a file off. The caller has the lock.
    pub(crate) fn remove(&self, file: u64) {
        self.check_lock();
        self.dirty.lock().remove(&file);
    }

    /// Returns the first file. The caller has the lock.
    pub(crate) fn first(&self) -> Option<u64> {
        self.check_lock();
        self.dirty.lock().first().copied()
    }

    /// Returns whether a file is on the list: for the invariants.
    pub(crate) fn contains(&self, file: u64) -> bool {
        self.dirty.lock().contains(&file)
    }

    fn check_lock(&self) {
        sched::must_hold(self.list_lock.is_mine(), || "the list of dirty files is used without its lock".to_owned());
    }
}
