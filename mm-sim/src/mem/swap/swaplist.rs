//! The files of shared memory that have, or had, something swapped out: where turning swap off has to look.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};

use super::Swap;
use crate::{
    classes::SHMEM_SWAPLIST_MUTEX,
    mem::Inode,
    sched,
    sync::{self, SleepMutex},
};

/// The list, and its lock.
pub(super) struct SwapList {
    mutex: SleepMutex,
    files: Mutex<BTreeMap<u64, Arc<Inode>>>,
}

impl SwapList {
    pub(super) fn new() -> Self {
        Self { mutex: SleepMutex::new(&SHMEM_SWAPLIST_MUTEX, ("swap", 0)), files: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Inode>>> {
        sched::must_hold(self.mutex.is_mine(), || "the swap list is used without shmem_swaplist_mutex".to_owned());
        self.files.lock()
    }
}

impl Swap {
    /// Locks the list.
    #[track_caller]
    pub(crate) fn swaplist_lock(&self) -> sync::MutexGuard {
        self.swaplist.mutex.lock()
    }

    /// Puts a file on the list, unless it is there. The caller has the list locked, until the file's page is counted as
    /// swapped out.
    pub(crate) fn swaplist_add(&self, file: &Arc<Inode>) {
        self.swaplist.locked().entry(file.id).or_insert_with(|| file.clone());
    }

    /// Takes a file off the list. The caller has it locked.
    pub(crate) fn swaplist_remove(&self, file: &Inode) {
        self.swaplist.locked().remove(&file.id);
    }

    /// Returns the first file after `id` that has something swapped out; the others leave the list. The caller has it locked.
    pub(crate) fn swaplist_next(&self, id: u64) -> Option<Arc<Inode>> {
        let mut files = self.swaplist.locked();
        files.retain(|_, file| file.mapping.shmem.as_ref().is_some_and(|shmem| shmem.swapped() > 0));
        files.range(id + 1..).next().map(|(_, file)| file.clone())
    }

    /// Returns whether a file is on the list: for the invariants.
    pub(crate) fn is_on_swaplist(&self, file: &Inode) -> bool {
        self.swaplist.files.lock().contains_key(&file.id)
    }
}
