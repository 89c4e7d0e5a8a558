//! [`Memcg`]: groups of processes whose memory is counted and limited.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::Folio;
use crate::{
    classes::{CGROUP_THREADGROUP_RWSEM, MEMCG_MOVE_LOCK},
    sync::{RwSem, SpinLock, WaitQueue},
};

/// The groups of one machine.
pub(crate) struct Memcg {
    pub(crate) threadgroup_rwsem: RwSem,
    pub(crate) move_lock: SpinLock,
    /// Which group a page is counted in, by frame; those of the first group are not here.
    pub(crate) charges: Mutex<BTreeMap<u64, u64>>,
    /// Pages of files that may be cached from now on; `u64::MAX` if nobody counts.
    pub(crate) room: AtomicU64,
    /// Who waits for one to end.
    pub(crate) victims: Arc<WaitQueue>,
}

impl Memcg {
    pub(crate) fn new() -> Self {
        Self {
            threadgroup_rwsem: RwSem::new(&CGROUP_THREADGROUP_RWSEM, ("machine", 0)),
            move_lock: SpinLock::new(&MEMCG_MOVE_LOCK, ("group", 0)),
            charges: Mutex::default(),
            room: AtomicU64::new(u64::MAX),
            victims: WaitQueue::new("the end of a process that is to be killed".to_owned()),
        }
    }

    /// Limits the pages of files that may be cached from now on.
    pub(crate) fn limit(&self, pages: u64) {
        self.room.store(pages, Relaxed);
    }

    /// A process that was to be killed has ended.
    pub(crate) fn victim_ended(&self) {
        self.room.store(u64::MAX, Relaxed);
        self.victims.wake(|_| true);
    }

    /// Returns how many pages are counted in a group that is not the first.
    pub(crate) fn charged(&self, group: u64) -> usize {
        self.charges.lock().values().filter(|other| **other == group).count()
    }

    /// A page is freed.
    pub(crate) fn uncharge(&self, folio: &Folio) {
        self.charges.lock().remove(&folio.pfn);
    }
}
