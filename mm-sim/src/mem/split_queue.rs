//! Huge folios that reclaim may split: in part they are of no use to anybody.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::Folio;
use crate::{classes::SPLIT_QUEUE_LOCK, sched, sync::SpinLock};

/// The kernel's `struct deferred_split`. It keeps no reference: a folio that is freed leaves it.
pub(crate) struct SplitQueue {
    lock: SpinLock,
    folios: Mutex<BTreeMap<u64, Arc<Folio>>>,
}

impl SplitQueue {
    pub(crate) fn new() -> Self {
        Self { lock: SpinLock::new(&SPLIT_QUEUE_LOCK, ("node", 0)), folios: Mutex::default() }
    }

    /// Puts a folio on the queue, unless it is there (the kernel's `deferred_split_folio`).
    #[track_caller]
    pub(crate) fn add(&self, folio: &Arc<Folio>) {
        if self.folios.lock().contains_key(&folio.pfn) {
            return;
        }
        let _lock = self.lock.lock_irq();
        self.locked().insert(folio.pfn, folio.clone());
    }

    /// Takes a folio off, if it is there. A look without the lock spares it for all others.
    #[track_caller]
    pub(crate) fn remove(&self, folio: &Folio) {
        if self.folios.lock().contains_key(&folio.pfn) {
            let _lock = self.lock.lock_irq();
            self.locked().remove(&folio.pfn);
        }
    }

    /// Takes a folio off, and all references with it if there are exactly `refs`: nobody finds it here meanwhile. Returns
    /// whether there were.
    #[track_caller]
    pub(crate) fn freeze(&self, folio: &Folio, refs: u64) -> bool {
        let _lock = self.lock.lock_irq();
        let mut folios = self.locked();
        let frozen = folio.maps() == 0 && folio.freeze(refs);
        if frozen {
            folios.remove(&folio.pfn);
        }
        frozen
    }

    /// Takes up to `count` folios off, with a reference each.
    #[track_caller]
    pub(crate) fn take(&self, count: usize) -> Vec<Arc<Folio>> {
        if self.folios.lock().is_empty() {
            return Vec::new();
        }
        let _lock = self.lock.lock_irq();
        let mut folios = self.locked();
        let some: Vec<_> = folios.values().take(count).cloned().collect();
        some.iter().for_each(|folio| drop(folios.remove(&folio.pfn)));
        some.into_iter().filter(|folio| folio.try_get()).collect()
    }

    /// Returns what is on the queue: for the invariants.
    pub(crate) fn all(&self) -> Vec<Arc<Folio>> {
        self.folios.lock().values().cloned().collect()
    }

    fn locked(&self) -> parking_lot::MutexGuard<'_, BTreeMap<u64, Arc<Folio>>> {
        sched::must_hold(self.lock.is_mine(), || "the queue of folios to split is used without its lock".to_owned());
        self.folios.lock()
    }
}
