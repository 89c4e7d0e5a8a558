//! What the processors remember of page tables.
//!
//! Every actor has a processor of its own, whose TLB never forgets an entry by itself: the hardest case. An entry stays
//! when the page table changes, until somebody flushes. So whoever takes a page away or makes it read-only has to flush
//! before the page is freed, or before anybody relies on nobody writing to it. A flush comes between two accesses of a
//! processor, as the interrupt that asks for it does: an access that is under way ends first, and what its walk has put
//! into the TLB is flushed too, even if it came by a table that is out of the page tables by then.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::sched::ActorId;

/// Process, page and processor: in this order, so that the entries of a range of pages are neighbours.
type Key = (u64, u64, ActorId);

#[derive(Clone, Copy)]
struct Cached {
    pfn: u64,
    /// The page-table entry was writable and dirty already, so a store asks it no more.
    stores: bool,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Key, Cached>,
    /// The same by frame.
    frames: BTreeSet<(u64, Key)>,
}

/// The TLBs of all processors of one machine.
#[derive(Default)]
pub(crate) struct Tlb {
    state: Mutex<State>,
    accesses: RwLock<()>,
}

impl Tlb {
    /// What an access holds from looking into the TLB, or walking the page tables, to having used the page.
    pub(crate) fn access(&self) -> RwLockReadGuard<'_, ()> {
        self.accesses.read()
    }

    /// Waits until the accesses that are under way have ended: a table or a page that was taken out before is then known
    /// only to those who walk under locks or RCU.
    pub(crate) fn await_accesses(&self) {
        drop(self.accesses.write());
    }

    /// Returns the frame that this processor uses for a page without looking into the page tables.
    pub(crate) fn lookup(&self, cpu: ActorId, mm: u64, page: u64, store: bool) -> Option<u64> {
        let state = self.state.lock();
        state.entries.get(&(mm, page, cpu)).filter(|cached| cached.stores || !store).map(|cached| cached.pfn)
    }

    /// Remembers what a walk of the page tables has found.
    pub(crate) fn fill(&self, cpu: ActorId, mm: u64, page: u64, pfn: u64, stores: bool) {
        let mut state = self.state.lock();
        let key = (mm, page, cpu);
        if let Some(old) = state.entries.insert(key, Cached { pfn, stores }) {
            state.frames.remove(&(old.pfn, key));
        }
        state.frames.insert((pfn, key));
    }

    /// Makes every processor forget these pages of a process, once the accesses that are under way have ended. The entries
    /// have been changed before, those of the tables above included.
    pub(crate) fn flush(&self, mm: u64, pages: Range<u64>) {
        // First: who walks now may have read the upper entries as they were, and is about to remember what they led to.
        let _between_accesses = self.accesses.write();
        let mut state = self.state.lock();
        let all = (mm, pages.start, ActorId(0))..(mm, pages.end, ActorId(0));
        let gone: Vec<_> = state.entries.range(all).map(|(&key, cached)| (cached.pfn, key)).collect();
        for (pfn, key) in gone {
            state.entries.remove(&key);
            state.frames.remove(&(pfn, key));
        }
    }

    /// Returns a process and a page of it for which some processor still uses one of these frames.
    pub(crate) fn stale(&self, frames: Range<u64>) -> Option<(u64, u64)> {
        let first = (0, 0, ActorId(0));
        let state = self.state.lock();
        state.frames.range((frames.start, first)..(frames.end, first)).next().map(|&(_, (mm, page, _))| (mm, page))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const A: ActorId = ActorId(0);
    const B: ActorId = ActorId(1);

    #[test]
    fn an_entry_stays_until_it_is_flushed_on_every_processor() {
        let tlb = Tlb::default();
        tlb.fill(A, 7, 3, 100, true);
        tlb.fill(B, 7, 3, 100, false);
        assert_eq!((tlb.lookup(A, 7, 3, true), tlb.lookup(B, 7, 3, true)), (Some(100), None), "a store asks first");
        assert_eq!((tlb.lookup(B, 7, 3, false), tlb.lookup(A, 8, 3, false)), (Some(100), None));
        tlb.flush(7, 4..9);
        assert_eq!(tlb.stale(100..101), Some((7, 3)));
        tlb.flush(7, 3..4);
        assert_eq!((tlb.stale(100..101), tlb.lookup(A, 7, 3, false)), (None, None));
    }

    #[test]
    fn a_new_entry_for_a_page_replaces_the_old_one() {
        let tlb = Tlb::default();
        tlb.fill(A, 7, 3, 100, true);
        tlb.fill(A, 7, 3, 200, false);
        assert_eq!((tlb.stale(100..101), tlb.stale(150..201)), (None, Some((7, 3))));
    }

    /// A processor has read the upper entries, then a table is taken out from under them, and the processor fills its TLB
    /// with what that table has.
    #[test]
    fn a_flush_takes_along_what_an_access_that_was_under_way_has_found() {
        let tlb = Tlb::default();
        thread::scope(|scope| {
            let access = tlb.access();
            let flush = scope.spawn(|| tlb.flush(7, 0..9));
            // Nobody new gets in once the flush waits.
            while tlb.accesses.try_read().is_some() {
                thread::yield_now();
            }
            tlb.fill(A, 7, 3, 100, true);
            drop(access);
            flush.join().expect("a flush ends with the accesses");
        });
        assert_eq!(tlb.stale(100..101), None);
    }
}
