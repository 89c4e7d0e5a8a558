//! The list that reclaim takes folios from, oldest first.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use parking_lot::{Mutex, MutexGuard};

use super::Folio;
use crate::{classes::LRU_LOCK, sched, sync::SpinLock};

/// The last place given away, and the folios by place.
type List = (u64, BTreeMap<u64, Arc<Folio>>);

/// The kernel's `struct lruvec`, with one list: a folio that was referenced goes round once more.
pub(crate) struct Lru {
    lock: SpinLock,
    list: Mutex<List>,
}

impl Lru {
    pub(crate) fn new() -> Self {
        Self { lock: SpinLock::new(&LRU_LOCK, ("node", 0)), list: Mutex::default() }
    }

    /// Adds a folio at the young end.
    #[track_caller]
    pub(crate) fn add(&self, folio: &Arc<Folio>) {
        let _lru_lock = self.lock.lock();
        let mut list = self.locked();
        list.0 += 1;
        let place = list.0;
        folio.lru.store(place, Relaxed);
        list.1.insert(place, folio.clone());
    }

    /// Takes a folio off. Returns whether it was on.
    #[track_caller]
    pub(crate) fn remove(&self, folio: &Folio) -> bool {
        let _lru_lock = self.lock.lock();
        let place = folio.lru.swap(0, Relaxed);
        place != 0 && self.locked().1.remove(&place).is_some()
    }

    /// Takes up to `count` folios off the old end, with a reference each.
    #[track_caller]
    pub(crate) fn isolate(&self, count: usize) -> Vec<Arc<Folio>> {
        let _lru_lock = self.lock.lock();
        let mut list = self.locked();
        let old: Vec<_> = list.1.iter().take(count).map(|(&place, folio)| (place, folio.clone())).collect();
        let isolate = |(place, folio): (u64, Arc<Folio>)| {
            folio.try_get().then(|| {
                list.1.remove(&place);
                folio.lru.store(0, Relaxed);
                folio
            })
        };
        old.into_iter().filter_map(isolate).collect()
    }

    /// The list, for who holds its lock.
    fn locked(&self) -> MutexGuard<'_, List> {
        sched::must_hold(self.lock.is_mine(), || "the LRU list is used without lru_lock".to_owned());
        self.list.lock()
    }

    /// Notes that a folio is locked in memory, or no more.
    #[track_caller]
    pub(crate) fn set_mlocked(&self, folio: &Folio, locked: bool) {
        let _lru_lock = self.lock.lock();
        folio.mlocked.store(locked, Relaxed);
    }

    /// Notes that a folio may be dropped while it is clean.
    #[track_caller]
    pub(crate) fn set_lazyfree(&self, folio: &Folio) {
        let _lru_lock = self.lock.lock();
        folio.lazyfree.store(true, Relaxed);
    }

    /// Returns how many folios are on it.
    pub(crate) fn len(&self) -> usize {
        self.list.lock().1.len()
    }
}
