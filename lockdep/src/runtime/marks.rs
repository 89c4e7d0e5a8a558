//! What is held while contexts are enabled, or newly watched, is marked with that.

use std::panic::Location;

use lockdep_core::{ContextSet, HeldStack, Point, Proof};

use super::{findings, output::Verdict, shared::Shared, thread::Thread, trace};

/// Brings a thread up to date with the contexts that its session watches.
pub(super) fn catch_up(thread: &Thread, session: &Shared) -> Verdict {
    let watched = session.watched();
    if thread.watched.get() == watched {
        return Verdict::GoOn;
    }
    thread.watched.set(watched);
    let enabled = thread.held.watch(ContextSet::from_bits(watched));
    trace::other(thread, None, || trace::watch(ContextSet::from_bits(watched)));
    mark(thread, session, enabled, None)
}

/// Returns the point at which these contexts are enabled under what is held. As for an acquisition: what a chain teaches
/// there it teaches once a segment. No acquisition is at such a point.
fn point_of(held: &HeldStack, enabled: ContextSet, site: &'static Location<'static>) -> Point {
    let mixed = enabled.bits().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    held.key().at(mixed ^ !(std::ptr::from_ref(site).addr() as u64))
}

/// Returns whether it teaches nothing that these contexts are enabled now, as far as the thread has seen itself.
pub(super) fn is_known(thread: &Thread, enabled: ContextSet, site: &'static Location<'static>) -> bool {
    enabled.is_empty() || thread.held.is_empty() || thread.proven.find(point_of(&thread.held, enabled, site))
}

/// Records that contexts are enabled from now on, with everything that is held.
pub(super) fn mark(
    thread: &Thread,
    session: &Shared,
    enabled: ContextSet,
    site: Option<&'static Location<'static>>,
) -> Verdict {
    if enabled.is_empty() || thread.held.is_empty() {
        return Verdict::GoOn;
    }
    let point = site.map(|site| point_of(&thread.held, enabled, site));
    let segment = thread.segment.get();
    if let Some(point) = point.filter(|point| session.points.is_proven(*point, segment) == Some(true)) {
        thread.prove(point);
        return Verdict::GoOn;
    }
    let mut learnt = session.learnt.lock();
    let request = findings::at_place(thread, session, site);
    let outcome = learnt.validator.enabled(&thread.held, enabled, &request);
    if let Some(point) = point.filter(|_| outcome.proof == Proof::Chain)
        && let Some(origin) = session.points.origin(request.point)
    {
        session.points.prove(point, segment, origin);
        thread.prove(point);
    }
    findings::conclude(&outcome.violations, &request, &thread.held, session, learnt)
}
