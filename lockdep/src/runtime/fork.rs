//! The beginnings and ends of threads: who spawned whom, and who has waited for whom.
//!
//! A spawn cuts the life of the parent into segments. What the parent has proven before counts for the segment before
//! only, so what it has seen proven is forgotten: in the new segment the same chain is concurrent with the child, and becomes a witness.
//! A join needs no such care: whatever is concurrent with what comes after it is concurrent with what came before, too.

use std::{
    marker::PhantomData,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use lockdep_core::{SegmentId, event::Action};

use super::{
    enter::{self, Entered},
    findings,
    inside::inside,
    names,
    output::Verdict,
    shared::Shared,
    state, thread, trace,
};

/// A thread that is about to begin.
#[derive(Debug)]
pub(crate) struct Child(Option<Begun>);

#[derive(Debug)]
struct Begun {
    session: Arc<Shared>,
    number: u32,
    first: SegmentId,
    last: Arc<AtomicU32>,
}

/// A child's session, its number, and its last segment, which is 0 until it has ended.
#[derive(Clone, Debug)]
pub(crate) struct End(Option<(Arc<Shared>, u32, Arc<AtomicU32>)>);

/// Records that this thread spawns another.
pub(crate) fn fork(name: Option<&str>) -> (Child, End) {
    let mut fork = (Child(None), End(None));
    let _ = inside(|thread, session| {
        let (on, first) = session.learnt.lock().validator.segments_mut().spawn(thread.segment.get());
        thread.segment.set(on);
        thread.proven.clear();
        let last = Arc::<AtomicU32>::default();
        let number = names::number_thread(name);
        trace::family(thread, number, |child| Action::Spawn { child });
        let begun = Begun { session: session.clone(), number, first, last: last.clone() };
        fork = (Child(Some(begun)), End(Some((session.clone(), number, last))));
        Verdict::GoOn
    });
    fork
}

impl Child {
    /// Records that this thread is the one, until the result is dropped.
    #[track_caller]
    pub(crate) fn begin(self) -> Alive {
        let site = Location::caller();
        let alive = self.0.map(|begun| {
            // Whatever this thread was and held before is not the child's.
            let entered = enter::enter(begun.session.clone());
            let outer = thread::with(|thread| {
                thread.segment.set(begun.first);
                thread.number.replace(begun.number)
            });
            (begun, outer, entered)
        });
        Alive { alive, site, not_send: PhantomData }
    }
}

/// A child lives.
#[derive(Debug)]
pub(crate) struct Alive {
    alive: Option<(Begun, u32, Entered)>,
    site: &'static Location<'static>,
    not_send: PhantomData<*const ()>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        let Some((begun, outer, _entered)) = self.alive.take() else { return };
        let verdict = inside(|thread, session| {
            trace::other(thread, Some(self.site), || Action::End);
            let learnt = session.learnt.lock();
            let Some(violation) = learnt.validator.exit(&thread.held) else { return Verdict::GoOn };
            let request = findings::at_place(thread, session, Some(self.site));
            findings::conclude(&[violation], &request, &thread.held, session, learnt)
        });
        thread::with(|thread| {
            begun.last.store(thread.segment.get().as_u32(), Relaxed);
            thread.number.set(outer);
            // What was let go of meanwhile may be in the stack that the thread comes back to.
            thread::unwatched(|| {
                let hand_on = |instance| {
                    state::ATTENTION.orphan(outer, instance);
                    true
                };
                state::ATTENTION.adopt(begun.number, hand_on);
            });
        });
        verdict.carry_out();
    }
}

/// Records that this thread has waited for the end of a child.
pub(crate) fn joined(end: &End) {
    let Some((of, number, last)) = &end.0 else { return };
    let last = SegmentId::from_u32(last.load(Relaxed));
    let _ = inside(|thread, session| {
        if last != SegmentId::UNKNOWN && session.number() == of.number() {
            let on = session.learnt.lock().validator.segments_mut().join(thread.segment.get(), last);
            thread.segment.set(on);
            trace::family(thread, *number, |child| Action::Join { child });
        }
        Verdict::GoOn
    });
}
