//! What the actors of a run do with locks, in their order: acquisitions, releases, and the operations around them.
//!
//! Unlike lockdep's journal it keeps every acquisition of every actor, by the name of the operation; unlike a
//! [`Survey`](super::survey) it keeps the order. For `paths`, which holds it against documented code paths.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::id::LockId;
use crate::sched::ActorId;

/// How a lock was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// For reading.
    Read,
    /// For writing, or by its only holder.
    Write,
    /// As a pseudo lock.
    Map,
}

/// An acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Taken {
    /// The class and the owner of the lock.
    pub(crate) lock: LockId,
    /// For what.
    pub(crate) way: Way,
    /// Whether it would not have waited.
    pub(crate) tries: bool,
    /// The level on which it nests in its class.
    pub(crate) level: u8,
    /// Whether it nests under a lock that keeps everybody else from nesting.
    pub(crate) under: bool,
}

/// One thing that an actor does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// It has a lock now.
    Take(Taken),
    /// It has let go of one.
    Release(LockId),
    /// It goes on as a reader.
    Downgrade(LockId),
    /// It enters an operation.
    Enter(&'static str),
    /// It leaves the operation that it entered last.
    Leave,
}

/// What each actor has done.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<BTreeMap<ActorId, Vec<Step>>>);

impl Trace {
    /// Notes what an actor does.
    pub(crate) fn note(&self, me: ActorId, step: Step) {
        self.0.lock().entry(me).or_default().push(step);
    }

    /// Takes out what has been noted: an actor of one round of the scheduler each.
    pub(crate) fn take(&self) -> Vec<Vec<Step>> {
        std::mem::take(&mut *self.0.lock()).into_values().collect()
    }
}
