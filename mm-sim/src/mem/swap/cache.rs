//! The swap cache: folios that are in memory and have a slot of the swap device.
//!
//! Its lock is only taken with interrupts off, as the kernel's is, though no handler takes it.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::Swap;
use crate::{classes::SWAP_CACHE, finding::Invariant, mem::Folio, sched, sync::SpinLock};

/// The tree of the folios, by slot.
pub(super) struct Cache {
    lock: SpinLock,
    folios: Mutex<BTreeMap<u64, Arc<Folio>>>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { lock: SpinLock::new(&SWAP_CACHE, ("swap", 0)), folios: Mutex::default() }
    }

    /// Forgets what is remembered of a folio that was there: nothing, here.
    #[track_caller]
    pub(super) fn forget_shadow(&self, slot: u64) {
        let _lock = self.lock.lock_irq();
        if self.folios.lock().contains_key(&slot) {
            sched::finding(Invariant::SwapMismatch, format!("slot {slot} is given back while the cache has it"));
        }
    }

    fn check_lock(&self) {
        sched::must_hold(self.lock.is_mine(), || "the swap cache is changed without its lock".to_owned());
    }
}

impl Swap {
    /// Puts a locked folio into the cache, with a reference. The caller has the slot.
    #[track_caller]
    pub(crate) fn cache_add(&self, slot: u64, folio: &Arc<Folio>) {
        let _lock = self.cache.lock.lock_irq();
        self.cache.check_lock();
        folio.get(1);
        folio.set_swap(Some(slot));
        self.cache.folios.lock().insert(slot, folio.clone());
    }

    /// Returns the folio of a slot, with a reference.
    pub(crate) fn cache_get(&self, slot: u64) -> Option<Arc<Folio>> {
        self.cache.folios.lock().get(&slot).filter(|folio| folio.try_get()).cloned()
    }

    /// Takes a locked folio out of the cache; its slot goes unless entries use it. The caller takes over the cache's
    /// reference.
    #[track_caller]
    pub(crate) fn cache_delete(&self, folio: &Folio) {
        let Some(slot) = folio.swap() else { return };
        {
            let _lock = self.cache.lock.lock_irq();
            self.cache_remove(folio, slot);
        }
        self.uncached(slot);
    }

    /// Takes a folio out and all its references with it if nobody but the cache and the caller has one.
    #[track_caller]
    pub(crate) fn cache_delete_frozen(&self, folio: &Folio, refs: u64) -> bool {
        let Some(slot) = folio.swap() else { return false };
        {
            let _lock = self.cache.lock.lock_irq();
            if folio.maps() > 0 || !folio.freeze_clean(refs) {
                return false;
            }
            self.cache_remove(folio, slot);
        }
        self.uncached(slot);
        true
    }

    fn cache_remove(&self, folio: &Folio, slot: u64) {
        self.cache.check_lock();
        folio.set_swap(None);
        self.cache.folios.lock().remove(&slot);
    }

    /// Returns all folios of the cache, without references: for the invariants.
    pub(crate) fn cached(&self) -> Vec<(u64, Arc<Folio>)> {
        self.cache.folios.lock().iter().map(|(&slot, folio)| (slot, folio.clone())).collect()
    }
}
