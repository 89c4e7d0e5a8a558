//! A schedule that goes wrong, with the departures alone that it takes.

use super::{goes_wrong, replay};
use crate::{protocol::Protocol, run::Outcome, scenario::Scenario, sched::Schedule};

/// Replays at most.
const LIMIT: u32 = 400;

/// Leaves departures out as long as something still goes wrong: ever smaller parts of them, after delta debugging (Zeller,
/// 1999). Returns the shortest schedule that was found, and its outcome.
pub(super) fn shrink(
    scenario: &Scenario,
    protocol: Protocol,
    schedule: Schedule,
    outcome: Outcome,
) -> (Schedule, Outcome) {
    let mut best = (schedule.departures(), outcome);
    let mut part = best.0.len().div_ceil(2);
    let mut replays = 0;
    while part > 0 {
        let mut start = 0;
        let before = best.0.len();
        while start < best.0.len() && replays < LIMIT {
            let end = (start + part).min(best.0.len());
            let rest: Vec<_> = best.0[..start].iter().chain(&best.0[end..]).copied().collect();
            replays += 1;
            let outcome = replay(scenario, protocol, rest.iter().copied().collect());
            if goes_wrong(&outcome) {
                best = (rest, outcome);
            } else {
                start = end;
            }
        }
        // Single departures are tried until none of them can go.
        part = if part == 1 && best.0.len() < before { 1 } else { part / 2 };
        if replays == LIMIT {
            break;
        }
    }
    (best.0.into_iter().collect(), best.1)
}
