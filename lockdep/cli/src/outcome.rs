//! [`Outcome`]: what the exit code says.

use std::process::ExitCode;

/// The exit codes, for the help text.
pub(crate) const HELP: &str = "Exit codes: 0 clean, 100 findings, 101 failure or bad input, 2 wrong usage";

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Clean,
    Findings,
    Failed,
}

impl Outcome {
    /// The outcome of a verb that found something, or nothing.
    pub(crate) fn of(has_findings: bool) -> Self {
        if has_findings { Self::Findings } else { Self::Clean }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Clean => Self::SUCCESS,
            Outcome::Findings => Self::from(100),
            Outcome::Failed => Self::from(101),
        }
    }
}
