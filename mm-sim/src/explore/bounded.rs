//! All schedules that depart from the plain one in a few places.
//!
//! Where a run could have gone on otherwise, the next schedules depart: first those with few preemptions, and of these
//! first those that depart late. This is bounded model checking by preemptions (Musuvathi and Qadeer, 2007): most bugs need
//! but one or two, and up to a bound *all* schedules are run, of which a drawn one never knows.

use std::{ops::ControlFlow, sync::Arc};

use super::{Exploration, Kind, goes_wrong, play};
use crate::{
    protocol::Protocol,
    scenario::Scenario,
    sched::{Choice, Guide, Schedule},
    sync::Mutation,
};

/// Runs the schedules of a scenario with up to `preemptions` preemptions, at most `limit` of them, until something goes
/// wrong.
pub fn explore(scenario: &Scenario, protocol: Protocol, preemptions: u32, limit: u64) -> Exploration {
    explore_as(scenario, protocol, preemptions, limit, &Arc::default())
}

pub(crate) fn explore_as(
    scenario: &Scenario,
    protocol: Protocol,
    preemptions: u32,
    limit: u64,
    mutation: &Arc<Mutation>,
) -> Exploration {
    let mut found = None;
    let (runs, is_complete) = schedules(preemptions, limit, &mut |schedule| {
        let guide = Guide::Schedule(schedule.clone());
        let (outcome, choices) = play(scenario, protocol, guide, mutation.clone());
        if goes_wrong(&outcome) {
            found = Some((schedule.clone(), outcome));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(choices)
    });
    Exploration { runs, is_complete: is_complete || found.is_some(), kind: Kind::Bounded(preemptions), found }
}

/// Calls `play` with one schedule after the other, at most `limit` of them. It says where that run could have gone on
/// otherwise, or that it is enough. Returns how many schedules there were, and whether these were all.
pub(crate) fn schedules(
    preemptions: u32,
    limit: u64,
    play: &mut dyn FnMut(&Schedule) -> ControlFlow<(), Vec<Choice>>,
) -> (u64, bool) {
    // By preemptions; each stack is taken from its end.
    let mut waiting = vec![Vec::new(); preemptions as usize + 1];
    waiting[0].push(Schedule::default());
    let mut runs = 0;
    while let Some(cost) = waiting.iter().position(|stack| !stack.is_empty()) {
        if runs == limit {
            return (runs, false);
        }
        let Some(schedule) = waiting[cost].pop() else { continue };
        runs += 1;
        let ControlFlow::Continue(choices) = play(&schedule) else { return (runs, false) };
        for Choice { point, forced, others, .. } in choices {
            let cost = cost + usize::from(!forced);
            if point > schedule.last() && cost < waiting.len() {
                waiting[cost].extend(others.into_iter().map(|actor| schedule.with(point, actor)));
            }
        }
    }
    (runs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scenario, sync::Look};

    /// What each walk leaves behind that does not look again at a folio that was frozen.
    #[test]
    fn who_does_not_look_again_leaves_something_behind() {
        let left = [
            ("small-moved-hole", 1, "cut-but-cached"),
            ("small-moved-cut", 1, "cut-but-cached"),
            ("small-moved-dirty", 2, "dirty-lost"),
        ];
        for (id, preemptions, invariant) in left {
            let scenario = scenario::named(id).unwrap();
            let mutation = Arc::new(Mutation::Look(Look::FrozenAgain));
            let exploration = explore_as(scenario, Protocol::V6_12, preemptions, 5000, &mutation);
            let (_, outcome) = exploration.found.unwrap_or_else(|| panic!("{id}: nothing in {}", exploration.runs));
            assert!(outcome.findings.iter().any(|f| f.invariant.as_str() == invariant), "{id}: {}", outcome.verdict);
        }
    }
}
