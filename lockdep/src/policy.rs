//! What happens when the validator has something to report.

use std::str::FromStr;

/// What a report does.
///
/// Set with [`set_policy`](crate::set_policy), or by the environment variable `LOCKDEP` (`panic`, `print`, `collect`,
/// `abort`, or `off`, which switches checking off for the whole run). A finding whose grade does not fail a run is printed
/// where others panic or abort; `LOCKDEP=fail=all` makes every grade fail. The variable may have several words between commas:
/// also `summary`, `stat` (lock statistics), `held` (the table of what all threads hold), `budget=64M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The acquisition that closes the cycle panics, before it blocks, with the rendered report as its message. A
    /// thread that is panicking already prints instead.
    #[default]
    Panic,
    /// The report is printed to standard error and the program goes on.
    Print,
    /// The report is only kept, for `take_reports`.
    Collect,
    /// The report is printed and the process aborts.
    Abort,
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        Ok(match text {
            "panic" => Self::Panic,
            "print" => Self::Print,
            "collect" => Self::Collect,
            "abort" => Self::Abort,
            _ => return Err(UnknownPolicy(())),
        })
    }
}

/// A word that names no [`Policy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPolicy(());

impl std::fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such policy (known: panic, print, collect, abort)")
    }
}

impl std::error::Error for UnknownPolicy {}
