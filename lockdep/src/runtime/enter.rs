//! Entering a session, and coming up to date with the one that a thread is in.

use std::sync::Arc;

use lockdep_core::{HeldStack, SegmentId};

use super::{
    marks,
    output::Verdict,
    proven::Proven,
    shared::{self, Shared},
    state,
    thread::{self, Thread},
};

/// What a thread has of its own in a session.
type Own = (HeldStack, Proven);
/// Where a thread is: in the process's own session if there is no other, and in which segment.
type Place = (Option<Arc<Shared>>, SegmentId);

/// Moves this thread to another session until the result is dropped.
pub(super) fn enter(session: Arc<Shared>) -> Entered {
    let other = (HeldStack::new(), Proven::new());
    let outer = thread::with(|thread| {
        let session = (session.number() != shared::PROCESS).then_some(session);
        let outer = exchange(thread, (session, SegmentId::UNKNOWN), &other)?;
        thread.depth.set(thread.depth.get() + 1);
        Some(outer)
    });
    Entered { outer: outer.map(|outer| (outer, other)) }
}

/// Where a thread was, what it held there and had seen proven, before it entered a session.
#[derive(Debug)]
pub(super) struct Entered {
    outer: Option<(Place, Own)>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some((place, own)) = self.outer.take() {
            thread::with(|thread| {
                thread.forget_proven();
                thread.depth.set(thread.depth.get() - 1);
                exchange(thread, place, &own)
            });
        }
    }
}

fn exchange(thread: &Thread, (session, segment): Place, other: &Own) -> Option<Place> {
    if thread.inside.get() {
        return None;
    }
    // The other stack has yet to attend to what this one has attended to.
    thread.attended.set(state::UNSET);
    thread.watched.set(0);
    thread.doubts.set(0);
    thread.held.swap(&other.0);
    thread.proven.swap(&other.1);
    Some((thread.session.replace(session), thread.segment.replace(segment)))
}

/// Brings a thread up to date with its session.
pub(super) fn catch_up(thread: &Thread, session: &Shared) -> Verdict {
    let doubts = session.points.doubts();
    if thread.doubts.replace(doubts) != doubts {
        thread.proven.clear();
    }
    if thread.segment.get() == SegmentId::UNKNOWN {
        thread.segment.set(session.learnt.lock().validator.segments_mut().root());
    }
    marks::catch_up(thread, session)
}
