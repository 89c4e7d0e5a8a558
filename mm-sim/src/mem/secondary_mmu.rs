//! A secondary MMU: page tables of a guest for the memory of a process.
//!
//! It keeps no references to what it maps. The mm tells it before entries change, and when they have
//! ([`mmu_notifier`](crate::op::mmu_notifier)); in between, and if such a change came while a page was being looked up,
//! nothing is mapped. Its lock is a spinning one, under whatever the teller holds.

use std::{collections::BTreeMap, ops::Range};

use parking_lot::{Mutex, MutexGuard};

use crate::{classes::KVM_MMU_LOCK, finding::Invariant, sched, sync::SpinLock};

/// What the guest's tables have for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    pub(crate) pfn: u64,
    pub(crate) write: bool,
}

#[derive(Default)]
struct State {
    shadows: BTreeMap<u64, Shadow>,
    in_progress: i64,
    seq: u64,
}

/// The page tables of one guest.
pub(crate) struct SecondaryMmu {
    id: u64,
    mmu_lock: SpinLock,
    state: Mutex<State>,
}

impl SecondaryMmu {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, mmu_lock: SpinLock::new(&KVM_MMU_LOCK, ("guest", id)), state: Mutex::default() }
    }

    /// Forgets pages whose entries are about to change.
    #[track_caller]
    pub(crate) fn invalidate_start(&self, pages: Range<u64>) {
        let _mmu_lock = self.mmu_lock.lock();
        let mut state = self.locked();
        state.in_progress += 1;
        let gone: Vec<u64> = state.shadows.range(pages).map(|(&page, _)| page).collect();
        gone.iter().for_each(|page| {
            state.shadows.remove(page);
        });
    }

    /// The change is over.
    #[track_caller]
    pub(crate) fn invalidate_end(&self) {
        let _mmu_lock = self.mmu_lock.lock();
        let mut state = self.locked();
        state.seq += 1;
        state.in_progress -= 1;
        if state.in_progress < 0 {
            let text = format!("guest {} is told that a change ends of which it was not told", self.id);
            sched::finding(Invariant::NotifierMissed, text);
        }
    }

    /// The state, for who changes it.
    fn locked(&self) -> MutexGuard<'_, State> {
        sched::must_hold(self.mmu_lock.is_mine(), || {
            format!("the tables of guest {} change without mmu_lock", self.id)
        });
        self.state.lock()
    }

    /// Returns the number that tells whether a change has come in between.
    pub(crate) fn seq(&self) -> u64 {
        self.state.lock().seq
    }

    /// Returns whether entries are changing now: nothing is mapped until that is over.
    pub(crate) fn is_changing(&self) -> bool {
        self.state.lock().in_progress > 0
    }

    /// Maps a page that was looked up when the number was `seq`, unless a change is under way or has been since. Returns
    /// whether it did.
    #[track_caller]
    pub(crate) fn map(&self, page: u64, shadow: Shadow, seq: u64) -> bool {
        let _mmu_lock = self.mmu_lock.lock();
        let mut state = self.locked();
        let is_valid = state.in_progress == 0 && state.seq == seq;
        if is_valid {
            state.shadows.insert(page, shadow);
        }
        is_valid
    }

    /// Returns what the guest's hardware finds for a page.
    pub(crate) fn lookup(&self, page: u64, store: bool) -> Option<u64> {
        self.state.lock().shadows.get(&page).filter(|shadow| shadow.write || !store).map(|shadow| shadow.pfn)
    }

    /// Returns the first of some pages that is mapped.
    pub(crate) fn has_any(&self, pages: Range<u64>) -> Option<u64> {
        self.state.lock().shadows.range(pages).next().map(|(&page, _)| page)
    }

    /// Returns a page that is mapped to one of these frames.
    pub(crate) fn mapped(&self, frames: &Range<u64>) -> Option<u64> {
        self.state.lock().shadows.iter().find(|(_, shadow)| frames.contains(&shadow.pfn)).map(|(&page, _)| page)
    }
}
