//! [`Report`]: a finding as plain data, everything that a renderer may need.
//!
//! A report has a stable [`Code`] and a stable [`Fingerprint`]; the words are a renderer's.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    class::Site,
    context::WaitType,
    grade::Grade,
    mode::{DependencyKind, Mode},
};

/// What sort of finding a report is. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// Acquiring this lock closes a cycle of dependencies that can block.
    CircularDependency,
    /// The thread already holds a lock of this class.
    Recursion,
    /// Two locks of one class were held together in both orders.
    InstanceOrder,
    /// A lock was released that this thread does not hold.
    ReleaseUnheld,
    /// A class is used inside a context, and held while that context could interrupt its holder.
    InconsistentUsage,
    /// A new dependency leads from what a context uses to what is held while that context is enabled.
    ContextDependency,
    /// A new usage in a context makes a dependency that was known lead where it must not.
    ContextInversion,
    /// An acquisition may wait where such a wait is not allowed.
    WaitContext,
    /// Locks of one class are nested under a lock that is not held.
    NestNotHeld,
    /// Two locks of one class are nested against the order that the class declares.
    DeclaredOrder,
    /// A pinned lock was released.
    PinnedRelease,
    /// A lock was destroyed, or initialised anew, by a thread that holds it.
    HeldFreed,
    /// A thread ended that holds a lock.
    HeldAtExit,
    /// A lock that must be held here, in a certain way, is not.
    NotHeld,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 14] = [
        Self::CircularDependency,
        Self::Recursion,
        Self::InstanceOrder,
        Self::ReleaseUnheld,
        Self::InconsistentUsage,
        Self::ContextDependency,
        Self::ContextInversion,
        Self::WaitContext,
        Self::NestNotHeld,
        Self::DeclaredOrder,
        Self::PinnedRelease,
        Self::HeldFreed,
        Self::HeldAtExit,
        Self::NotHeld,
    ];

    /// Returns the stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CircularDependency => "circular-dependency",
            Self::Recursion => "recursion",
            Self::InstanceOrder => "instance-order",
            Self::ReleaseUnheld => "release-unheld",
            Self::InconsistentUsage => "inconsistent-usage",
            Self::ContextDependency => "context-dependency",
            Self::ContextInversion => "context-inversion",
            Self::WaitContext => "wait-context",
            Self::NestNotHeld => "nest-not-held",
            Self::DeclaredOrder => "declared-order",
            Self::PinnedRelease => "pinned-release",
            Self::HeldFreed => "held-freed",
            Self::HeldAtExit => "held-at-exit",
            Self::NotHeld => "not-held",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What makes two findings the same: the code and the classes involved, whatever thread or run they come from.
///
/// Computed with 64-bit FNV-1a over the code and the class names, a cycle being turned so that its least name is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a finding about `names`, which form a ring.
    pub fn of(code: Code, names: &[&str]) -> Self {
        let rotations = 0..names.len().max(1);
        let least = rotations.min_by(|&a, &b| {
            let from = |start: usize| names[start..].iter().chain(&names[..start]);
            from(a).cmp(from(b))
        });
        let start = least.unwrap_or(0);
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |bytes: &[u8]| {
            for &byte in bytes.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        eat(code.as_str().as_bytes());
        names[start..].iter().chain(&names[..start]).for_each(|name| eat(name.as_bytes()));
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// One function of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The function's path, demangled, without hash and generic noise.
    pub function: String,
    /// Where in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
}

/// One acquisition: which class, how, where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquisition {
    /// The class, as reports show it.
    pub class: String,
    /// The mode.
    pub mode: Mode,
    /// Which lock of its class it was, counted from 1, in a finding that is about several locks of one class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<u32>,
    /// Whether it was a trylock.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trylock: bool,
    /// The line that acquired the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// The stack, innermost function first; empty where none was captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
}

/// A dependency of a cycle: `outer` was held when `inner` was acquired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The lock that was held.
    pub outer: Acquisition,
    /// The lock that was acquired.
    pub inner: Acquisition,
    /// How the one was held and the other waited for.
    pub kind: DependencyKind,
    /// The name of the thread that did it.
    pub thread: String,
    /// The tracing spans that thread was in, outermost first, such as `page_fault{addr=0x7f00}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
}

/// A finding, with everything that a renderer may need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What sort of finding.
    pub code: Code,
    /// What makes it the same finding when it is seen again.
    pub fingerprint: Fingerprint,
    /// How near it is to happening.
    #[serde(default)]
    pub grade: Grade,
    /// The lock that keeps the parts of a gated cycle apart, as reports show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// The context that the finding is about; `await point` if the task was suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// What the acquisition needs and what is allowed, for a finding about waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<(WaitType, WaitType)>,
    /// The name of the thread whose acquisition (or release) made the finding.
    pub thread: String,
    /// That acquisition.
    pub wanted: Acquisition,
    /// The cycle, in order: the inner class of each dependency is the outer class of the next, and the last one leads
    /// back to the first. The first is the new one: what is held -> what is wanted. Empty unless the finding is a cycle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cycle: Vec<Dependency>,
    /// The lock that the thread holds already and that the finding is about, for findings without a cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Acquisition>,
    /// Whether wanted and conflicting lock are one and the same, so that the thread would wait for itself for certain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_instance: bool,
    /// All locks that the thread holds, outermost first.
    pub held: Vec<Acquisition>,
    /// The tracing spans the thread was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_does_not_depend_on_where_the_ring_is_cut() {
        let whole = Fingerprint::of(Code::CircularDependency, &["a", "b", "c"]);
        assert_eq!(whole, Fingerprint::of(Code::CircularDependency, &["b", "c", "a"]));
        assert_eq!(whole, Fingerprint::of(Code::CircularDependency, &["c", "a", "b"]));
        assert_ne!(whole, Fingerprint::of(Code::CircularDependency, &["a", "c", "b"]));
        assert_ne!(whole, Fingerprint::of(Code::Recursion, &["a", "b", "c"]));
        assert_ne!(Fingerprint::of(Code::Recursion, &["ab", "c"]), Fingerprint::of(Code::Recursion, &["a", "bc"]));
        assert_eq!(whole.to_string().parse(), Ok(whole));
    }

    #[test]
    fn codes_have_the_names_that_serde_writes() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
