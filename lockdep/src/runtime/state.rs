//! The process's [`Attention`], and the process itself: whether it is still the one that all this was learnt in.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::attention::Attention;
pub(super) use super::attention::{OFF, UNSET};

/// What every fast path compares.
pub(super) static ATTENTION: Attention =
    Attention { word: AtomicU32::new(UNSET), orphans: Mutex::new(BTreeMap::new()) };

/// The process that all this was learnt in, and how many of its threads took part; 0 if none has yet.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static THREADS: AtomicU32 = AtomicU32::new(0);

/// Returns the word, to be compared only.
#[inline]
pub(super) fn load() -> u32 {
    ATTENTION.peek()
}

/// Says that one more thread takes part.
pub(super) fn thread_joins() {
    THREADS.fetch_add(1, Relaxed);
}

/// Returns whether this is the child of a process of several threads: the locks of the runtime may then be held, for ever,
/// by threads that the child does not have.
pub(super) fn is_orphaned() -> bool {
    let now = std::process::id();
    let before = PROCESS.load(Relaxed);
    if before == now {
        return false;
    }
    PROCESS.store(now, Relaxed);
    before != 0 && THREADS.load(Relaxed) > 1
}
