//! What a run's actors are to the operations: four things that a scheduler does for the actor of the current thread.
//!
//! The [`Baton`](super::Baton) lets one actor run at a time and decides who; [`Threads`](super::Threads) lets them all run,
//! as the machine under us sees fit.

use std::{sync::Arc, thread};

use super::{
    Deadlock, Waitable,
    actor::{self, ActorId},
    interrupt,
};

/// What an actor does.
pub(crate) type Body = Box<dyn FnOnce() + Send>;

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Actors wait for each other.
    Deadlock(Deadlock),
    /// More steps than the limit.
    StepLimit(u64),
    /// Something was found, and that is enough.
    Found,
    /// Actors that should have ended long ago, and what they wait for.
    NoEnd(Vec<String>),
    /// An actor panicked: a bug of the simulator.
    Panic { actor: String, message: String },
}

impl Stop {
    /// Returns the deadlock, or the failure of the simulator in words, that ended a run.
    pub(crate) fn split(stop: Option<Self>) -> (Option<Deadlock>, Option<String>) {
        match stop {
            None | Some(Self::Found) => (None, None),
            Some(Self::Deadlock(deadlock)) => (Some(deadlock), None),
            Some(Self::StepLimit(limit)) => (None, Some(format!("no end after {limit} steps"))),
            Some(Self::NoEnd(busy)) => (None, Some(format!("no end: {}", busy.join(", ")))),
            Some(Self::Panic { actor, message }) => (None, Some(format!("{actor} panicked: {message}"))),
        }
    }
}

/// The panic payload of an actor that is told to stop.
pub(super) struct Stopped;

/// A scheduler.
pub(super) trait Backend: Send + Sync {
    /// A scheduling point: others may run before it returns. Unwinds if the run is stopped.
    fn step(&self, me: ActorId);

    /// The actor has nothing to do with the machine for about `steps` steps.
    fn sleep(&self, me: ActorId, steps: u64);

    /// Blocks the actor until somebody wakes it, which may have happened already. Unwinds if the run is stopped.
    fn block(&self, me: ActorId, what: Arc<dyn Waitable>, mode: &'static str, path: Vec<&'static str>);

    /// Makes a blocked actor ready.
    fn wake(&self, actor: ActorId);

    /// Ends the run: everybody unwinds from the next step.
    fn stop(&self);

    /// Returns how many steps there have been, where one actor runs at a time.
    fn now(&self) -> Option<u64>;

    /// Looks until `holds` does, or it cannot change any more: others may be between two steps that belong together.
    fn settles(&self, holds: &dyn Fn() -> bool) -> bool;
}

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
