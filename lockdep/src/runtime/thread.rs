//! The fast path: what one thread holds, and which acquisitions it has seen proven. Nothing here is shared.
//!
//! Acquire: one hash step over (held sequence, class, mode), one more over the line, one look into a direct-mapped cache,
//! one store into the stack. Release: one store. Whatever is not in the cache, or not on top, goes to `cold`.
//!
//! Everything is a cell of its own. While a thread is inside the runtime, `attended` says that it has attended to
//! nothing, which sends whatever it causes meanwhile to `cold`, and that sees that the thread is inside already.

use std::{cell::Cell, mem::ManuallyDrop, panic::Location};

use lockdep_core::{Acquired, ChainCache, HeldStack, Mode, WaitKind};

use super::{cold, state};
use crate::{Acquire, hooks::Record};

/// 32 KiB a thread, of which only what is used is ever touched.
const SLOTS: usize = 4096;

/// The process's own session.
pub(super) const PROCESS: u32 = 0;

/// What the runtime keeps for a thread.
pub(super) struct Thread {
    /// The state that this thread has attended to; [`state::UNSET`] while it is inside the runtime.
    pub(super) attended: Cell<u32>,
    /// Which session its acquisitions go to.
    pub(super) session: Cell<u32>,
    /// Its number in reports; 0 until it needs one.
    pub(super) number: Cell<u32>,
    /// The contexts that its stack knows to be watched.
    pub(super) watched: Cell<u64>,
    /// Whether it is inside the runtime, so that what it does is not watched.
    pub(super) inside: Cell<bool>,
    pub(super) held: HeldStack,
    pub(super) cache: ChainCache<SLOTS>,
}

thread_local! {
    // All zeros and without a destructor: no initialisation on access, and locks work in the destructors of others.
    static THREAD: ManuallyDrop<Thread> = const {
        ManuallyDrop::new(Thread {
            attended: Cell::new(state::UNSET),
            session: Cell::new(PROCESS),
            number: Cell::new(0),
            watched: Cell::new(0),
            inside: Cell::new(false),
            held: HeldStack::new(),
            cache: ChainCache::new(),
        })
    };
}

/// Calls `f` with this thread's account. Small closures only, on the fast path: large ones are not inlined.
#[inline]
pub(super) fn with<R>(f: impl FnOnce(&Thread) -> R) -> R {
    THREAD.with(|thread| f(thread))
}

/// Checks and records an acquisition. Panics, if that is the policy, in the name of the caller's caller.
#[inline]
#[track_caller]
pub(crate) fn acquire(record: &Record, how: Acquire, site: &'static Location<'static>) {
    let state = state::load();
    if state != state::OFF && !push_proven(state, record, how, site) {
        cold::acquire(record, how, site);
    }
}

/// Pushes an acquisition if it has been proven; returns whether it has.
#[inline]
fn push_proven(state: u32, record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    let Some(id) = record.known_id() else { return false };
    let acquired = Acquired::new(id.class().nested(how.subclass), how.mode, how.trylock);
    let key = with(|thread| thread.held.key()).then(acquired);
    let point = key.at(std::ptr::from_ref(site).addr() as u64);
    let proven = with(|thread| thread.attended.get() == state && thread.cache.contains(point));
    if proven {
        with(|thread| thread.held.push_keyed(acquired, id.instance(), point, key));
    }
    proven
}

/// Takes the lock off the top of the stack; returns whether it was there.
#[inline]
fn pop(instance: u64) -> bool {
    with(|thread| thread.attended.get() != state::UNSET && thread.held.pop(instance))
}

/// Records a release by a guard.
#[inline]
pub(crate) fn release_guard(record: &Record) {
    // With checking off, no lock ever got an identity.
    let Some(id) = record.known_id() else { return };
    if !pop(id.instance()) {
        cold::release_guard(id.instance());
    }
}

/// Records a release by hand.
#[inline]
#[track_caller]
pub(crate) fn release(record: &Record, site: &'static Location<'static>) {
    let Some(id) = record.known_id() else { return };
    if !pop(id.instance()) {
        cold::release(record, id.instance(), site);
    }
}

/// Records that a held lock is held in another mode.
pub(crate) fn set_mode(record: &Record, mode: Mode) {
    let Some(id) = record.known_id() else { return };
    with(|thread| {
        if !thread.inside.get() {
            thread.held.set_mode(id.instance(), mode);
        }
    });
}

/// Checks an upgrade and records it.
#[track_caller]
pub(crate) fn upgrade(record: &Record, site: &'static Location<'static>) {
    if state::load() != state::OFF {
        cold::again(record, WaitKind::Upgrade, site);
    }
}

/// Checks that a held lock can be acquired again under everything else that is held, as after a wait.
#[track_caller]
pub(crate) fn reacquire(record: &Record, site: &'static Location<'static>) {
    if state::load() != state::OFF {
        cold::again(record, WaitKind::Normal, site);
    }
}

/// Returns whether this thread holds the lock, if anybody knows.
pub(crate) fn is_held(record: &Record) -> Option<bool> {
    if state::load() == state::OFF {
        return None;
    }
    let Some(id) = record.known_id() else { return Some(false) };
    with(|thread| (!thread.inside.get()).then(|| thread.held.find(id.instance()).is_some()))
}
