//! Everything an acquisition can lead to besides the fast path: a new point, a new dependency, a report.
//!
//! While a thread is in here, whatever this code causes on the way (an allocator, a logger, a subscriber with locks of
//! its own) is not watched. Only a panic waits until the thread is outside again.

use std::{
    panic::Location,
    sync::atomic::{Ordering::SeqCst, compiler_fence},
};

use lockdep_core::{
    Acquired, Mode, Request, WaitKind,
    event::{Action, Lock},
    explain::release_unheld as unheld_report,
};

use super::{
    attempt::{Attempt, Place},
    classes, findings,
    inside::{inside, take},
    names, observe,
    output::{self, Verdict},
    pins,
    record::Record,
    state,
    thread::{self, Thread, unwatched},
    trace, wanted,
};
use crate::Acquire;

/// Checks and records an acquisition that the cache does not know. Returns whether somebody wants to see how the lock is got.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn acquire(record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    if thread::with(|thread| push_known(thread, record, how, site)) {
        return false;
    }
    acquire_placed(record, how, Place::of(record), site);
    wanted::is_on()
}

/// As [`acquire`], with what the acquisition says of the lock's place within its class.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn acquire_placed(record: &Record, how: Acquire, place: Place, site: &'static Location<'static>) {
    if !record.rules().tracked {
        return;
    }
    inside(|thread, session| {
        let attempt = Attempt::new(record, how, place, site);
        let verdict = attempt.check(thread, session);
        if matches!(verdict, Verdict::GoOn) {
            attempt.push(&thread.held);
            observe::acquired(thread, session, &attempt);
        } else {
            observe::refused(thread, &attempt);
        }
        verdict
    })
    .carry_out();
}

/// Checks a wait for all who hold the lock, which is not held afterwards.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn sync(record: &Record, how: Acquire, site: &'static Location<'static>) {
    if !record.rules().tracked {
        return;
    }
    inside(|thread, session| {
        let attempt = Attempt { sync: true, ..Attempt::new(record, how, Place::of(record), site) };
        observe::synced(thread, &attempt);
        attempt.check(thread, session)
    })
    .carry_out();
}

/// Tells of a lock that is destroyed while this thread holds it, and takes it off the stack.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn dropped(record: &Record) {
    let site = Location::caller();
    let Some(id) = record.known_id() else { return };
    let is_free = thread::with(|thread| {
        // Up to date, it knows what it holds.
        thread.attended.get() == state::load() && thread.held.find(id.instance()).is_none()
    });
    if is_free {
        return;
    }
    inside(|thread, session| {
        if thread.held.find(id.instance()).is_none() {
            return Verdict::GoOn;
        }
        trace::other(thread, None, || Action::Free(Lock { class: None, instance: id.instance() }));
        let learnt = session.learnt.lock();
        let violation = learnt.validator.free(&thread.held, id.instance());
        let how = Acquired::new(id.class(), Mode::Exclusive, false);
        let request = Request { how, instance: id.instance(), ..findings::at_place(thread, session, Some(site)) };
        let verdict = findings::conclude(violation.as_slice(), &request, &thread.held, session, learnt);
        thread.held.release(id.instance());
        verdict
    })
    .carry_out();
}

/// Pushes an acquisition that this thread has seen proven but not where the fast path looks: elsewhere in the table, on a
/// deep stack, of a lock that is new, of these very locks of one class. Returns whether it has. It takes no lock and no
/// memory, so it need not be inside.
fn push_known(thread: &Thread, record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    if thread.attended.get() != state::load() || !record.rules().tracked {
        return false;
    }
    let Some(id) = record.id_at_hand() else { return false };
    let acquired = Acquired::new(id.class().nested(how.subclass), how.mode, how.trylock);
    let key = thread.held.key_with(acquired);
    let point = key.at(std::ptr::from_ref(site).addr() as u64);
    let within = || thread.held.point_within(acquired.class(), id.instance(), point);
    let known = thread.proven.find(point) || within().is_some_and(|exact| thread.proven.find_exact(exact));
    if known {
        thread.held.push_keyed(acquired, id.instance(), point, key);
    }
    known
}

/// Checks that a lock which this thread holds can be acquired again: to be upgraded, or after a wait.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn again(record: &Record, wait: WaitKind, site: &'static Location<'static>) {
    inside(|thread, session| {
        let Some(id) = record.known_id() else { return Verdict::GoOn };
        let Some(held) = thread.held.find(id.instance()) else { return Verdict::GoOn };
        let mode = if wait == WaitKind::Upgrade { Mode::Exclusive } else { held.mode() };
        let place = Place { rank: thread.held.rank(id.instance()), nest: None };
        let acquired = Acquired::new(held.class(), mode, false);
        let attempt = Attempt { record, acquired, wait, place, site, sync: false };
        if wait == WaitKind::Upgrade {
            let verdict = attempt.check(thread, session);
            thread.held.set_mode(id.instance(), mode);
            observe::upgraded(thread, &attempt);
            return verdict;
        }
        observe::releasing(thread, held);
        thread.held.release(id.instance());
        let verdict = attempt.check(thread, session);
        // Whatever was found, the guard is still there, and the lock is held again when the wait is over.
        attempt.push(&thread.held);
        observe::acquired(thread, session, &attempt);
        verdict
    })
    .carry_out();
}

/// Takes a lock off the stack from under others, if nothing more need be done. Returns whether it has.
///
/// This is how locks are coupled, so it is done as [`Inside`](thread::Inside), but without what a stack with nothing special above its floor
/// has no need of.
fn pull(thread: &Thread, instance: u64) -> bool {
    // Inside, and while somebody wants to see everything, the stack is frozen; but a signal may have come on the way inside.
    let Some(floor) = thread.held.floor() else { return false };
    let inside = thread.inside.replace(true);
    let attended = thread.attended.replace(state::UNSET);
    compiler_fence(SeqCst);
    let pulled = thread.held.pull(instance, floor);
    compiler_fence(SeqCst);
    thread.inside.set(inside);
    thread.attended.set(attended);
    pulled
}

/// Takes the lock off the stack of the thread numbered `holder`, which acquired it.
#[cold]
#[inline(never)]
pub(super) fn release_for(instance: u64, holder: u32) {
    let own = thread::number() == holder;
    if own && thread::with(|thread| pull(thread, instance)) {
        return;
    }
    let verdict = if own { pins::check_release(instance) } else { Verdict::GoOn };
    thread::with(|thread| {
        // Inside the runtime nothing is recorded, and neither is it for a thread without a number. What a thread does not
        // hold in the only stack that it has, it acquired unwatched.
        let elsewhere = || !own || (!take(thread, instance) && thread.depth.get() > 0);
        if !thread.inside.get() && holder != 0 && elsewhere() {
            unwatched(|| state::ATTENTION.orphan(holder, instance));
        }
    });
    verdict.carry_out();
}

/// Takes the lock off the stack of this thread, and reports it if it is not there.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn release(record: &Record, instance: u64, site: &'static Location<'static>) {
    if thread::with(|thread| pull(thread, instance)) {
        return;
    }
    let verdict = pins::check_release(instance);
    if thread::with(|thread| !thread.inside.get() && !take(thread, instance)) {
        release_unheld(record, site).carry_out();
    }
    verdict.carry_out();
}

/// Reports a release, by hand, of a lock that this thread does not hold.
fn release_unheld(record: &Record, site: &'static Location<'static>) -> Verdict {
    inside(|thread, session| {
        observe::released_unheld(thread, record.id().class(), record.id().instance(), site);
        let place = Some(classes::site_of(site));
        let name = names::thread_name(thread.number.get());
        let report = unheld_report(record.id().class(), place, name, &thread.held, &**session);
        let mut learnt = session.learnt.lock();
        if !learnt.count(report.fingerprint) {
            return Verdict::GoOn;
        }
        learnt.keep(report.clone());
        let policy = learnt.policy_for(std::slice::from_ref(&report));
        drop(learnt);
        output::tell(&[report], policy)
    })
}
