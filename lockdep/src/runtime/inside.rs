//! Going inside the runtime with everything up to date: the environment read, a number given, what others have let go of taken
//! off the stack, what the session watches watched.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    enter, names, observe,
    output::{self, Verdict},
    process,
    shared::Shared,
    state, summary,
    thread::{self, Inside, Thread, unwatched},
    wanted,
};

/// Runs `f` inside the runtime, unless the thread is inside already or checking is off.
pub(super) fn inside(f: impl FnOnce(&Thread, &Arc<Shared>) -> Verdict) -> Verdict {
    thread::with(|thread| {
        let Some(mut inside) = Inside::enter(thread) else { return Verdict::GoOn };
        let state = attend(thread, inside.attended);
        inside.attended = state::UNSET;
        if state == state::OFF {
            return Verdict::GoOn;
        }
        let work = |session: &Arc<Shared>| match enter::catch_up(thread, session) {
            Verdict::GoOn => f(thread, session),
            told => told,
        };
        let result = process::of(thread, |session| catch_unwind(AssertUnwindSafe(|| work(session))));
        let Some(result) = result else { return Verdict::GoOn };
        inside.attended = state;
        result.unwrap_or_else(|_| {
            // Our bug must not become the host's.
            state::ATTENTION.switch_off();
            output::complain("internal error (a bug of lockdep, not of the program); checking is off from now on");
            Verdict::GoOn
        })
    })
}

/// Brings a thread up to date with the process: environment read, number given, orphaned entries gone. Returns whether
/// checking is on.
fn attend(thread: &Thread, attended: u32) -> u32 {
    if state::load() != state::OFF && state::is_orphaned() {
        state::ATTENTION.switch_off();
        output::complain("forked from a process of several threads; checking is off in the child");
    }
    if state::load() == state::UNSET {
        // Reading the environment sets the state.
        process::session();
    }
    if thread.number.get() == 0 {
        thread.number.set(names::number_thread(std::thread::current().name()));
        summary::print_at_end(process::session);
    }
    let state = state::ATTENTION.attend();
    if attended != state {
        // What is not there may be in a stack that the thread comes back to; if there is none, it went with a session.
        let gone = thread.depth.get() == 0;
        state::ATTENTION.adopt(thread.number.get(), |instance| take(thread, instance) || gone);
    }
    state
}

/// Takes a lock off the stack; returns whether it was there.
pub(super) fn take(thread: &Thread, instance: u64) -> bool {
    unwatched(|| {
        if wanted::is_on()
            && let Some(lock) = thread.held.find(instance)
        {
            observe::releasing(thread, lock);
        }
        thread.held.release(instance).is_some()
    })
}

/// Brings this thread up to date, and gives it a number if it has none.
#[cold]
pub(super) fn introduce() {
    let _ = inside(|_, _| Verdict::GoOn);
}
