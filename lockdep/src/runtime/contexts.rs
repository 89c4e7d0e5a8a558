//! Contexts of real threads: entering and leaving, disabling and enabling, watching.
//!
//! A thread learns which contexts are watched in its session when it next comes by: watching raises the number that every
//! fast path compares. Whatever a change enables is marked on what the thread holds.

use std::{panic::Location, sync::Arc};

use lockdep_core::{ContextId, ContextSet, WaitType, event::Action};

use super::{
    context_id::{id, name},
    findings,
    inside::inside,
    marks::{is_known, mark},
    output::Verdict,
    shared::Shared,
    state,
    thread::{self, Thread},
    trace, wanted,
};
use crate::Context;

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
    let _ = inside(|thread, _| {
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
    if suspended && (wanted::wants(wanted::TRACE) || !thread::with(|thread| thread.held.is_empty())) {
        verdict = inside(|thread, session| suspend(thread, session, site));
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
        let (enabled, known) = thread::unwatched(|| {
            let enabled = f(thread);
            (enabled, enabled.is_none_or(|enabled| is_known(thread, enabled, site)))
        });
        if !known {
            let mark =
                |thread: &Thread, session: &Arc<Shared>| mark(thread, session, enabled.unwrap_or_default(), Some(site));
            inside(mark).carry_out();
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
    let verdict = inside(|thread, session| {
        let enabled = f(thread, session);
        done = enabled.is_some();
        mark(thread, session, enabled.unwrap_or_default(), Some(site))
    });
    verdict.carry_out();
    done
}
