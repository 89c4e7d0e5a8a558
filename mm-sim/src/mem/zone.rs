//! The page allocator: a zone of free pages, and for each processor some that it keeps at hand.
//!
//! Lock order: `pcp->lock (trylock) -> zone->lock (interrupts off)`. An interrupt that finds its processor's list locked
//! goes to the zone at once. Whoever drains the lists of all processors waits for each.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use dashmap::DashMap;

use crate::{
    classes::{PCP_LOCK, ZONE_LOCK},
    sched::{self, ActorId},
    sync::SpinLock,
};

/// Pages that go between a zone and a processor's list at once.
const BATCH: i64 = 8;
/// More than this a processor does not keep.
const HIGH: i64 = 24;

/// Free pages, and the lock that they are counted under.
struct Pages {
    lock: SpinLock,
    count: AtomicI64,
}

impl Pages {
    /// Changes the count. The caller has the lock.
    fn add(&self, pages: i64) {
        sched::must_hold(self.lock.is_mine(), || "free pages are counted without the lock".to_owned());
        self.count.fetch_add(pages, Relaxed);
    }

    fn count(&self) -> i64 {
        self.count.load(Relaxed)
    }
}

/// The kernel's `struct zone`, with its per-processor lists. Every actor is a processor.
pub(super) struct Zone {
    free: Pages,
    processors: DashMap<ActorId, Arc<Pages>>,
}

impl Zone {
    /// A zone of `pages` free pages.
    pub(super) fn new(pages: u64) -> Self {
        let free = Pages { lock: SpinLock::new(&ZONE_LOCK, ("node", 0)), count: AtomicI64::new(pages as i64) };
        Self { free, processors: DashMap::new() }
    }

    /// Returns how many pages are free, here and in the lists of the processors.
    pub(super) fn free_pages(&self) -> i64 {
        self.free.count() + self.processors.iter().map(|pages| pages.count()).sum::<i64>()
    }

    /// Takes `pages` free pages if there are as many.
    #[track_caller]
    pub(super) fn take(&self, pages: u64) -> bool {
        if pages == 1
            && let Some(took) = self.take_from_list()
        {
            return took;
        }
        self.rmqueue(pages as i64) > 0
    }

    /// Gives pages back.
    #[track_caller]
    pub(super) fn give(&self, pages: u64) {
        if pages != 1 || !self.give_to_list() {
            let _zone_lock = self.free.lock.lock_irq();
            self.free.add(pages as i64);
        }
    }

    /// Takes a page of this processor's list, which is filled up first if it is empty. `None` if the list is locked.
    fn take_from_list(&self) -> Option<bool> {
        let list = self.list();
        let _pcp_lock = list.lock.try_lock()?;
        if list.count() == 0 {
            let got = (0..BATCH).find_map(|given_up| Some(self.rmqueue(BATCH - given_up)).filter(|&got| got > 0));
            list.add(got.unwrap_or(0));
        }
        let any = list.count() > 0;
        if any {
            list.add(-1);
        }
        Some(any)
    }

    /// Gives a page to this processor's list, unless that is locked. What is too much there goes back to the zone.
    fn give_to_list(&self) -> bool {
        let list = self.list();
        let Some(_pcp_lock) = list.lock.try_lock() else { return false };
        list.add(1);
        if list.count() > HIGH {
            self.free_bulk(&list, BATCH);
        }
        true
    }

    /// Takes this many pages from the zone, or none.
    fn rmqueue(&self, pages: i64) -> i64 {
        let _zone_lock = self.free.lock.lock_irq();
        let took = if self.free.count() >= pages { pages } else { 0 };
        self.free.add(-took);
        took
    }

    /// Moves pages of a processor's list back. The caller has the list's lock.
    fn free_bulk(&self, list: &Pages, pages: i64) {
        let _zone_lock = self.free.lock.lock_irq();
        list.add(-pages);
        self.free.add(pages);
    }

    /// Does something with the free pages locked.
    pub(super) fn under_lock(&self, f: impl FnOnce()) {
        let _zone_lock = self.free.lock.lock_irq();
        sched::must_hold(self.free.lock.is_mine(), || "the zone is looked at without zone->lock".to_owned());
        f();
    }

    /// Empties the lists of all processors (the kernel's `drain_all_pages`).
    pub(super) fn drain(&self) {
        let mut lists: Vec<_> = self.processors.iter().map(|list| (*list.key(), list.value().clone())).collect();
        lists.sort_by_key(|(processor, _)| *processor);
        for (_, list) in lists {
            let _pcp_lock = list.lock.lock();
            if list.count() > 0 {
                self.free_bulk(&list, list.count());
            }
        }
    }

    fn list(&self) -> Arc<Pages> {
        let me = sched::current();
        let new = || {
            let lock = SpinLock::new(&PCP_LOCK, ("processor", u64::from(me.0)));
            Arc::new(Pages { lock, count: AtomicI64::new(0) })
        };
        self.processors.entry(me).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_through_the_list_of_the_processor_and_none_is_lost() {
        let zone = Zone::new(20);
        assert!((0..20).all(|_| zone.take(1)));
        assert!(!zone.take(1));
        (0..20).for_each(|_| zone.give(1));
        assert_eq!(zone.free_pages(), 20);
        assert!(!zone.take(20), "some are in the list");
        zone.drain();
        assert!(zone.take(20));
        zone.give(20);
        assert_eq!(zone.free_pages(), 20);
    }
}
