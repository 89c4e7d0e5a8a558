//! [`ActorId`]: which actor.

/// The number of an actor within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ActorId(pub(crate) u32);

impl ActorId {
    /// A thread that is no actor: tests and the code around a run.
    pub(crate) const OUTSIDE: Self = Self(u32::MAX);
}
