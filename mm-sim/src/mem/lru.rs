//! The list that reclaim takes folios from, oldest first.
//!
//! A folio goes onto the list by way of its processor's batch, which is emptied when it is full, so that the lock is not
//! taken for every page. The lock is taken in interrupts too. Unlike the kernel's a batch keeps no reference: a folio that
//! is freed meanwhile leaves it.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use parking_lot::{Mutex, MutexGuard};

use super::Folio;
use crate::{
    classes::LRU_LOCK,
    sched::{self, ActorId},
    sync::SpinLock,
};

/// Folios of a batch.
const BATCH: usize = 4;
/// The place of a folio that is in a batch.
const IN_BATCH: u64 = u64::MAX;
/// The place of the first folio that was added; those that are put to the old end come before.
const MIDDLE: u64 = 1 << 32;

struct List {
    youngest: u64,
    oldest: u64,
    folios: BTreeMap<u64, Arc<Folio>>,
}

/// The kernel's `struct lruvec`, with one list: a folio that was referenced goes round once more.
pub(crate) struct Lru {
    lock: SpinLock,
    list: Mutex<List>,
    batches: Mutex<BTreeMap<ActorId, Vec<Arc<Folio>>>>,
}

impl Lru {
    pub(crate) fn new() -> Self {
        let list = List { youngest: MIDDLE, oldest: MIDDLE, folios: BTreeMap::new() };
        let lock = SpinLock::new(&LRU_LOCK, ("node", 0));
        Self { lock, list: Mutex::new(list), batches: Mutex::default() }
    }

    /// Adds a folio at the young end, sooner or later.
    #[track_caller]
    pub(crate) fn add(&self, folio: &Arc<Folio>) {
        let is_full = {
            let mut batches = self.batches.lock();
            let batch = batches.entry(sched::current()).or_default();
            folio.lru.store(IN_BATCH, Relaxed);
            batch.push(folio.clone());
            batch.len() >= BATCH
        };
        if is_full {
            self.add_drain();
        }
    }

    /// Adds folios at the young end, at once.
    #[track_caller]
    pub(crate) fn add_all(&self, folios: &[Arc<Folio>]) {
        let _lru_lock = self.lock.lock_irq();
        for folio in folios {
            folio.lru.store(IN_BATCH, Relaxed);
            self.put_on(folio);
        }
    }

    /// Empties the batch of this processor (the kernel's `lru_add_drain`).
    #[track_caller]
    pub(crate) fn add_drain(&self) {
        let any = self.batches.lock().get(&sched::current()).is_some_and(|batch| !batch.is_empty());
        if any {
            let _lru_lock = self.lock.lock_irq();
            let batch = self.batches.lock().remove(&sched::current()).unwrap_or_default();
            batch.iter().for_each(|folio| self.put_on(folio));
        }
    }

    /// Empties the batches of all processors.
    #[track_caller]
    pub(crate) fn add_drain_all(&self) {
        let any = self.batches.lock().values().any(|batch| !batch.is_empty());
        if any {
            let _lru_lock = self.lock.lock_irq();
            let batches = std::mem::take(&mut *self.batches.lock());
            batches.values().flatten().for_each(|folio| self.put_on(folio));
        }
    }

    /// Puts a folio of a batch onto the list, unless it is gone. The caller has the lock.
    fn put_on(&self, folio: &Arc<Folio>) {
        let mut list = self.locked();
        let place = list.youngest + 1;
        // In one go: whoever frees a folio that is in a batch takes it off without the lock.
        if folio.lru.compare_exchange(IN_BATCH, place, Relaxed, Relaxed).is_ok() {
            list.youngest = place;
            list.folios.insert(place, folio.clone());
        }
    }

    /// Puts a folio to the old end, where it is next (the kernel's `folio_rotate_reclaimable`): it is clean now.
    #[track_caller]
    pub(crate) fn rotate(&self, folio: &Arc<Folio>) {
        let _lru_lock = self.lock.lock_irq();
        let mut list = self.locked();
        let place = folio.lru.load(Relaxed);
        if list.folios.remove(&place).is_some() {
            list.oldest -= 1;
            let place = list.oldest;
            folio.lru.store(place, Relaxed);
            list.folios.insert(place, folio.clone());
        }
    }

    /// Puts folios that were used to the young end, as far as they are on the list.
    #[track_caller]
    pub(crate) fn promote(&self, folios: &[Arc<Folio>]) {
        if folios.is_empty() {
            return;
        }
        let _lru_lock = self.lock.lock_irq();
        let mut list = self.locked();
        for folio in folios {
            if list.folios.remove(&folio.lru.load(Relaxed)).is_some() {
                list.youngest += 1;
                let place = list.youngest;
                folio.lru.store(place, Relaxed);
                list.folios.insert(place, folio.clone());
            }
        }
    }

    /// Takes a folio off that is being freed.
    #[track_caller]
    pub(crate) fn forget(&self, folio: &Folio) {
        if folio.lru.compare_exchange(IN_BATCH, 0, Relaxed, Relaxed).is_err() {
            self.remove(folio);
        }
    }

    /// Takes a folio off. Returns whether it was on.
    #[track_caller]
    pub(crate) fn remove(&self, folio: &Folio) -> bool {
        if folio.lru.load(Relaxed) == 0 {
            return false;
        }
        if folio.lru.load(Relaxed) == IN_BATCH {
            self.add_drain_all();
        }
        let _lru_lock = self.lock.lock_irq();
        let place = folio.lru.swap(0, Relaxed);
        place != 0 && self.locked().folios.remove(&place).is_some()
    }

    /// Takes up to `count` folios off the old end, with a reference each.
    #[track_caller]
    pub(crate) fn isolate(&self, count: usize) -> Vec<Arc<Folio>> {
        let _lru_lock = self.lock.lock_irq();
        let mut list = self.locked();
        let old: Vec<_> = list.folios.iter().take(count).map(|(&place, folio)| (place, folio.clone())).collect();
        let isolate = |(place, folio): (u64, Arc<Folio>)| {
            folio.try_get().then(|| {
                list.folios.remove(&place);
                folio.lru.store(0, Relaxed);
                folio
            })
        };
        old.into_iter().filter_map(isolate).collect()
    }

    /// Puts isolated folios back at the young end and drops the references that isolating took (`move_folios_to_lru`). Those
    /// whose last one that was leave the list again, `gone` is called for each, still under the lock, and they are returned
    /// to be freed.
    #[track_caller]
    pub(crate) fn move_folios(&self, folios: Vec<Arc<Folio>>, gone: impl Fn(&Folio)) -> Vec<Arc<Folio>> {
        if folios.is_empty() {
            return folios;
        }
        let _lru_lock = self.lock.lock_irq();
        let is_gone = |folio: &Arc<Folio>| {
            // On the list first: whoever drops the last reference after us takes it off.
            folio.lru.store(IN_BATCH, Relaxed);
            self.put_on(folio);
            let is_gone = folio.drop_refs(1);
            if is_gone {
                self.locked().folios.remove(&folio.lru.swap(0, Relaxed));
                gone(folio);
            }
            is_gone
        };
        folios.into_iter().filter(is_gone).collect()
    }

    /// Returns the folios of the list and of the batches: for the invariants.
    pub(crate) fn all(&self) -> Vec<Arc<Folio>> {
        let listed: Vec<_> = self.list.lock().folios.values().cloned().collect();
        let batches = self.batches.lock();
        let on_their_way = batches.values().flatten().filter(|folio| folio.lru.load(Relaxed) == IN_BATCH);
        listed.into_iter().chain(on_their_way.cloned()).collect()
    }

    /// The list, for who holds its lock.
    fn locked(&self) -> MutexGuard<'_, List> {
        self.check_locked();
        self.list.lock()
    }

    fn check_locked(&self) {
        sched::must_hold(self.lock.is_mine(), || "the LRU list is used without lru_lock".to_owned());
    }

    /// Notes that a folio is locked in memory, or no more.
    #[track_caller]
    pub(crate) fn set_mlocked(&self, folio: &Folio, locked: bool) {
        let _lru_lock = self.lock.lock_irq();
        self.check_locked();
        folio.mlocked.store(locked, Relaxed);
    }

    /// Notes that a folio may be dropped while it is clean.
    #[track_caller]
    pub(crate) fn set_lazyfree(&self, folio: &Folio) {
        let _lru_lock = self.lock.lock_irq();
        self.check_locked();
        folio.lazyfree.store(true, Relaxed);
    }

    /// Returns how many folios are on it, or on their way.
    pub(crate) fn len(&self) -> usize {
        self.list.lock().folios.len() + self.batches.lock().values().map(Vec::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    use super::*;
    use crate::{
        mem::{FolioKind, Memory},
        sched::{Body, Context, Threads},
    };

    const FOLIOS: usize = 30_000;

    /// On threads that run at the same time: one puts batches on the list while the other frees what is in them.
    #[test]
    fn what_is_freed_from_a_batch_is_on_no_list() {
        let (lru, memory) = (Arc::new(Lru::new()), Memory::new(FOLIOS as u64));
        let folios: Arc<Vec<_>> = Arc::new((0..FOLIOS).map(|_| memory.make_folio(FolioKind::Anon, 1, 0)).collect());
        let (added, freed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let fill: Body = Box::new({
            let (lru, folios, added, freed) = (lru.clone(), folios.clone(), added.clone(), freed.clone());
            move || {
                for (at, folio) in folios.iter().enumerate() {
                    lru.add(folio);
                    added.store(at + 1, SeqCst);
                    lru.add_drain();
                    while freed.load(SeqCst) <= at {
                        sched::step();
                    }
                }
            }
        });
        let free: Body = Box::new({
            let (lru, folios) = (lru.clone(), folios.clone());
            move || {
                for (at, folio) in folios.iter().enumerate() {
                    // A step now and then, so that it ends if the other one fails.
                    for look in 1u32.. {
                        if added.load(SeqCst) > at {
                            break;
                        }
                        if look.is_multiple_of(10_000) {
                            sched::step();
                        }
                    }
                    lru.forget(folio);
                    freed.store(at + 1, SeqCst);
                }
            }
        });
        let actors = vec![("fill".to_owned(), fill), ("free".to_owned(), free)];
        let ran = Threads::run(1, Duration::from_secs(120), &Context::new(), actors);
        assert_eq!(ran.stop, None);
        assert_eq!(lru.list.lock().folios.len(), 0);
    }
}
