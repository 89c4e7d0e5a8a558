//! [`Backend`]: what a scheduler does for an actor, and why a run ends ([`Stop`]).

use std::sync::Arc;

use super::{Deadlock, Waitable, id::ActorId};

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
