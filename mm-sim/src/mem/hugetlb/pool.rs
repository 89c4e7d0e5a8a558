//! The pool of huge pages: how many are free, and how many of those are promised.
//!
//! Lock order: `hugetlb_lock`, the innermost. The pages of the pool are taken from memory when the pool grows and stay
//! taken; a huge page that comes out of it is a folio with a number of its own, like any other.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use parking_lot::Mutex;

use crate::{
    classes::HUGETLB_LOCK,
    finding::Invariant,
    mem::{Folio, FolioKind, HUGE_PAGES, Memory, local_node},
    sched,
    sync::SpinLock,
};

/// What the pool has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) free: u64,
    /// How many of the free ones are promised.
    pub(crate) reserved: u64,
}

/// The kernel's `struct hstate` of the one size there is.
pub(crate) struct HugetlbPool {
    lock: SpinLock,
    counts: Mutex<Counts>,
}

impl HugetlbPool {
    /// An empty pool.
    pub(crate) fn new() -> Self {
        Self { lock: SpinLock::new(&HUGETLB_LOCK, ("pool", 0)), counts: Mutex::default() }
    }

    /// Returns what it has, without a lock: for invariants.
    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    /// Promises `count` pages, if there are as many that nobody has been promised.
    #[track_caller]
    pub(crate) fn reserve(&self, count: u64) -> bool {
        let _hugetlb_lock = self.lock.lock_irq();
        self.change(|counts| {
            let enough = counts.free.saturating_sub(counts.reserved) >= count;
            counts.reserved += if enough { count } else { 0 };
            enough
        })
    }

    /// Takes promises back.
    #[track_caller]
    pub(crate) fn unreserve(&self, count: u64) {
        if count > 0 {
            let _hugetlb_lock = self.lock.lock_irq();
            self.change(|counts| counts.reserved = counts.reserved.wrapping_sub(count));
        }
    }

    /// Takes a page out: a promised one, or one that nobody has been promised.
    #[track_caller]
    pub(crate) fn dequeue(&self, memory: &Memory, promised: bool) -> Option<Arc<Folio>> {
        let _hugetlb_lock = self.lock.lock_irq();
        let taken = self.change(|counts| {
            let there_is = if promised { counts.free > 0 } else { counts.free > counts.reserved };
            counts.free -= u64::from(there_is);
            counts.reserved = counts.reserved.wrapping_sub(u64::from(there_is && promised));
            there_is
        });
        taken.then(|| {
            let folio = memory.make_folio(FolioKind::Hugetlb, HUGE_PAGES, local_node());
            folio.is_promised.store(promised, Relaxed);
            folio
        })
    }

    /// Marks a page that is in use as broken, and takes a reference. Returns whether it had not been marked, or `None` if it is
    /// not in use.
    #[track_caller]
    pub(crate) fn get_for_hwpoison(&self, folio: &Folio) -> Option<bool> {
        let _hugetlb_lock = self.lock.lock_irq();
        sched::must_hold(self.lock.is_mine(), || format!("huge page {} is marked without hugetlb_lock", folio.pfn));
        if folio.is_broken.load(Relaxed) {
            return Some(false);
        }
        let is_used = folio.place().is_some() && folio.try_get();
        is_used.then(|| !folio.is_broken.swap(true, Relaxed))
    }

    /// Puts a page back, unless it is broken. One that was taken as a promise and not used for it is promised again.
    #[track_caller]
    pub(crate) fn enqueue(&self, memory: &Memory, folio: &Folio) {
        let _hugetlb_lock = self.lock.lock_irq();
        if folio.is_broken.load(Relaxed) {
            memory.free_folio(folio);
            self.change(|counts| counts.total -= 1);
        } else if memory.forget_folio(folio) {
            let promised = folio.is_promised.load(Relaxed);
            self.change(|counts| {
                counts.free += 1;
                counts.reserved = counts.reserved.wrapping_add(u64::from(promised));
            });
        }
    }

    /// Adds `count` pages that were taken from memory.
    #[track_caller]
    pub(crate) fn grow(&self, count: u64) {
        let _hugetlb_lock = self.lock.lock_irq();
        self.change(|counts| {
            counts.total += count;
            counts.free += count;
        });
    }

    /// Gives up to `count` pages that are free and not promised. Returns how many.
    #[track_caller]
    pub(crate) fn shrink(&self, count: u64) -> u64 {
        let _hugetlb_lock = self.lock.lock_irq();
        self.change(|counts| {
            let count = count.min(counts.free.saturating_sub(counts.reserved));
            counts.total -= count;
            counts.free -= count;
            count
        })
    }

    /// Changes the counts. More promises taken back than there are shows as a great many of them.
    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        sched::must_hold(self.lock.is_mine(), || "the pool of huge pages is changed without hugetlb_lock".to_owned());
        let mut counts = self.counts.lock();
        let result = change(&mut counts);
        let now = *counts;
        drop(counts);
        if now.reserved > now.free || now.free > now.total {
            sched::finding(Invariant::ReservationBroken, format!("the pool of huge pages has {now:?}"));
        }
        result
    }
}
