//! Contexts of real threads: entering and leaving, disabling and enabling, watching.
//!
//! A thread learns which contexts are watched in its session when it next comes by: watching raises the number that every
//! fast path compares. Whatever a change enables is marked on what the thread holds.

use std::panic::Location;

use lockdep_core::{Acquired, ClassId, ContextId, ContextSet, HeldStack, Mode, Request, WaitType, event::Action};
use once_cell::{race::OnceNonZeroUsize, sync::Lazy};
use parking_lot::Mutex;

use super::{
    cold, findings,
    output::{self, Verdict},
    session::Shared,
    state,
    thread::Thread,
    trace,
};
use crate::Context;

/// The names of declared contexts, by index.
static NAMES: Lazy<Mutex<Vec<&'static str>>> = Lazy::new(Default::default);

/// The number of a context.
#[derive(Debug)]
pub(crate) enum ContextCell {
    /// Known from the start.
    Known(ContextId),
    /// Given when it is first used: its index in the table of names, from 1.
    Declared(OnceNonZeroUsize),
}

impl ContextCell {
    pub(crate) const HARDIRQ: Self = Self::Known(ContextId::HARDIRQ);
    pub(crate) const SOFTIRQ: Self = Self::Known(ContextId::SOFTIRQ);
    pub(crate) const SIGNAL: Self = Self::Known(ContextId::SIGNAL);

    pub(crate) const fn new() -> Self {
        Self::Declared(OnceNonZeroUsize::new())
    }

    /// Returns the number; there is none if too many contexts were declared before.
    fn id(&self, name: &'static str) -> Option<ContextId> {
        let cell = match self {
            Self::Known(id) => return Some(*id),
            Self::Declared(cell) => cell,
        };
        let register = || {
            let mut names = NAMES.lock();
            names.push(name);
            if u8::try_from(names.len() - 1).ok().and_then(ContextId::declared).is_none() {
                output::complain(&format!("too many contexts; {name} is not watched"));
            }
            std::num::NonZeroUsize::new(names.len()).expect("one was just pushed")
        };
        let index = cell.get_or_init(register).get() - 1;
        u8::try_from(index).ok().and_then(ContextId::declared)
    }
}

/// Returns the name of a context as reports show it.
pub(super) fn name(context: ContextId) -> String {
    let names = NAMES.lock();
    let declared = (0u8..).zip(&*names).find(|(index, _)| ContextId::declared(*index) == Some(context));
    declared.map_or_else(|| context.to_string(), |(_, name)| (*name).to_owned())
}

/// From now on the context can interrupt every thread of this thread's session.
#[track_caller]
pub(crate) fn watch(context: &'static Context, site: &'static Location<'static>) {
    let mut new = false;
    change(site, |_, session| {
        let bit = context.cell().id(context.name()).map_or(0, |id| ContextSet::of(id).bits());
        new = session.watch(bit);
        Some(ContextSet::EMPTY)
    });
    if new {
        state::ATTENTION.advance();
        // This thread attends to it at once, while it holds what it holds.
        change(site, |_, _| Some(ContextSet::EMPTY));
    }
}

/// Enters a context. Returns whether the thread is inside of it now.
#[track_caller]
pub(crate) fn enter(context: &'static Context, site: &'static Location<'static>) -> bool {
    watch(context, site);
    change(site, |thread, _| {
        let id = context.cell().id(context.name())?;
        thread.held.enter(id, ContextSet::of(id), context.wait_limit());
        trace::other(thread, Some(site), || trace::enter(id, context.wait_limit()));
        Some(ContextSet::EMPTY)
    })
}

/// Leaves a context.
#[track_caller]
pub(crate) fn leave(context: &'static Context, site: &'static Location<'static>) {
    change(site, |thread, _| {
        let enabled = thread.held.leave(context.cell().id(context.name())?)?;
        trace::other(thread, Some(site), || Action::Exit { context: context.name().to_owned() });
        Some(enabled)
    });
}

/// Disables a context for this thread. Returns whether it did.
#[track_caller]
pub(crate) fn disable(context: &'static Context, site: &'static Location<'static>) -> bool {
    change(site, |thread, _| {
        thread.held.disable(context.cell().id(context.name())?);
        trace::other(thread, Some(site), || Action::Disable { context: context.name().to_owned() });
        Some(ContextSet::EMPTY)
    })
}

/// Takes one disabling back.
#[track_caller]
pub(crate) fn enable(context: &'static Context, site: &'static Location<'static>) {
    change(site, |thread, _| {
        let enabled = thread.held.enable(context.cell().id(context.name())?)?;
        trace::other(thread, Some(site), || Action::Enable { context: context.name().to_owned() });
        Some(enabled)
    });
}

/// Returns whether this thread is inside of the context, and whether it can be interrupted by it; `None` if nobody knows.
pub(crate) fn context_state(context: &'static Context) -> Option<(bool, bool)> {
    let mut state = None;
    let _ = cold::inside(|thread, _| {
        let id = context.cell().id(context.name());
        let contexts = thread.held.contexts();
        state = id.map(|id| (contexts.inside.contains(id), contexts.enabled.contains(id)));
        Verdict::GoOn
    });
    state
}

/// A future is about to be polled. Returns whether anybody took notice.
#[track_caller]
pub(crate) fn enter_poll(limit: WaitType, site: &'static Location<'static>) -> bool {
    change(site, |thread, _| {
        thread.held.enter(ContextId::POLL, ContextSet::EMPTY, limit);
        trace::other(thread, Some(site), || trace::enter(ContextId::POLL, limit));
        Some(ContextSet::EMPTY)
    })
}

/// The future has been polled, and may have been suspended.
#[track_caller]
pub(crate) fn leave_poll(suspended: bool, site: &'static Location<'static>) {
    let verdict = cold::inside(|thread, session| {
        let verdict = if suspended { suspend(thread, &session.0, site) } else { Verdict::GoOn };
        thread.held.leave(ContextId::POLL);
        trace::other(thread, Some(site), || Action::Exit { context: name(ContextId::POLL) });
        verdict
    });
    verdict.carry_out();
}

/// Judges a suspension.
fn suspend(thread: &Thread, session: &Shared, site: &'static Location<'static>) -> Verdict {
    trace::other(thread, Some(site), || Action::Await);
    let learnt = session.learnt.lock();
    let Some(violation) = learnt.validator.await_point(&thread.held) else { return Verdict::GoOn };
    let request = findings::at_place(thread, session, Some(site));
    findings::conclude(&[violation], &request, &thread.held, session, learnt)
}

/// Changes the state of contexts, unless nobody is watching. Returns whether `f` did something.
#[track_caller]
fn change(site: &'static Location<'static>, f: impl FnOnce(&Thread, &Shared) -> Option<ContextSet>) -> bool {
    if state::load() == state::OFF {
        return false;
    }
    let mut done = false;
    let verdict = cold::inside(|thread, session| {
        let enabled = f(thread, &session.0);
        done = enabled.is_some();
        mark(thread, &session.0, enabled.unwrap_or_default(), Some(site))
    });
    verdict.carry_out();
    done
}

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

/// Records that contexts are enabled from now on, with everything that is held.
fn mark(thread: &Thread, session: &Shared, enabled: ContextSet, site: Option<&'static Location<'static>>) -> Verdict {
    if enabled.is_empty() || thread.held.is_empty() {
        return Verdict::GoOn;
    }
    // As for an acquisition: what a chain teaches here it teaches once a segment. No acquisition is at such a point.
    let mixed = enabled.bits().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let point = site.map(|site| thread.held.key().at(mixed ^ !(std::ptr::from_ref(site).addr() as u64)));
    let segment = thread.segment.get();
    if point.is_some_and(|point| session.points.is_proven(point, segment) == Some(true)) {
        return Verdict::GoOn;
    }
    let mut learnt = session.learnt.lock();
    let request = findings::at_place(thread, session, site);
    let outcome = learnt.validator.enabled(&thread.held, enabled, &request);
    if let Some(point) = point.filter(|_| outcome.proven)
        && let Some(origin) = session.points.origin(request.point)
    {
        session.points.prove(point, segment, origin);
    }
    findings::conclude(&outcome.violations, &request, &thread.held, session, learnt)
}

/// The acquisition of the innermost lock, or of none, as something to say a place with.
pub(super) fn innermost(held: &HeldStack) -> Request {
    let nothing = || {
        let how = Acquired::new(ClassId::new(0), Mode::Exclusive, false);
        Request::new(how, 0, held.key().at(0))
    };
    held.iter().next_back().map_or_else(nothing, |lock| Request::new(lock.how(), lock.instance(), lock.point()))
}
