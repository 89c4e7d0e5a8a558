//! The fast path: what one thread holds, and which acquisitions it has seen proven. Nothing here is shared.
//!
//! Acquire: one hash step over (held sequence, class, mode), one more over the line, one look into a direct-mapped cache,
//! one store into the stack. Whatever is not in the cache goes to `cold`.

use std::{cell::RefCell, mem::ManuallyDrop, panic::Location};

use lockdep_core::{Acquired, ChainCache, HeldStack, Mode, WaitKind};

use super::{cold, output::Verdict, state};
use crate::{Acquire, hooks::Record};

/// 32 KiB a thread, of which only what is used is ever touched.
const SLOTS: usize = 4096;

/// The process's own session.
pub(super) const PROCESS: u32 = 0;

/// What the runtime keeps for a thread.
pub(super) struct Thread {
    pub(super) held: HeldStack,
    pub(super) cache: ChainCache<SLOTS>,
    /// The state that this thread has attended to.
    pub(super) state: u32,
    /// Which session its acquisitions go to.
    pub(super) session: u32,
    /// Its number in reports; 0 until it needs one.
    pub(super) number: u32,
    /// The contexts that its stack knows to be watched.
    pub(super) watched: u64,
}

pub(super) type Cell = RefCell<Thread>;

thread_local! {
    // All zeros and without a destructor: no initialisation on access, and locks work in the destructors of others.
    static THREAD: ManuallyDrop<Cell> = const {
        ManuallyDrop::new(RefCell::new(Thread {
            held: HeldStack::new(),
            cache: ChainCache::new(),
            state: state::UNSET,
            session: PROCESS,
            number: 0,
            watched: 0,
        }))
    };
}

/// Calls `f` with this thread's cell.
#[inline]
pub(super) fn with<R>(f: impl FnOnce(&Cell) -> R) -> R {
    THREAD.with(|cell| f(cell))
}

/// Checks and records an acquisition. Panics, if that is the policy, in the name of the caller's caller.
#[inline]
#[track_caller]
pub(crate) fn acquire(record: &Record, how: Acquire, site: &'static Location<'static>) {
    let state = state::load();
    if state == state::OFF {
        return;
    }
    let verdict = with(|cell| {
        // A thread that is inside already is not watched.
        let Ok(mut thread) = cell.try_borrow_mut() else { return Verdict::GoOn };
        if let Some(id) = record.known_id().filter(|_| thread.state == state) {
            let acquired = Acquired::new(id.class().nested(how.subclass), how.mode, how.trylock);
            let key = thread.held.key().then(acquired);
            let point = key.at(std::ptr::from_ref(site).addr() as u64);
            if thread.cache.contains(point) {
                thread.held.push_keyed(acquired, id.instance(), point, key);
                return Verdict::GoOn;
            }
        }
        drop(thread);
        cold::acquire(cell, record, how, site)
    });
    verdict.carry_out();
}

/// Records a release by a guard.
#[inline]
pub(crate) fn release_guard(record: &Record) {
    let Some(instance) = release_held(record) else { return };
    cold::released_elsewhere(instance);
}

/// Records a release by hand.
#[inline]
#[track_caller]
pub(crate) fn release(record: &Record, site: &'static Location<'static>) {
    if release_held(record).is_some() {
        with(|cell| cold::release_unheld(cell, record, site)).carry_out();
    }
}

/// Takes the lock off the stack; returns its identity if it is not there.
#[inline]
fn release_held(record: &Record) -> Option<u64> {
    // With checking off, no lock ever got an identity.
    let instance = record.known_id()?.instance();
    with(|cell| {
        let mut thread = cell.try_borrow_mut().ok()?;
        thread.held.release(instance).is_none().then_some(instance)
    })
}

/// Records that a held lock is held in another mode.
pub(crate) fn set_mode(record: &Record, mode: Mode) {
    let Some(id) = record.known_id() else { return };
    with(|cell| {
        if let Ok(mut thread) = cell.try_borrow_mut() {
            thread.held.set_mode(id.instance(), mode);
        }
    });
}

/// Checks an upgrade and records it.
#[track_caller]
pub(crate) fn upgrade(record: &Record, site: &'static Location<'static>) {
    if state::load() != state::OFF {
        with(|cell| cold::again(cell, record, WaitKind::Upgrade, site)).carry_out();
    }
}

/// Checks that a held lock can be acquired again under everything else that is held, as after a wait.
#[track_caller]
pub(crate) fn reacquire(record: &Record, site: &'static Location<'static>) {
    if state::load() != state::OFF {
        with(|cell| cold::again(cell, record, WaitKind::Normal, site)).carry_out();
    }
}

/// Returns whether this thread holds the lock, if anybody knows.
pub(crate) fn is_held(record: &Record) -> Option<bool> {
    if state::load() == state::OFF {
        return None;
    }
    let Some(id) = record.known_id() else { return Some(false) };
    with(|cell| {
        let thread = cell.try_borrow().ok()?;
        Some(thread.held.iter().any(|lock| lock.instance() == id.instance()))
    })
}
