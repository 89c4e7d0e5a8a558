//! One word that every fast path reads: whether checking is off, or the number of the latest thing that all threads must
//! attend to before they go on.
//!
//! A guard that another thread drops leaves an entry in the stack of the thread that acquired it. The dropping thread
//! puts the lock here and raises the number; the owner, on its next acquisition, sees the number and takes its entry out.
//! The number is also raised when a session begins to watch a context.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;

/// Nobody has looked at the environment yet.
pub(super) const UNSET: u32 = 0;
/// Checking is off for the whole run.
pub(super) const OFF: u32 = u32::MAX;

static STATE: AtomicU32 = AtomicU32::new(UNSET);
static ORPHANS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// How many locks wait for the threads that acquired them; beyond, the oldest is given up (its thread has ended).
const ORPHANS_MAX: usize = 1024;

/// The process that all this was learnt in, and how many of its threads took part; 0 if none has yet.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static THREADS: AtomicU32 = AtomicU32::new(0);

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

/// Returns the word.
#[inline]
pub(super) fn load() -> u32 {
    STATE.load(Relaxed)
}

/// Sets the word for the first time.
pub(super) fn start(on: bool) {
    let first = if on { 1 } else { OFF };
    // Whoever comes second has read the same environment.
    let _ = STATE.compare_exchange(UNSET, first, Relaxed, Relaxed);
}

/// Switches checking off, for good: something inside has failed.
pub(super) fn switch_off() {
    STATE.store(OFF, Relaxed);
}

/// Says that the lock `instance` was released by a thread that had not acquired it.
pub(super) fn orphan(instance: u64) {
    let mut orphans = ORPHANS.lock();
    if orphans.len() == ORPHANS_MAX {
        orphans.remove(0);
    }
    orphans.push(instance);
    advance();
}

/// Makes every thread attend to something before it goes on.
pub(super) fn advance() {
    let _ = STATE.fetch_update(Relaxed, Relaxed, |state| (state < OFF - 1).then_some(state + 1));
}

/// Calls `release` with each lock that waits for its thread, and forgets those for which it returns true.
pub(super) fn adopt(mut release: impl FnMut(u64) -> bool) {
    ORPHANS.lock().retain(|instance| !release(*instance));
}
