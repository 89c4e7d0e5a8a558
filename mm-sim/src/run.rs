//! Running a scenario: set up, act, tidy up, and say what was found.
//!
//! Three phases, each with its own round of the scheduler: `init` builds the stage alone, then all actors run against
//! each other, then `exit` checks the machine at rest, ends what is left and checks that nothing leaks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use lockdep::{Journal, Report, Session};
use serde::Serialize;

use crate::{
    check,
    finding::Finding,
    protocol::Protocol,
    scenario::{Expect, Plan, Scenario},
    sched::{Baton, Body, Choice, Context, Deadlock, Guide, Order, Rng, Stop},
    sync::{Mutation, Observer, watch_irqs},
    tidy::tidy,
    what_if::WhatIf,
    world::World,
};

/// Steps after which a run is given up.
const STEP_LIMIT: u64 = 20_000_000;

/// What a run found and did.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The scenario's id.
    pub scenario: &'static str,
    /// The protocol's name.
    pub protocol: &'static str,
    /// What was decided otherwise than by that kernel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub what_if: Vec<WhatIf>,
    /// The seed.
    pub seed: u64,
    /// What was expected, in words.
    pub expected: String,
    /// What was found, in words.
    pub verdict: String,
    /// Whether the two agree.
    pub is_expected: bool,
    /// What lockdep found.
    pub reports: Vec<Report>,
    /// Which invariants broke.
    pub findings: Vec<Finding>,
    /// The deadlock in which the run ended, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadlock: Option<Deadlock>,
    /// Why the run was given up, if it was: a failure of the simulator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Steps of the scheduler.
    pub steps: u64,
    /// How often operations went which way.
    pub stats: BTreeMap<&'static str, u64>,
    /// Classes and dependencies that lockdep learnt.
    #[serde(skip)]
    pub journal: Journal,
}

impl Outcome {
    /// Returns whether anything was found.
    pub fn has_findings(&self) -> bool {
        !self.reports.is_empty() || !self.findings.is_empty() || self.deadlock.is_some()
    }
}

/// What a run is made of, apart from the rules.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) id: &'static str,
    /// Pages of memory.
    pub(crate) memory: u64,
    pub(crate) build: fn(&World) -> Plan,
}

/// Runs a scenario under a protocol. The same seed gives the same outcome, to the byte.
pub fn run(scenario: &Scenario, protocol: Protocol, seed: u64) -> Outcome {
    let setup = Setup { id: scenario.id, memory: scenario.memory, build: scenario.build };
    play(&setup, protocol, (scenario.expect)(&protocol), seed)
}

/// Sets up, acts and tidies up, and holds what was found against `expect`.
pub(crate) fn play(setup: &Setup, protocol: Protocol, expect: Expect, seed: u64) -> Outcome {
    play_as(setup, protocol, expect, Direction { seed, ..Direction::default() }).0
}

/// What besides rules and scenario decides how a run goes.
#[derive(Clone, Default)]
pub(crate) struct Direction {
    pub(crate) seed: u64,
    /// Who says when the actors take turns; drawn from the seed if there is nobody.
    pub(crate) guide: Option<Guide>,
    /// What is wrong on purpose.
    pub(crate) mutation: Arc<Mutation>,
    /// Who watches.
    pub(crate) observer: Arc<Observer>,
    /// Where lockdep learns, if not anew: several runs of one kernel.
    pub(crate) session: Option<Session>,
    /// Whether the first broken invariant is enough.
    pub(crate) stops_at_first: bool,
}

/// As [`play`], and returns where somebody else could have run, if there is a guide.
pub(crate) fn play_as(
    setup: &Setup,
    protocol: Protocol,
    expect: Expect,
    direction: Direction,
) -> (Outcome, Vec<Choice>) {
    let stage = Stage::new(setup, protocol, direction);
    let plan = Arc::new(Mutex::new(None::<Plan>));
    let mut run = Progress { steps: 0, stop: None, choices: Vec::new() };
    run.phase(&stage, 0, vec![("init".to_owned(), set_up(setup, &stage.world, &plan))]);
    let Plan { actors, processes } = plan.lock().ok().and_then(|mut plan| plan.take()).unwrap_or_default();
    run.phase(&stage, 1, actors);
    let world = stage.world.clone();
    let tidy_up: Body = Box::new(move || {
        check::at_rest(&world.machine);
        processes.into_iter().for_each(|process| process.exit());
        check::at_end(&world.machine);
    });
    run.phase(&stage, 2, vec![("exit".to_owned(), tidy_up)]);
    let choices = std::mem::take(&mut run.choices);
    (stage.outcome(setup.id, expect, run), choices)
}

fn set_up(setup: &Setup, world: &World, plan: &Arc<Mutex<Option<Plan>>>) -> Body {
    let (build, world, plan) = (setup.build, world.clone(), plan.clone());
    Box::new(move || {
        watch_irqs();
        let built = build(&world);
        if let Ok(mut plan) = plan.lock() {
            *plan = Some(built);
        }
    })
}

struct Stage {
    world: World,
    context: Context,
    seed: u64,
    guide: Option<Guide>,
}

struct Progress {
    steps: u64,
    stop: Option<Stop>,
    choices: Vec<Choice>,
}

impl Progress {
    fn phase(&mut self, stage: &Stage, number: u64, actors: Vec<(String, Body)>) {
        if self.stop.is_none() && !actors.is_empty() {
            let seed = stage.seed.wrapping_mul(3).wrapping_add(number);
            let guide = stage.guide.clone().filter(|_| number == 1);
            let order = guide.map_or_else(|| Order::Drawn(Rng::new(seed)), Order::guided);
            let ran = Baton::run(order, STEP_LIMIT, &stage.context, actors);
            self.steps += ran.steps;
            self.stop = ran.stop;
            self.choices.extend(ran.choices);
            if let Some(survey) = stage.context.observer.survey() {
                survey.end_round();
            }
        }
    }
}

impl Stage {
    fn new(setup: &Setup, protocol: Protocol, direction: Direction) -> Self {
        let Direction { seed, guide, mutation, observer, session, stops_at_first } = direction;
        let world = World::new(protocol, setup.memory, seed);
        let new = Context::new();
        let session = session.unwrap_or_else(|| new.session.clone());
        Self { world, context: Context { mutation, observer, session, stops_at_first, ..new }, seed, guide }
    }

    fn outcome(self, id: &'static str, expect: Expect, run: Progress) -> Outcome {
        let protocol = self.world.protocol();
        let reports: Vec<Report> = self.context.session.reports().into_iter().map(tidy).collect();
        let findings = self.context.findings.take();
        let (deadlock, failure) = Stop::split(run.stop);
        let is_expected = failure.is_none() && expect.is_met(&reports, &findings, deadlock.as_ref());
        Outcome {
            scenario: id,
            protocol: protocol.name,
            what_if: protocol.what_ifs(),
            seed: self.seed,
            expected: expect.to_string(),
            verdict: verdict(&reports, &findings, deadlock.as_ref(), failure.as_deref()),
            is_expected,
            reports,
            findings,
            deadlock,
            failure,
            steps: run.steps,
            stats: self.world.machine.stats.to_map(),
            journal: self.context.session.journal("mm-sim"),
        }
    }
}

/// Returns what was found in a few words.
pub(crate) fn verdict(
    reports: &[Report],
    findings: &[Finding],
    deadlock: Option<&Deadlock>,
    failure: Option<&str>,
) -> String {
    let cycle = |report: &Report| {
        if report.cycle.is_empty() {
            return format!("{} of {}", report.code, report.wanted.class);
        }
        let names: Vec<_> = report.cycle.iter().map(|dependency| dependency.outer.class.as_str()).collect();
        format!("{} {{{}}}", report.code, names.join(", "))
    };
    let mut parts: Vec<String> = reports.iter().map(cycle).collect();
    let mut broken: Vec<_> = findings.iter().map(|finding| finding.invariant).collect();
    broken.sort_unstable();
    broken.dedup();
    parts.extend(broken.iter().map(|invariant| format!("broken: {}", invariant.as_str())));
    parts.extend(deadlock.map(|deadlock| format!("deadlock of {} actors", deadlock.waits.len())));
    parts.extend(failure.map(str::to_owned));
    if parts.is_empty() { Expect::Silent.to_string() } else { parts.join("; ") }
}
