//! Other schedules of a small scenario than the plain one.
//!
//! * `bounded`: all of them that depart in a few places.
//! * `pct`: drawn ones, with a known probability to find what takes so many orderings.
//! * `shrink`: a schedule that goes wrong, with the departures alone that it takes.
//!
//! Each run is the scenario again, from the start. What is looked for is what really goes wrong: a deadlock, a broken
//! invariant. (What lockdep reports does not depend much on the schedule; that is what it is for.) What is found is
//! written as a [`Schedule`] of a few numbers, and [`replay`] runs it again to the step.
//!
//! The schedulers decide, but the actors stay threads of the system: what lockdep knows of a thread lives in the thread, so
//! they cannot be the coroutines as which shuttle and loom run what they explore.

mod bounded;
mod pct;
mod shrink;

use std::{fmt, sync::Arc};

use crate::{
    protocol::Protocol,
    run::{Direction, Outcome, Setup, play_as},
    scenario::Scenario,
    sched::{Choice, Guide, Schedule},
    sync::Mutation,
};

pub use bounded::explore;
pub(crate) use bounded::{explore_as, schedules};
pub use pct::draw;

/// What was found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// How many schedules were run.
    pub runs: u64,
    /// Whether these were all there are of their kind.
    pub is_complete: bool,
    /// Their kind.
    pub kind: Kind,
    /// The first run in which something really went wrong.
    pub found: Option<(Schedule, Outcome)>,
}

/// Which schedules are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All with up to so many preemptions.
    Bounded(u32),
    /// Drawn ones that may find what takes so many orderings.
    Pct(u32),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounded(preemptions) => write!(f, "with up to {preemptions} preemptions"),
            Self::Pct(depth) => write!(f, "drawn for bugs of depth {depth}"),
        }
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, kind, .. } = self;
        match &self.found {
            Some((schedule, outcome)) => {
                writeln!(f, "{}", outcome.verdict)?;
                writeln!(f, "schedule {schedule}, the {runs}. of those {kind}")
            }
            None if self.is_complete => writeln!(f, "nothing goes wrong in any schedule {kind} ({runs} runs)"),
            None => writeln!(f, "nothing goes wrong in {runs} runs {kind}; there are more"),
        }
    }
}

/// Runs a scenario by a schedule.
pub fn replay(scenario: &Scenario, protocol: Protocol, schedule: Schedule) -> Outcome {
    play(scenario, protocol, Guide::Schedule(schedule), Arc::default()).0
}

fn play(scenario: &Scenario, protocol: Protocol, guide: Guide, mutation: Arc<Mutation>) -> (Outcome, Vec<Choice>) {
    let setup = Setup { id: scenario.id, memory: scenario.memory, build: scenario.build };
    let direction = Direction { seed: 1, guide: Some(guide), mutation, ..Direction::default() };
    play_as(&setup, protocol, (scenario.expect)(&protocol), direction)
}

fn goes_wrong(outcome: &Outcome) -> bool {
    outcome.deadlock.is_some() || !outcome.findings.is_empty() || outcome.failure.is_some()
}
