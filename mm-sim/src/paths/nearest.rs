//! How far an operation came that did not follow a path to its end.

use serde::Serialize;

use super::{matcher::Followed, places::Places};
use crate::sync::{LockId, Step, Way};

/// Lines that are shown after the last one that follows.
const AFTER: usize = 8;
/// So many lines or fewer between two that follow are all shown.
const BETWEEN: usize = 4;

/// The run and the operation in which something was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The scenario's id, or that of a bug of the catalogue.
    pub scenario: &'static str,
    /// The seed.
    pub seed: u64,
    /// The schedule, if it did not come from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The operation.
    pub operation: &'static str,
}

/// What an actor did with a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// As a step of a path.
    pub text: String,
    /// Whose lock it is, such as `vma 7`.
    pub of: String,
    /// Whether it is a step of the path.
    pub follows: bool,
    /// How many lines before it are not shown.
    pub left_out: usize,
}

/// The operation that came furthest on a path, and the part of what it did that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nearest {
    /// Where.
    pub seen: Seen,
    /// From the first step that follows to a few after the last.
    pub trace: Vec<Line>,
}

impl Nearest {
    /// Picks the lines of an operation that matter. Locks have their documented names.
    pub(super) fn new(seen: Seen, steps: &[Step], followed: &Followed, places: &Places) -> Self {
        let (mut trace, mut skipped, mut since) = (Vec::new(), Vec::new(), 0);
        let (mut first, last) = (followed.at.iter().min().copied(), followed.at.iter().max().copied());
        for (at, step) in steps.iter().enumerate() {
            let Some((text, of)) = line(step, places) else { continue };
            let follows = followed.at.contains(&at);
            let line = Line { text, of, follows, left_out: 0 };
            if follows {
                let between = std::mem::take(&mut skipped);
                let is_short = between.len() <= BETWEEN;
                let left_out = if first.take().is_some() || is_short { 0 } else { between.len() };
                if is_short && !trace.is_empty() {
                    trace.extend(between);
                }
                trace.push(Line { left_out, ..line });
            } else if last.is_some_and(|last| at > last) || last.is_none() {
                since += 1;
                if since > AFTER {
                    break;
                }
                trace.push(line);
            } else {
                skipped.push(line);
            }
        }
        Self { seen, trace }
    }
}

/// Returns a step as paths write it, and whose lock it is; `None` for one that is no lock's.
fn line(step: &Step, places: &Places) -> Option<(String, String)> {
    let of = |lock: &LockId| if lock.2 == 0 { String::new() } else { format!("{} {}", lock.1, lock.2) };
    let name = |lock: &LockId| places.name_of(lock.0).to_owned();
    Some(match step {
        Step::Take(taken) => {
            let way = match taken.way {
                Way::Read => "read",
                Way::Write => "write",
                Way::Map => "map",
            };
            let tries = taken.tries.then(|| "try".to_owned());
            let level = (taken.level > 0).then(|| format!("nested={}", taken.level));
            let under = taken.under.then(|| "nest_lock".to_owned());
            let how: Vec<_> = [tries, level, under].into_iter().flatten().collect();
            let mark = if how.is_empty() { "" } else { "!" };
            (format!("{}:{way}{mark}{}", name(&taken.lock), how.join(",")), of(&taken.lock))
        }
        Step::Release(lock) => (format!("{}:release", name(lock)), of(lock)),
        Step::Downgrade(lock) => (format!("{}:downgrade", name(lock)), of(lock)),
        Step::Enter(_) | Step::Leave => return None,
    })
}
