//! Scheduling points: what operations ask of the scheduler on behalf of the actor of the current thread.
//!
//! The [`Baton`](super::Baton) lets one actor run at a time and decides who; [`Threads`](super::Threads) lets them all run,
//! as the machine under us sees fit.

use std::{sync::Arc, thread};

use super::{Waitable, actor, id::ActorId, interrupt};

/// A scheduling point of the current actor. On a thread that is none, and while unwinding, it does nothing.
pub(crate) fn step() {
    if let Some(actor) = actor::this().filter(|_| !thread::panicking()) {
        actor.backend.step(actor.id);
        interrupt::moment(&actor);
    }
}

/// Lets the others run for `steps` steps, if the current thread is an actor.
pub(crate) fn sleep(steps: u64) {
    if let Some(actor) = actor::this() {
        actor.backend.sleep(actor.id, steps);
    }
}

/// Blocks the current actor until [`wake`].
///
/// # Panics
///
/// On a thread that is no actor: there is nobody who could wake it.
pub(crate) fn block(what: Arc<dyn Waitable>, mode: &'static str) {
    let Some(actor) = actor::this() else { panic!("would wait for ever for {}", what.label()) };
    actor.backend.block(actor.id, what, mode, actor.path_now());
}

/// Returns how many steps there have been, where one actor runs at a time.
pub(crate) fn now() -> Option<u64> {
    actor::this()?.backend.now()
}

/// Makes a blocked actor ready.
pub(crate) fn wake(id: ActorId) {
    if let Some(actor) = actor::this() {
        actor.backend.wake(id);
    }
}

/// Returns whether `holds` does, once everybody has got out of what takes but a moment.
pub(crate) fn settles(holds: impl Fn() -> bool) -> bool {
    actor::this().map_or_else(&holds, |actor| actor.backend.settles(&holds))
}

/// The actor has nothing to do until a device answers. Returns whether any device has yet to.
pub(crate) fn idle() -> bool {
    let Some(actor) = actor::this() else { return false };
    let any = !actor.interrupts().is_empty();
    if any {
        step();
    }
    any
}

/// Has nothing to do as long as this holds, which the answer of a device ends.
pub(crate) fn idle_while(waits: impl Fn() -> bool) {
    let mut any = true;
    while any && waits() {
        any = idle();
    }
}

/// Waits until no device has anything to tell.
pub(crate) fn drain() {
    idle_while(|| true);
}
