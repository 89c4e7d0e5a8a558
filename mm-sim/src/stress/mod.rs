//! The operations on threads that really run at the same time.
//!
//! What a run does is not a function of its seed, so the memory model is off. What is checked: everything that lockdep and
//! the invariants check, that a thread reads back what it wrote to memory that only it writes, that words which only grow
//! never shrink, and that nothing is left over at the end. A deadlock is found by the watchdog, and told.
//!
//! * `workload`: what the threads do; `rounds`: a machine that they do it on, or one after the other; `locks`: how often and how
//!   long locks were waited for.
//! * `compare`: protocols against each other, as table and chart.

mod compare;
mod locks;
mod rounds;
mod workload;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use lockdep::Report;
use serde::Serialize;

use self::rounds::Rounds;
pub use self::{
    compare::{Comparison, Measured},
    locks::LockUse,
};
use crate::{
    finding::Finding,
    protocol::Protocol,
    run::verdict,
    scenario::{self, Expect, Scenario},
    sched::{Deadlock, Stop},
    tidy::tidy,
    world::World,
};

/// What the threads of a stress run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mix {
    /// A machine that is always the same: mappings of all sorts, forks, truncation, collapse, reclaim, writeback.
    All,
    /// Every operation: the scenarios that are silent under 6.12 in turn, each on a machine of its own and at least once.
    /// Ends with the first one that something is found in.
    Tours,
    /// The scenario of this id, again and again, at least once. Ends when something is found.
    Scenario(&'static str),
    /// Mostly page faults, on memory of the threads' own and on one file, in one process.
    Faults,
}

/// A stress run.
#[derive(Clone, Copy, Debug)]
pub struct Stress {
    /// Threads of user code, besides those of the kernel. Scenarios have their own.
    pub threads: u32,
    /// For how long.
    pub time: Duration,
    /// The rules.
    pub protocol: Protocol,
    /// The seed of what the threads draw.
    pub seed: u64,
    /// What they do.
    pub mix: Mix,
    /// Whether lockdep keeps lock statistics, which take time of their own.
    pub locks: bool,
}

/// How far a stress run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Time since the threads began.
    pub elapsed: Duration,
    /// Page faults so far.
    pub faults: u64,
    /// Invariants broken so far.
    pub broken: usize,
}

/// What a stress run found and did.
#[derive(Clone, Debug, Serialize)]
pub struct StressOutcome {
    /// The protocol's name.
    pub protocol: &'static str,
    /// Threads of user code; of scenarios, the most of one.
    pub threads: u32,
    /// What they did.
    pub mix: Mix,
    /// How many machines they did it on.
    pub machines: u64,
    /// In which scenario something was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<&'static str>,
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
    /// Processor time a page fault, in microseconds, where the system tells it: the rest of the operations included.
    pub cpu_us_per_fault: Option<f64>,
    /// Scheduling points passed.
    pub steps: u64,
    /// How often a thread had to wait for a lock.
    pub waits: u64,
    /// How often operations went which way.
    pub stats: BTreeMap<&'static str, u64>,
    /// The lock statistics, the longest waits first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<LockUse>,
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
        self.run_telling(Duration::MAX, |_| {})
    }

    /// Runs, and tells every `interval` how far it is.
    pub fn run_telling(&self, interval: Duration, tell: impl Fn(Progress) + Sync) -> StressOutcome {
        if self.locks {
            lockdep::set_statistics(true);
        }
        let outcome = self.run_rounds(interval, &tell);
        if self.locks {
            lockdep::set_statistics(false);
        }
        outcome
    }

    fn run_rounds(&self, interval: Duration, tell: &(dyn Fn(Progress) + Sync)) -> StressOutcome {
        let mut rounds = Rounds::new(self.seed);
        let (start, watch) = (Instant::now(), rounds.watch());
        let progress = || Progress { elapsed: start.elapsed(), faults: watch.faults(), broken: watch.broken() };
        let mut scenario = None;
        let work = || match self.mix {
            Mix::All | Mix::Faults => {
                let world = World::new(self.protocol, workload::memory(self), self.seed);
                let options = *self;
                rounds.play(&world, self.time, move |world| workload::build(world, &options));
            }
            Mix::Tours | Mix::Scenario(_) => scenario = self.play_scenarios(&mut rounds),
        };
        ticking(interval, || tell(progress()), work);
        self.outcome(rounds, scenario)
    }

    /// Plays scenarios until the time is over. Returns the one in which something was found.
    fn play_scenarios(&self, rounds: &mut Rounds) -> Option<&'static str> {
        let start = Instant::now();
        let is_tour = |scenario: &&Scenario| match self.mix {
            Mix::Scenario(id) => scenario.id == id,
            _ => (scenario.expect)(&Protocol::V6_12) == Expect::Silent,
        };
        for turn in 0.. {
            for scenario in scenario::ALL.iter().chain(scenario::DIRECTED).filter(is_tour) {
                if turn > 0 && start.elapsed() >= self.time {
                    return None;
                }
                let world = World::new(self.protocol, scenario.memory, self.seed.wrapping_add(turn));
                rounds.play(&world, SCENARIO, scenario.build);
                if rounds.has_findings() {
                    return Some(scenario.id);
                }
            }
        }
        None
    }

    fn outcome(&self, rounds: Rounds, scenario: Option<&'static str>) -> StressOutcome {
        let Rounds { context, steps, waits, machines, actors, seconds, cpu, stop, .. } = rounds;
        let stats = rounds.tally.take();
        let reports: Vec<Report> = context.session.reports().into_iter().map(tidy).collect();
        let locks = if self.locks { context.session.statistics() } else { Vec::new() };
        let findings = context.findings.take();
        let (deadlock, failure) = Stop::split(stop);
        let count = |name: &str| stats.get(name).copied().unwrap_or(0) as f64;
        let faults = count("faults_under_vma_lock") - count("faults_retried") + count("faults_under_mmap_lock");
        let hits = count("faults_under_vma_lock") - count("faults_retried");
        StressOutcome {
            protocol: self.protocol.name,
            threads: if matches!(self.mix, Mix::Tours | Mix::Scenario(_)) { actors } else { self.threads },
            mix: self.mix,
            machines,
            scenario,
            verdict: verdict(&reports, &findings, deadlock.as_ref(), failure.as_deref()),
            reports,
            findings,
            deadlock,
            failure,
            seconds,
            faults_per_second: faults / seconds,
            vma_lock_hits: if faults > 0.0 { hits / faults } else { 0.0 },
            cpu_us_per_fault: cpu.filter(|_| faults > 0.0).map(|cpu| cpu / faults * 1e6),
            steps,
            waits,
            stats,
            locks: locks.iter().map(LockUse::of).collect(),
        }
    }
}

/// How long a scenario may take before its threads are said not to end.
const SCENARIO: Duration = Duration::from_secs(60);

/// Does something, and calls `tick` every `interval` meanwhile.
fn ticking(interval: Duration, tick: impl Fn() + Sync, what: impl FnOnce()) {
    let (done, end) = (parking_lot::Mutex::new(false), parking_lot::Condvar::new());
    std::thread::scope(|scope| {
        let ticker = || {
            let mut done = done.lock();
            while !*done {
                // A wait for ever if the interval is longer than any clock.
                let is_late = match Instant::now().checked_add(interval) {
                    Some(until) => end.wait_until(&mut done, until).timed_out(),
                    None => {
                        end.wait(&mut done);
                        false
                    }
                };
                if is_late && !*done {
                    tick();
                }
            }
        };
        scope.spawn(ticker);
        what();
        *done.lock() = true;
        end.notify_all();
    });
}

/// First the verdict, then the story.
impl fmt::Display for StressOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        if let Some(scenario) = self.scenario {
            writeln!(f, "in {scenario}")?;
        }
        match self.mix {
            Mix::All | Mix::Faults => write!(f, "{} threads", self.threads)?,
            Mix::Tours | Mix::Scenario(_) => {
                write!(f, "{} scenarios, of up to {} threads,", self.machines, self.threads)?
            }
        }
        writeln!(f, " for {:.1} s under {}\n", self.seconds, self.protocol)?;
        let count = |name: &str| self.stats.get(name).copied().unwrap_or(0);
        let (retried, mmap) = (count("faults_retried"), count("faults_under_mmap_lock"));
        let vma = count("faults_under_vma_lock") - retried;
        let rate = |count: u64| count as f64 / self.seconds;
        writeln!(f, "{:>10.0} page faults a second", self.faults_per_second)?;
        writeln!(f, "{:>10.0}   under the VMA lock ({:.1}%)", rate(vma), self.vma_lock_hits * 100.0)?;
        writeln!(f, "{:>10.0}   under the mmap lock", rate(mmap))?;
        writeln!(f, "{:>10.0}   of these, begun under the VMA lock and retried", rate(retried))?;
        writeln!(f, "{:>10.0} steps a second", self.steps as f64 / self.seconds)?;
        writeln!(f, "{:>10.0} waits for a lock a second", self.waits as f64 / self.seconds)?;
        writeln!(f)?;
        for (name, count) in &self.stats {
            writeln!(f, "{count:>10} {}", name.replace('_', " "))?;
        }
        if !self.locks.is_empty() {
            write!(f, "\n{}", locks::Table(&self.locks))?;
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
