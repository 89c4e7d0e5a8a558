//! The fast path: an acquisition that a thread has seen proven. Nothing here is shared.
//!
//! Acquire: one hash step over (held sequence, class, mode), one more over the line, one look into a direct-mapped cache,
//! one store into the stack. Release: one store. Whatever is not in the cache, or not on top, goes to `cold`.
//!
//! It is inlined into every caller: the registers that a call would save are stores, and the atomic operation of the
//! lock, which comes next, waits for every store before it.

use std::panic::Location;

use lockdep_core::{Acquired, Mode, WaitKind};

use super::{
    cold, inside,
    lock_id::class_of,
    observe,
    record::Record,
    state,
    thread::{self, with},
};
use crate::Acquire;

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

/// Records a release by a guard, on behalf of the thread numbered `owner()`: this one, if it `is_owner`.
#[inline(always)]
pub(crate) fn release_guard(record: &Record, is_owner: bool, owner: impl FnOnce() -> u32) {
    let instance = record.word() as u64;
    if !(is_owner && with(|thread| thread.held.pop(instance))) {
        // With checking off, no lock ever got an identity.
        if instance != 0 {
            cold::release_for(instance, owner());
        }
    }
}

/// Records a release on behalf of whoever acquired the lock.
#[inline]
pub(crate) fn release_for(record: &Record, holder: u32) {
    let instance = record.word() as u64;
    if instance != 0 {
        cold::release_for(instance, holder);
    }
}

/// Gives this thread a number, unless checking is off.
pub(crate) fn introduce() {
    if thread::number() == 0 && state::load() != state::OFF {
        inside::introduce();
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

impl Drop for Record {
    #[inline]
    fn drop(&mut self) {
        dropped(self);
    }
}
