//! Locks that must stay held: those that are pinned, and those that others are nested under.

use std::{
    panic::Location,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use lockdep_core::{Acquired, HeldLock, Mode, Request, Violation, event::Action};
use parking_lot::MutexGuard;

use super::{
    findings,
    inside::inside,
    output::Verdict,
    record::Record,
    shared::{Learnt, Origin, Shared},
    thread::{self, Thread, unwatched},
    trace,
};

/// A pinned lock.
#[derive(Debug)]
pub(crate) struct Pin<'a> {
    record: &'a Record,
    cookie: u32,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let _ = inside(|thread, _| {
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
    let verdict = inside(|thread, session| {
        let id = record.id();
        trace::other(thread, Some(site), || Action::Pin { instance: id.instance(), cookie });
        if thread.held.pin(id.instance(), cookie) {
            return Verdict::GoOn;
        }
        let learnt = session.learnt.lock();
        let violation = learnt.validator.assert_held(&thread.held, id.instance(), None);
        let how = Acquired::new(id.class(), Mode::Exclusive, false);
        let request = Request { how, instance: id.instance(), ..findings::at_place(thread, session, Some(site)) };
        findings::conclude(violation.as_slice(), &request, &thread.held, session, learnt)
    });
    verdict.carry_out();
    Pin { record, cookie }
}

/// Tells of the release of a lock that must stay: one that is pinned, or that others are nested under.
pub(super) fn check_release(instance: u64) -> Verdict {
    if thread::with(|thread| thread.inside.get() || !unwatched(|| thread.held.must_stay(instance))) {
        return Verdict::GoOn;
    }
    inside(|thread, session| {
        let learnt = session.learnt.lock();
        let violation = learnt.validator.release(&thread.held, instance);
        let Some((violation, lock)) = violation.zip(thread.held.find(instance)) else { return Verdict::GoOn };
        tell_release(violation, lock, thread, session, learnt)
    })
}

/// A guard's release has no line of its own: it is told at the line that acquired the lock, with the stack of now.
fn tell_release(
    violation: Violation,
    lock: HeldLock,
    thread: &Thread,
    session: &Shared,
    learnt: MutexGuard<'_, Learnt>,
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
