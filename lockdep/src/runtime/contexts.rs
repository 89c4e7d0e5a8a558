//! Contexts of real threads: entering and leaving, disabling and enabling, watching.
//!
//! A thread learns which contexts are watched in its session when it next comes by: watching raises the number that every
//! fast path compares. Whatever a change enables is marked on what the thread holds.

use std::panic::Location;

use lockdep_core::{
    Acquired, ClassId, ContextId, ContextSet, HeldStack, Mode, Point, Proof, Request, WaitType, event::Action,
};
use once_cell::{race::OnceNonZeroUsize, sync::Lazy};
use parking_lot::Mutex;

use super::{
    cold, findings, observe,
    output::{self, Verdict},
    session::{Session, Shared},
    state,
    thread::{self, Thread},
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
    let Some(bit) = id(context).map(|id| ContextSet::of(id).bits()) else { return };
    if thread::with(|thread| is_up_to_date(thread) && thread.watched.get() & bit != 0) {
        return;
    }
    let mut new = false;
    change_slowly(site, |_, session| {
        new = session.watch(bit);
        Some(ContextSet::EMPTY)
    });
    if new {
        state::ATTENTION.advance();
        // This thread attends to it at once, while it holds what it holds.
        change_slowly(site, |_, _| Some(ContextSet::EMPTY));
    }
}

/// Enters a context. Returns whether the thread is inside of it now.
#[track_caller]
pub(crate) fn enter(context: &'static Context, site: &'static Location<'static>) -> bool {
    watch(context, site);
    let Some(id) = id(context) else { return false };
    change(site, |thread| {
        thread.held.enter(id, ContextSet::of(id), context.wait_limit());
        trace::other(thread, Some(site), || trace::enter(id, context.wait_limit()));
        Some(ContextSet::EMPTY)
    })
}

/// Leaves a context.
#[track_caller]
pub(crate) fn leave(context: &'static Context, site: &'static Location<'static>) {
    let Some(id) = id(context) else { return };
    change(site, |thread| {
        let enabled = thread.held.leave(id)?;
        trace::other(thread, Some(site), || Action::Exit { context: context.name().to_owned() });
        Some(enabled)
    });
}

/// Disables contexts for this thread. Returns those that it has disabled.
#[track_caller]
pub(crate) fn disable(
    context: &'static Context,
    others: &[&'static Context],
    site: &'static Location<'static>,
) -> ContextSet {
    let contexts: ContextSet = others.iter().copied().chain([context]).filter_map(id).collect();
    let done = change(site, |thread| {
        thread.held.disable(contexts);
        for context in contexts.iter() {
            trace::other(thread, Some(site), || Action::Disable { context: name(context) });
        }
        Some(ContextSet::EMPTY)
    });
    if done { contexts } else { ContextSet::EMPTY }
}

/// Takes one disabling of each of these contexts back.
#[track_caller]
pub(crate) fn enable(contexts: ContextSet, site: &'static Location<'static>) {
    change(site, |thread| {
        let enabled = thread.held.enable(contexts)?;
        for context in contexts.iter() {
            trace::other(thread, Some(site), || Action::Enable { context: name(context) });
        }
        Some(enabled)
    });
}

/// Returns whether this thread is inside of the context, and whether it can be interrupted by it; `None` if nobody knows.
pub(crate) fn context_state(context: &'static Context) -> Option<(bool, bool)> {
    let mut state = None;
    let id = id(context);
    let _ = cold::inside(|thread, _| {
        let contexts = thread.held.contexts();
        state = id.map(|id| (contexts.inside.contains(id), contexts.enabled.contains(id)));
        Verdict::GoOn
    });
    state
}

/// A future is about to be polled. Returns whether anybody took notice.
#[track_caller]
pub(crate) fn enter_poll(limit: WaitType, site: &'static Location<'static>) -> bool {
    change(site, |thread| {
        thread.held.enter(ContextId::POLL, ContextSet::EMPTY, limit);
        trace::other(thread, Some(site), || trace::enter(ContextId::POLL, limit));
        Some(ContextSet::EMPTY)
    })
}

/// The future has been polled, and may have been suspended.
#[track_caller]
pub(crate) fn leave_poll(suspended: bool, site: &'static Location<'static>) {
    let mut verdict = Verdict::GoOn;
    // Nothing that is held, nothing that may not be.
    if suspended && (observe::wants(observe::TRACE) || !thread::with(|thread| thread.held.is_empty())) {
        verdict = cold::inside(|thread, session| suspend(thread, &session.0, site));
    }
    change(site, |thread| {
        let enabled = thread.held.leave(ContextId::POLL);
        trace::other(thread, Some(site), || Action::Exit { context: name(ContextId::POLL) });
        enabled
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

/// Returns the number of a context; there is none if too many contexts were declared before.
fn id(context: &'static Context) -> Option<ContextId> {
    context.cell().id(context.name())
}

/// Returns whether there is nothing that the thread has to attend to.
fn is_up_to_date(thread: &Thread) -> bool {
    let state = state::load();
    state != state::UNSET && state != state::OFF && thread.attended.get() == state
}

/// Changes the state of contexts, unless nobody is watching. Returns whether `f` did something.
///
/// For a thread that is up to date and has seen this change proven under what it holds, this takes neither a lock nor
/// a system call.
#[track_caller]
fn change(site: &'static Location<'static>, f: impl FnOnce(&Thread) -> Option<ContextSet>) -> bool {
    thread::with(|thread| {
        if !is_up_to_date(thread) {
            return change_slowly(site, |thread, _| f(thread));
        }
        let (enabled, known) = cold::unwatched(|| {
            let enabled = f(thread);
            (enabled, enabled.is_none_or(|enabled| is_known(thread, enabled, site)))
        });
        if !known {
            let mark =
                |thread: &Thread, session: &Session| mark(thread, &session.0, enabled.unwrap_or_default(), Some(site));
            cold::inside(mark).carry_out();
        }
        enabled.is_some()
    })
}

/// The same for any thread, with its session at hand.
#[cold]
#[track_caller]
fn change_slowly(site: &'static Location<'static>, f: impl FnOnce(&Thread, &Shared) -> Option<ContextSet>) -> bool {
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

/// Returns the point at which these contexts are enabled under what is held. As for an acquisition: what a chain teaches
/// there it teaches once a segment. No acquisition is at such a point.
fn point_of(held: &HeldStack, enabled: ContextSet, site: &'static Location<'static>) -> Point {
    let mixed = enabled.bits().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    held.key().at(mixed ^ !(std::ptr::from_ref(site).addr() as u64))
}

/// Returns whether it teaches nothing that these contexts are enabled now, as far as the thread has seen itself.
fn is_known(thread: &Thread, enabled: ContextSet, site: &'static Location<'static>) -> bool {
    enabled.is_empty() || thread.held.is_empty() || thread.proven.find(point_of(&thread.held, enabled, site))
}

/// Records that contexts are enabled from now on, with everything that is held.
fn mark(thread: &Thread, session: &Shared, enabled: ContextSet, site: Option<&'static Location<'static>>) -> Verdict {
    if enabled.is_empty() || thread.held.is_empty() {
        return Verdict::GoOn;
    }
    let point = site.map(|site| point_of(&thread.held, enabled, site));
    let segment = thread.segment.get();
    if let Some(point) = point.filter(|point| session.points.is_proven(*point, segment) == Some(true)) {
        thread.proven.insert(point);
        return Verdict::GoOn;
    }
    let mut learnt = session.learnt.lock();
    let request = findings::at_place(thread, session, site);
    let outcome = learnt.validator.enabled(&thread.held, enabled, &request);
    if let Some(point) = point.filter(|_| outcome.proof == Proof::Chain)
        && let Some(origin) = session.points.origin(request.point)
    {
        session.points.prove(point, segment, origin);
        thread.proven.insert(point);
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
