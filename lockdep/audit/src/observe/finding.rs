//! [`Finding`]: what a validator has reported itself, so that a document can judge it.

use lockdep_core::Site;
use serde::Serialize;

/// A dependency that a finding is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The class that was held, by its number in the observation.
    #[serde(skip)]
    pub outer: usize,
    /// The class that was acquired.
    #[serde(skip)]
    pub inner: usize,
    /// The functions that acquired the inner lock, innermost first, as far as the source has them.
    pub stack: Vec<String>,
    /// Where in the source it stands.
    pub at: Option<Site>,
}

/// A report of a validator: the kernel's in its log, a journal's, or our own about a replayed trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The title, as its source has it.
    pub title: String,
    /// Where it stands.
    pub at: Option<Site>,
    /// The thread that made it.
    pub thread: Option<String>,
    /// The dependencies: the new one first, then the ones that were known, each beginning where the one before ends.
    pub edges: Vec<Edge>,
    /// The classes that it is about, where it is not about dependencies.
    pub classes: Vec<usize>,
    /// Whether a class's name may stand for several classes, so that the finding may be none.
    pub is_doubtful: bool,
}
