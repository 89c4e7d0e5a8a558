//! Every schedule of a small scenario that departs from the plain one in a few places.
//!
//! Each run is the scenario again, from the start, under one [`Schedule`]. Where it could have gone on otherwise, the next
//! schedules depart: first those with few preemptions, and of these first those that depart late. What is looked for is
//! what really goes wrong: a deadlock, a broken invariant. (What lockdep reports does not depend much on the schedule; that
//! is what it is for.)
//!
//! This is bounded model checking by preemptions (Musuvathi and Qadeer, 2007): most bugs need but one or two, and up to a
//! bound *all* schedules are run, which a random scheduler never knows of itself. It is our own because the scheduler is
//! there already: the one that also runs seeds, tells a deadlock by who waits for whom, and knows the simulator's locks,
//! pauses and interrupts. shuttle and loom bring locks and threads of their own in their place; loom would besides explore
//! the memory order of every atomic, of which a run here has a million and which are not what is looked for.
//! What is found is written as a schedule of a few numbers, and [`replay`] runs it again to the step.

use std::{fmt, sync::Arc};

use crate::{
    protocol::Protocol,
    run::{Direction, Outcome, Setup, play_as},
    scenario::Scenario,
    sched::{Choice, Schedule},
    sync::Mutation,
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// How many schedules were run.
    pub runs: u64,
    /// Whether these were all with so many preemptions.
    pub is_complete: bool,
    /// The bound of preemptions.
    pub preemptions: u32,
    /// The first run in which something really went wrong.
    pub found: Option<(Schedule, Outcome)>,
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.preemptions;
        match &self.found {
            Some((schedule, outcome)) => {
                writeln!(f, "{}", outcome.verdict)?;
                writeln!(f, "schedule {schedule}, the {}. of those with up to {bound} preemptions", self.runs)
            }
            None if self.is_complete => {
                writeln!(f, "nothing goes wrong in any schedule with up to {bound} preemptions ({} runs)", self.runs)
            }
            None => writeln!(f, "nothing goes wrong in {} runs; there are more", self.runs),
        }
    }
}

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
    // By preemptions; each stack is taken from its end.
    let mut waiting = vec![Vec::new(); preemptions as usize + 1];
    waiting[0].push(Schedule::default());
    let mut exploration = Exploration { runs: 0, is_complete: true, preemptions, found: None };
    while let Some(cost) = waiting.iter().position(|stack| !stack.is_empty()) {
        if exploration.runs == limit {
            exploration.is_complete = false;
            return exploration;
        }
        let Some(schedule) = waiting[cost].pop() else { continue };
        exploration.runs += 1;
        let (outcome, choices) = replay_as(scenario, protocol, schedule.clone(), mutation.clone());
        if goes_wrong(&outcome) {
            exploration.found = Some((schedule, outcome));
            return exploration;
        }
        for Choice { point, forced, others, .. } in choices {
            let cost = cost + usize::from(!forced);
            if point > schedule.last() && cost < waiting.len() {
                waiting[cost].extend(others.into_iter().map(|actor| schedule.with(point, actor)));
            }
        }
    }
    exploration
}

/// Runs a scenario by a schedule.
pub fn replay(scenario: &Scenario, protocol: Protocol, schedule: Schedule) -> Outcome {
    replay_as(scenario, protocol, schedule, Arc::default()).0
}

fn replay_as(
    scenario: &Scenario,
    protocol: Protocol,
    schedule: Schedule,
    mutation: Arc<Mutation>,
) -> (Outcome, Vec<Choice>) {
    let setup = Setup { id: scenario.id, memory: scenario.memory, build: scenario.build };
    let direction = Direction { seed: 1, schedule: Some(schedule), mutation, ..Direction::default() };
    play_as(&setup, protocol, (scenario.expect)(&protocol), direction)
}

fn goes_wrong(outcome: &Outcome) -> bool {
    outcome.deadlock.is_some() || !outcome.findings.is_empty() || outcome.failure.is_some()
}
