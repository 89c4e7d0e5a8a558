//! [`Attention`]: one word that every fast path reads: whether checking is off, or the number of the latest thing that all
//! threads must attend to before they go on.
//!
//! * A guard that another thread drops leaves an entry in the stack of the thread that acquired it, its owner. The dropping
//!   thread puts the lock here and raises the number; the owner, on its next acquisition, sees the number and takes its
//!   entry out. Nobody else does, though others may have the lock on their stacks, since they wait for it or read it, too.
//! * The number is also raised when a session begins to watch a context, when what is proven is called into doubt, when
//!   somebody wants to see everything.
//!
//! Whoever raises it has published first what there is to attend to, and who attends to it sees that; the fast path only
//! compares numbers, so its load is a plain one.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use super::sync::{AtomicU32, Mutex};

/// Nobody has looked at the environment yet.
pub(super) const UNSET: u32 = 0;
/// Checking is off for the whole run.
pub(super) const OFF: u32 = u32::MAX;

/// What all threads attend to.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) word: AtomicU32,
    /// Locks that were released by others than their owners, by owner.
    pub(super) orphans: Mutex<BTreeMap<u32, Vec<u64>>>,
}

impl Attention {
    /// Returns the word, to be compared only.
    #[inline]
    pub(super) fn peek(&self) -> u32 {
        self.word.load(Relaxed)
    }

    /// Returns the word. What was published before it was raised is seen from now on.
    pub(super) fn attend(&self) -> u32 {
        self.word.load(Acquire)
    }

    /// Sets the word for the first time.
    pub(super) fn start(&self, on: bool) {
        let first = if on { 1 } else { OFF };
        // Whoever comes second has read the same environment.
        let _ = self.word.compare_exchange(UNSET, first, Release, Relaxed);
    }

    /// Switches checking off, for good.
    pub(super) fn switch_off(&self) {
        self.word.swap(OFF, Release);
    }

    /// Makes every thread attend to what was published before.
    pub(super) fn advance(&self) {
        // It comes around after four thousand million things, of which nobody will have missed all.
        let next = |word| match word {
            UNSET | OFF => None,
            word if word + 1 == OFF => Some(1),
            word => Some(word + 1),
        };
        let _ = self.word.fetch_update(Release, Relaxed, next);
    }

    /// Says that another thread has released the lock `instance`, which `owner` acquired.
    pub(super) fn orphan(&self, owner: u32, instance: u64) {
        self.orphans.lock().entry(owner).or_default().push(instance);
        self.advance();
    }

    /// Calls `release` with each lock of `owner` that others have released, and forgets those for which it returns true.
    pub(super) fn adopt(&self, owner: u32, release: impl FnMut(u64) -> bool) {
        let Some(mut orphans) = self.orphans.lock().remove(&owner) else { return };
        // In no lock: it may be a long way to the end of a release.
        let mut release = release;
        orphans.retain(|instance| !release(*instance));
        if !orphans.is_empty() {
            self.orphans.lock().entry(owner).or_default().extend(orphans);
        }
    }
}
