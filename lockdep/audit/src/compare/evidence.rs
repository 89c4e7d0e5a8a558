//! [`Evidence`]: by what one lock is known to come before another.

use std::fmt;

use lockdep_core::{DependencyKind, Frame, Site};
use serde::Serialize;

use crate::observe::Witness;

/// One observed dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The class that was held.
    pub outer: String,
    /// The class that was acquired.
    pub inner: String,
    /// The line of the observed file that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Site>,
    /// How the one was held and the other waited for, where the source tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<DependencyKind>,
    /// The thread that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Where the outer lock had been acquired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outer_site: Option<Site>,
    /// Where the inner lock was acquired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_site: Option<Site>,
    /// The stack that acquired the inner lock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// How often it was seen, where the source counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Step {
    pub(super) fn new(outer: String, inner: String, witness: &Witness) -> Self {
        let witness = witness.clone();
        Self {
            outer,
            inner,
            at: witness.at,
            kinds: witness.kinds,
            thread: witness.thread,
            outer_site: witness.outer_site,
            inner_site: witness.inner_site,
            stack: witness.stack,
            count: witness.count,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.outer, self.inner)
    }
}

/// Dependencies, each of which begins where the one before ends. One step: the locks were held together. More: whoever
/// takes the two locks the other way round closes a circle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The observed file.
    pub observation: String,
    /// The dependencies, at least one.
    pub steps: Vec<Step>,
    /// Whether a class's name may stand for several classes, so that the evidence may be about another lock.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_doubtful: bool,
}

impl Evidence {
    /// Returns whether the two locks were held together.
    pub fn is_direct(&self) -> bool {
        self.steps.len() == 1
    }
}

impl fmt::Display for Evidence {
    /// The classes, joined by arrows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.steps[0].outer)?;
        self.steps.iter().try_for_each(|step| write!(f, " -> {}", step.inner))
    }
}

/// Two locks held together in a sequence, the one inside of the other, although no dependency is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Together {
    /// The class that was held.
    pub outer: String,
    /// The class that was acquired.
    pub inner: String,
    /// The line of the first sequence.
    pub at: Site,
    /// In how many sequences.
    pub count: u32,
    /// Whether the inner lock was trylocked, so that this says nothing about an order.
    pub by_trylock: bool,
}
