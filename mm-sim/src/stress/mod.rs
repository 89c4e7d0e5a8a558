//! The operations on threads that really run at the same time.
//!
//! What a run does is not a function of its seed, so the memory model is off. What is checked: everything that lockdep and
//! the invariants check, that a thread reads back what it wrote to memory that only it writes, that words which only grow
//! never shrink, and that nothing is left over at the end. A deadlock is found by the watchdog, and told.
//!
//! * `workload`: what the threads do; `compare`: protocols against each other, as table and chart.

mod compare;
mod workload;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lockdep::{Policy, Report, Session};
use serde::Serialize;

pub use self::compare::{Comparison, Measured};
use crate::{
    check,
    finding::{Finding, Findings},
    process::World,
    protocol::Protocol,
    run::verdict,
    scenario::Plan,
    sched::{Body, Deadlock, Stop, Threads},
    tidy::tidy,
};

/// What the threads of a stress run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mix {
    /// Everything: mappings of all sorts, forks, truncation, collapse, reclaim, writeback.
    All,
    /// Mostly page faults, on memory of the threads' own and on one file, in one process.
    Faults,
}

/// A stress run.
#[derive(Clone, Copy, Debug)]
pub struct Stress {
    /// Threads of user code, besides those of the kernel.
    pub threads: u32,
    /// For how long.
    pub time: Duration,
    /// The rules.
    pub protocol: Protocol,
    /// The seed of what the threads draw.
    pub seed: u64,
    /// What they do.
    pub mix: Mix,
}

/// What a stress run found and did.
#[derive(Clone, Debug, Serialize)]
pub struct StressOutcome {
    /// The protocol's name.
    pub protocol: &'static str,
    /// Threads of user code.
    pub threads: u32,
    /// What they did.
    pub mix: Mix,
    /// What was found, in words.
    pub verdict: String,
    /// What lockdep found.
    pub reports: Vec<Report>,
    /// Which invariants broke.
    pub findings: Vec<Finding>,
    /// The deadlock in which the run ended, if it did.
    pub deadlock: Option<Deadlock>,
    /// Why the run was given up, if it was.
    pub failure: Option<String>,
    /// How long the threads ran, in seconds.
    pub seconds: f64,
    /// Page faults that succeeded or not, a second.
    pub faults_per_second: f64,
    /// The share of the page faults that were handled under the VMA lock.
    pub vma_lock_hits: f64,
    /// Scheduling points passed.
    pub steps: u64,
    /// How often a thread had to wait for a lock.
    pub waits: u64,
    /// How often operations went which way.
    pub stats: BTreeMap<&'static str, u64>,
}

impl StressOutcome {
    /// Returns whether anything was found.
    pub fn has_findings(&self) -> bool {
        !self.reports.is_empty() || !self.findings.is_empty() || self.deadlock.is_some()
    }
}

impl Stress {
    /// Runs.
    pub fn run(&self) -> StressOutcome {
        let world = World::new(self.protocol, workload::memory(self), self.seed);
        world.machine.model.switch_off();
        let session = Session::new(Policy::Collect);
        let mut rounds = Rounds { stress: *self, session, findings: Arc::default(), steps: 0, waits: 0, stop: None };
        let plan = Arc::new(Mutex::new(None::<Plan>));
        let (build, into) = (world.clone(), plan.clone());
        let options = *self;
        rounds.round(vec![(
            "init".to_owned(),
            body(move || {
                let built = workload::build(&build, &options);
                into.lock().expect("nobody panics with it").replace(built);
            }),
        )]);
        let Plan { actors, processes } = plan.lock().ok().and_then(|mut plan| plan.take()).unwrap_or_default();
        let start = Instant::now();
        rounds.round(actors);
        let seconds = start.elapsed().as_secs_f64();
        let faults = world.machine.stats.to_map();
        let machine = world.machine.clone();
        rounds.round(vec![(
            "exit".to_owned(),
            body(move || {
                check::at_rest(&machine);
                processes.into_iter().for_each(|process| process.exit());
                check::at_end(&machine);
            }),
        )]);
        rounds.outcome(faults, seconds)
    }
}

fn body(f: impl FnOnce() + Send + 'static) -> Body {
    Box::new(f)
}

/// The rounds of one run.
struct Rounds {
    stress: Stress,
    session: Session,
    findings: Arc<Findings>,
    steps: u64,
    waits: u64,
    stop: Option<Stop>,
}

impl Rounds {
    fn round(&mut self, actors: Vec<(String, Body)>) {
        if self.stop.is_none() && !actors.is_empty() {
            let (seed, time) = (self.stress.seed, self.stress.time);
            let ran = Threads::run(seed, time, &self.session, &self.findings, actors);
            self.steps += ran.steps;
            self.waits += ran.waits;
            self.stop = ran.stop;
        }
    }

    fn outcome(self, stats: BTreeMap<&'static str, u64>, seconds: f64) -> StressOutcome {
        let reports: Vec<Report> = self.session.reports().into_iter().map(tidy).collect();
        let findings = self.findings.take();
        let (deadlock, failure) = Stop::split(self.stop);
        let count = |name: &str| stats.get(name).copied().unwrap_or(0) as f64;
        let faults = count("faults_under_vma_lock") - count("faults_retried") + count("faults_under_mmap_lock");
        let hits = count("faults_under_vma_lock") - count("faults_retried");
        StressOutcome {
            protocol: self.stress.protocol.name,
            threads: self.stress.threads,
            mix: self.stress.mix,
            verdict: verdict(&reports, &findings, deadlock.as_ref(), failure.as_deref()),
            reports,
            findings,
            deadlock,
            failure,
            seconds,
            faults_per_second: faults / seconds,
            vma_lock_hits: if faults > 0.0 { hits / faults } else { 0.0 },
            steps: self.steps,
            waits: self.waits,
            stats,
        }
    }
}

/// First the verdict, then the story.
impl fmt::Display for StressOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        writeln!(f, "{} threads for {:.1} s under {}\n", self.threads, self.seconds, self.protocol)?;
        writeln!(
            f,
            "{:>10.0} page faults a second, {:.1}% of them under the VMA lock",
            self.faults_per_second,
            self.vma_lock_hits * 100.0
        )?;
        writeln!(f, "{:>10.0} steps a second", self.steps as f64 / self.seconds)?;
        writeln!(f, "{:>10.0} waits for a lock a second", self.waits as f64 / self.seconds)?;
        writeln!(f)?;
        for (name, count) in &self.stats {
            writeln!(f, "{count:>10} {}", name.replace('_', " "))?;
        }
        for report in &self.reports {
            write!(f, "\n{}", lockdep_report::text::render(report))?;
        }
        for finding in &self.findings {
            let path = finding.path.join(" > ");
            writeln!(f, "\nbroken: {} ({}: {path})\n  {}", finding.invariant.as_str(), finding.actor, finding.text)?;
        }
        match &self.deadlock {
            Some(deadlock) => write!(f, "\ndeadlock after {} steps:\n\n{deadlock}", deadlock.steps),
            None => Ok(()),
        }
    }
}
