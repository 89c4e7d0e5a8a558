//! Schedules that shuttle's scheduler for probabilistic concurrency testing draws.
//!
//! The actors have priorities, and whoever has the highest of those that are ready runs; in a few places that are drawn the
//! running one gets the lowest (Burckhardt and others, 2010). A run finds a bug that takes `depth` orderings with a
//! probability that is known, so this goes where there are too many schedules to run all.

use std::sync::Arc;

use parking_lot::Mutex;
use shuttle::scheduler::{PctScheduler, Scheduler};

use super::{Exploration, Kind, goes_wrong, play, shrink::shrink};
use crate::{
    protocol::Protocol,
    scenario::Scenario,
    sched::{Guide, Schedule},
};

/// Runs `runs` schedules of a scenario that are drawn by the seed, each with `depth` - 1 changes of priorities, until
/// something goes wrong; that schedule is then shrunk to the departures that it takes.
///
/// # Panics
///
/// If the depth is 0.
pub fn draw(scenario: &Scenario, protocol: Protocol, depth: u32, seed: u64, runs: u64) -> Exploration {
    let count = usize::try_from(runs).unwrap_or(usize::MAX);
    let scheduler = Arc::new(Mutex::new(PctScheduler::new_from_seed(seed, depth as usize, count)));
    let mut exploration = Exploration { runs: 0, is_complete: false, kind: Kind::Pct(depth), found: None };
    while scheduler.lock().new_execution().is_some() {
        exploration.runs += 1;
        let (outcome, choices) = play(scenario, protocol, Guide::Scheduler(scheduler.clone()), Arc::default());
        if goes_wrong(&outcome) {
            exploration.found = Some(shrink(scenario, protocol, Schedule::of(&choices), outcome));
            return exploration;
        }
        if choices.is_empty() {
            // There is but one schedule, and the scheduler takes that for a mistake.
            exploration.is_complete = true;
            return exploration;
        }
    }
    exploration
}
