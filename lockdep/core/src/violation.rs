//! [`Violation`]: a rule that is broken, in the validator's numbers.

use crate::{
    class::ClassId,
    context::{ContextId, WaitType},
    graph::Step,
    held::HeldLock,
    report::Code,
};

/// A lock class or a context, on the way around a cycle through contexts.
///
/// Holding a lock while a context is enabled is a dependency of the context on the lock; acquiring one inside of it is a
/// dependency of the lock on the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UsageNode {
    /// A class.
    Class(ClassId),
    /// A context.
    Context(ContextId),
}

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An acquisition closes a strong cycle of dependencies between classes. The first step is the new one.
    Cycle(Vec<Step<ClassId>>),
    /// It closes a strong cycle of dependencies between the locks of one class. The first step is the new one.
    InstanceCycle(ClassId, Vec<Step<u64>>),
    /// The thread holds a lock of the class already.
    Recursion {
        /// That lock.
        held: HeldLock,
        /// Whether it is the very lock that is wanted.
        same_instance: bool,
    },
    /// A cycle leads through a context. The first step is the new one.
    ContextCycle {
        /// Which of the three findings it is.
        code: Code,
        /// The first context on the way.
        context: ContextId,
        /// The cycle.
        steps: Vec<Step<UsageNode>>,
    },
    /// An acquisition waits in a way that is not allowed here.
    WaitType {
        /// What it needs.
        needs: WaitType,
        /// What is allowed.
        limit: WaitType,
        /// The held lock that allows no more, unless the context itself does not.
        held: Option<HeldLock>,
        /// Whether nothing is acquired, but the task suspended while the lock is held.
        suspends: bool,
    },
    /// Two locks of one class are nested against the order that it declares.
    DeclaredOrder(HeldLock),
    /// What a thread does does not fit what it holds.
    State {
        /// Which finding.
        code: Code,
        /// The lock in question, if it is held.
        held: Option<HeldLock>,
    },
}

impl Violation {
    /// Returns whether the thread would wait for itself for certain.
    pub const fn is_certain(&self) -> bool {
        matches!(self, Self::Recursion { same_instance: true, .. })
    }

    /// Returns what sort of finding this is.
    pub const fn code(&self) -> Code {
        match self {
            Self::Cycle(_) => Code::CircularDependency,
            Self::InstanceCycle(..) => Code::InstanceOrder,
            Self::Recursion { .. } => Code::Recursion,
            Self::ContextCycle { code, .. } | Self::State { code, .. } => *code,
            Self::WaitType { .. } => Code::WaitContext,
            Self::DeclaredOrder(_) => Code::DeclaredOrder,
        }
    }

    /// Returns the held lock that the finding is about, for findings without a cycle.
    pub const fn conflict(&self) -> Option<HeldLock> {
        match self {
            Self::Recursion { held, .. } | Self::DeclaredOrder(held) => Some(*held),
            Self::WaitType { held, .. } | Self::State { held, .. } => *held,
            Self::Cycle(_) | Self::InstanceCycle(..) | Self::ContextCycle { .. } => None,
        }
    }
}
