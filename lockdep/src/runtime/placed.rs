//! Acquisitions that say more of a lock's place within its class than its class does: a rank, a nest lock; and pins.

use std::{
    panic::Location,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use lockdep_core::{HeldLock, Request, Violation, event::Action};

use super::{
    cold, findings,
    output::Verdict,
    session::{Origin, Shared},
    thread::{self, Thread},
    trace,
};
use crate::{Acquire, hooks::Record};

/// A lock's place within its class, as far as its acquisition says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) rank: Option<u64>,
    /// The identity of the nest lock.
    pub(super) nest: Option<u64>,
}

impl Place {
    /// That of an acquisition that says nothing.
    pub(super) fn of(record: &Record) -> Self {
        let rank = record.rules().by_address.then(|| std::ptr::from_ref(record).addr() as u64);
        Self { rank, nest: None }
    }
}

/// Checks and records the acquisition of a lock of this rank.
#[track_caller]
pub(crate) fn acquire_ranked(record: &Record, how: Acquire, rank: u64, site: &'static Location<'static>) {
    cold::acquire_placed(record, how, Place { rank: Some(rank), nest: None }, site);
}

/// Checks and records the acquisition of a lock that another one keeps others from nesting.
#[track_caller]
pub(crate) fn acquire_under(record: &Record, how: Acquire, nest: &Record, site: &'static Location<'static>) {
    let place = Place { nest: Some(nest.id().instance()), ..Place::of(record) };
    cold::acquire_placed(record, how, place, site);
}

/// A pinned lock.
#[derive(Debug)]
pub(crate) struct Pin<'a> {
    record: &'a Record,
    cookie: u32,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let _ = cold::inside(|thread, _| {
            // A lock that was released meanwhile has been told of then.
            if let Some(id) = self.record.known_id()
                && thread.held.unpin(id.instance(), self.cookie)
            {
                let (instance, cookie) = (id.instance(), self.cookie);
                trace::other(thread, None, || Action::Unpin { instance, cookie });
            }
            Verdict::GoOn
        });
    }
}

/// Pins a lock that this thread holds, or tells that it does not.
#[track_caller]
pub(crate) fn pin<'a>(record: &'a Record, site: &'static Location<'static>) -> Pin<'a> {
    static COOKIE: AtomicU32 = AtomicU32::new(0);
    let cookie = COOKIE.fetch_add(1, Relaxed);
    let verdict = cold::inside(|thread, session| {
        let id = record.id();
        trace::other(thread, Some(site), || Action::Pin { instance: id.instance(), cookie });
        if thread.held.pin(id.instance(), cookie) {
            return Verdict::GoOn;
        }
        let learnt = session.0.learnt.lock();
        let violation = learnt.validator.assert_held(&thread.held, id.instance(), None);
        let how = lockdep_core::Acquired::new(id.class(), lockdep_core::Mode::Exclusive, false);
        let request = Request { how, instance: id.instance(), ..findings::at_place(thread, &session.0, Some(site)) };
        findings::conclude(violation.as_slice(), &request, &thread.held, &session.0, learnt)
    });
    verdict.carry_out();
    Pin { record, cookie }
}

/// Tells of the release of a lock that must stay: one that is pinned, or that others are nested under.
pub(super) fn check_release(instance: u64) -> Verdict {
    if thread::with(|thread| thread.inside.get() || !cold::unwatched(|| thread.held.must_stay(instance))) {
        return Verdict::GoOn;
    }
    cold::inside(|thread, session| {
        let learnt = session.0.learnt.lock();
        let violation = learnt.validator.release(&thread.held, instance);
        let Some((violation, lock)) = violation.zip(thread.held.find(instance)) else { return Verdict::GoOn };
        tell_release(violation, lock, thread, &session.0, learnt)
    })
}

/// A guard's release has no line of its own: it is told at the line that acquired the lock, with the stack of now.
fn tell_release(
    violation: Violation,
    lock: HeldLock,
    thread: &Thread,
    session: &Shared,
    learnt: parking_lot::MutexGuard<'_, super::session::Learnt>,
) -> Verdict {
    let origin = session.points.origin(lock.point());
    let point = origin.map_or(lock.point(), |Origin { location, .. }| {
        let point = thread.held.key().at(!lock.point().as_u64());
        session.meet(point, location);
        point
    });
    let request = Request { thread: thread.number.get(), ..Request::new(lock.how(), lock.instance(), point) };
    findings::conclude(&[violation], &request, &thread.held, session, learnt)
}
