//! The fast path: what one thread holds, and which acquisitions it has seen proven. Nothing here is shared.
//!
//! Acquire: one hash step over (held sequence, class, mode), one more over the line, one look into a direct-mapped cache,
//! one store into the stack. Release: one store. Whatever is not in the cache, or not on top, goes to `cold`.
//!
//! It is inlined into every caller: the registers that a call would save are stores, and the atomic operation of the
//! lock, which comes next, waits for every store before it.
//!
//! Everything is a cell of its own. While a thread is inside the runtime, `attended` says that it has attended to
//! nothing, and the stack is frozen, which sends whatever it causes meanwhile to `cold`, and that sees that the thread is
//! inside already.

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
    panic::Location,
};

use lockdep_core::{Acquired, HeldStack, Mode, SegmentId, WaitKind};

use super::{cold, observe, proven::Proven, session::Session, state};
use crate::{
    Acquire,
    hooks::{Owner, Record, api::Holder, class_of},
};

/// The process's own session.
pub(super) const PROCESS: u32 = 0;

/// What the runtime keeps for a thread.
pub(super) struct Thread {
    /// The state that this thread has attended to; [`state::UNSET`] while it is inside the runtime.
    pub(super) attended: Cell<u32>,
    /// The session that its acquisitions go to, if it is not the process's own.
    pub(super) session: RefCell<Option<Session>>,
    /// Its number in reports; 0 until it needs one.
    pub(super) number: Cell<u32>,
    /// The contexts that its stack knows to be watched.
    pub(super) watched: Cell<u64>,
    /// How often everything was called into doubt that its cache knows of.
    pub(super) doubts: Cell<u32>,
    /// Its segment in its session, as far as spawns and joins tell.
    pub(super) segment: Cell<SegmentId>,
    /// How many sessions deep it has entered.
    pub(super) depth: Cell<u32>,
    /// Whether it is inside the runtime, so that what it does is not watched.
    pub(super) inside: Cell<bool>,
    pub(super) held: HeldStack,
    pub(super) proven: Proven,
}

thread_local! {
    // Constant and without a destructor: no initialisation on access, and locks work in the destructors of others.
    static THREAD: ManuallyDrop<Thread> = const {
        ManuallyDrop::new(Thread {
            attended: Cell::new(state::UNSET),
            session: RefCell::new(None),
            number: Cell::new(0),
            watched: Cell::new(0),
            doubts: Cell::new(0),
            segment: Cell::new(SegmentId::UNKNOWN),
            depth: Cell::new(0),
            inside: Cell::new(false),
            held: HeldStack::new(),
            proven: Proven::new(),
        })
    };
}

impl Thread {
    /// Forgets what is proven. As if inside, since giving memory back may take locks.
    pub(super) fn forget_proven(&self) {
        cold::unwatched(|| self.proven.clear());
    }
}

/// Calls `f` with this thread's account. Small closures only, on the fast path: large ones are not inlined.
#[inline]
pub(super) fn with<R>(f: impl FnOnce(&Thread) -> R) -> R {
    THREAD.with(|thread| f(thread))
}

/// Checks and records an acquisition. Panics, if that is the policy, in the name of the caller's caller. Returns whether
/// somebody wants to see how the lock is got; the fast path is closed then.
#[inline(always)]
#[track_caller]
pub(crate) fn acquire(record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    let state = state::load();
    // So that what is laid out first is the fast path: all the others end in one cold call.
    if with(|thread| thread.attended.get()) == state {
        if push_proven(record, how, site) {
            return false;
        }
    } else if state == state::OFF {
        return false;
    }
    cold::acquire(record, how, site)
}

/// Pushes an acquisition if it has been proven; returns whether it has.
#[inline(always)]
fn push_proven(record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    // A deep stack is not for code that is at every place which acquires.
    let Some((top, key)) = with(|thread| thread.held.top_in_place()) else { return false };
    // A lock without an identity is of class 0, of which nothing is ever proven.
    let word = record.word();
    let acquired = Acquired::new(class_of(word).nested(how.subclass), how.mode, how.trylock);
    let key = key.then(acquired);
    let point = key.at(std::ptr::from_ref(site).addr() as u64);
    let proven = with(|thread| thread.proven.contains(point));
    if proven {
        with(|thread| thread.held.push_in_place(top, acquired, word as u64, point, key));
    }
    proven
}

/// Records a release by a guard.
#[inline(always)]
pub(crate) fn release_guard(record: &Record, owner: &Owner) {
    let instance = record.word() as u64;
    if !(owner.is_current() && with(|thread| thread.held.pop(instance))) {
        // With checking off, no lock ever got an identity.
        if instance != 0 {
            cold::release_for(instance, owner.holder().number());
        }
    }
}

/// Records a release on behalf of whoever acquired the lock.
#[inline]
pub(crate) fn release_for(record: &Record, holder: Holder) {
    let instance = record.word() as u64;
    if instance != 0 {
        cold::release_for(instance, holder.number());
    }
}

/// Returns this thread's number in reports; 0 if it has none yet.
#[inline(always)]
pub(crate) fn number() -> u32 {
    with(|thread| thread.number.get())
}

/// Gives this thread a number, unless checking is off.
pub(crate) fn introduce() {
    if number() == 0 && state::load() != state::OFF {
        cold::introduce();
    }
}

/// Records a release by hand.
#[inline]
#[track_caller]
pub(crate) fn release(record: &Record, site: &'static Location<'static>) {
    let instance = record.word() as u64;
    if !with(|thread| thread.held.pop(instance)) && instance != 0 {
        cold::release(record, instance, site);
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
    observe::changed_mode(id.instance(), mode);
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

/// Checks and records that this thread waits for all who hold the lock, and does not hold it afterwards.
#[track_caller]
pub(crate) fn sync(record: &Record, how: Acquire, site: &'static Location<'static>) {
    if state::load() != state::OFF {
        cold::sync(record, how, site);
    }
}

/// The lock is gone. Only a guard that was forgotten can have left it behind held.
#[inline]
pub(crate) fn dropped(record: &Record) {
    if record.word() != 0 && !with(|thread| thread.held.is_empty()) {
        cold::dropped(record);
    }
}

/// Returns how many locks this thread holds, if anybody knows.
pub(crate) fn held_count() -> Option<usize> {
    if state::load() == state::OFF {
        return None;
    }
    cold::introduce();
    with(|thread| (!thread.inside.get()).then(|| thread.held.len()))
}

/// Returns how this thread holds the lock, if anybody knows.
pub(crate) fn held_mode(record: &Record) -> Option<Option<Mode>> {
    if state::load() == state::OFF || !record.rules().tracked {
        return None;
    }
    let Some(id) = record.known_id() else { return Some(None) };
    if with(|thread| thread.attended.get()) != state::load() {
        // Another thread may have released it meanwhile.
        cold::introduce();
    }
    with(|thread| (!thread.inside.get()).then(|| thread.held.find(id.instance()).map(|lock| lock.mode())))
}
