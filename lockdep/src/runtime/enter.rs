//! Entering a session, and coming up to date with the one that a thread is in.

use lockdep_core::{HeldStack, SegmentId};

use super::{
    contexts,
    output::Verdict,
    session::Shared,
    state,
    thread::{self, Thread},
};

/// Moves this thread to another session until the result is dropped.
pub(super) fn enter(session: u32) -> Entered {
    let held = HeldStack::new();
    let outer = thread::with(|thread| exchange(thread, (session, SegmentId::UNKNOWN), &held));
    Entered { outer: outer.map(|outer| (outer, held)) }
}

/// Where a thread was, and what it held there, before it entered a session.
#[derive(Debug)]
pub(super) struct Entered {
    outer: Option<((u32, SegmentId), HeldStack)>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some((place, held)) = &self.outer {
            thread::with(|thread| exchange(thread, *place, held));
        }
    }
}

fn exchange(thread: &Thread, (session, segment): (u32, SegmentId), held: &HeldStack) -> Option<(u32, SegmentId)> {
    if thread.inside.get() {
        return None;
    }
    // What is proven is proven in its session.
    thread.cache.clear();
    // The other stack has yet to attend to what this one has attended to.
    thread.attended.set(state::UNSET);
    thread.watched.set(0);
    thread.doubts.set(0);
    thread.held.swap(held);
    Some((thread.session.replace(session), thread.segment.replace(segment)))
}

/// Brings a thread up to date with its session.
pub(super) fn catch_up(thread: &Thread, session: &Shared) -> Verdict {
    let doubts = session.doubts();
    if thread.doubts.replace(doubts) != doubts {
        thread.cache.clear();
    }
    if thread.segment.get() == SegmentId::UNKNOWN {
        thread.segment.set(session.learnt.lock().validator.segments_mut().root());
    }
    contexts::catch_up(thread, session)
}
