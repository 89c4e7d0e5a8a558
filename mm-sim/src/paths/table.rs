//! What came of all paths.

use serde::Serialize;

use super::nearest::{Nearest, Seen};

/// What came of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// An operation has followed it to the end.
    Covered {
        /// Where, first.
        seen: Seen,
    },
    /// No operation has: the first step that is missing in the one that came furthest.
    Missing {
        /// The step.
        step: String,
        /// Steps before it.
        followed: usize,
        /// The operation; `None` if no run has entered one that the path is looked for in.
        nearest: Option<Nearest>,
    },
    /// No operation has followed it, and that is as it should be.
    Excepted {
        /// Why.
        why: String,
    },
}

/// A documented path under a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The name of the path.
    pub path: String,
    /// The kernels that it is documented for.
    pub kernel: String,
    /// The protocol that stands for them; none if the simulator has none.
    pub protocol: Option<String>,
    /// How many acquisitions and releases were looked for.
    pub steps: usize,
    /// Documented locks of it that the simulator does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// All paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// One path under one protocol each, in the order of the file.
    pub rows: Vec<Row>,
    /// What the tables say and the runs do not bear out: exceptions for what is covered, names that nothing has.
    pub stale: Vec<String>,
}

impl Table {
    /// Returns whether every path is covered or an exception, and every exception is needed.
    pub fn is_complete(&self) -> bool {
        self.stale.is_empty() && self.count(|verdict| matches!(verdict, Verdict::Missing { .. })) == 0
    }

    /// Returns how many rows have such a verdict.
    pub fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.rows.iter().filter(|row| is(&row.verdict)).count()
    }
}
