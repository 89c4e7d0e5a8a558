//! The command line: `mm-sim` tells the story, `list` and `run` are for everything else.
//!
//! Exit codes: 0 clean (for the story: as expected), 100 findings, 101 failure or bad input, 2 wrong usage.

mod explore;
mod fidelity;
mod list;
mod mutate;
mod paint;
mod pair;
mod paths;
mod rules;
mod run;
mod story;
mod stress;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use mm_sim::{
    Protocol, catalogue,
    scenario::{self, Scenario},
    stress::Mix,
};

use self::rules::Rules;

/// Something was found.
pub(crate) const FINDINGS: u8 = 100;
/// It did not work, or the input was bad.
pub(crate) const FAILURE: u8 = 101;

/// Simulates Linux memory management under lockdep. Without a command: the story of the mail of January 2023.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Where the story's files go.
    #[arg(long, value_name = "DIR", default_value = "target/mm-sim")]
    out: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Lists scenarios and protocols.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compares the lock order of a protocol with that of a running kernel.
    Fidelity {
        /// The kernel's /proc/lockdep.
        #[arg(long, value_name = "FILE")]
        kernel: PathBuf,
        #[command(flatten)]
        rules: Rules,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Holds the operations against the kernel's documented code paths: which locks, in which order, held how long.
    Paths {
        /// Only this one.
        #[arg(value_name = "PATH")]
        path: Option<String>,
        #[command(flatten)]
        rules: Rules,
        /// Counts exceptions as missing, and shows how far operations come.
        #[arg(long)]
        strict: bool,
        /// Other paths than the built-in ones, written as they are (mm-sim/data/paths.txt).
        #[arg(long, value_name = "FILE")]
        table: Option<PathBuf>,
        /// Other places than the built-in ones, written as they are (mm-sim/data/paths-places.txt).
        #[arg(long, value_name = "FILE")]
        places: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs a scenario, or a bug of the catalogue: with it until it shows, and then without it.
    Run {
        /// Its id.
        #[arg(value_name = "ID")]
        scenario: String,
        #[command(flatten)]
        rules: Rules,
        /// The seed of the scheduler: 1 if it is not given, or for a bug the first one that shows it.
        #[arg(long)]
        seed: Option<u64>,
        /// Of a bug, only the run without it.
        #[arg(long)]
        fixed: bool,
        /// Pages of memory, if not the scenario's own.
        #[arg(long, value_name = "PAGES")]
        memory: Option<u64>,
        /// The outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs a small scenario by many schedules, until something really goes wrong.
    Explore {
        /// Its id.
        scenario: String,
        #[command(flatten)]
        rules: Rules,
        /// Which schedules.
        #[arg(long, value_enum, default_value_t = explore::Scheduler::Bounded)]
        scheduler: explore::Scheduler,
        /// How often a schedule may take an actor off that could go on.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=8))]
        preemptions: u32,
        /// How many schedules at most.
        #[arg(long, default_value_t = 20_000)]
        runs: u64,
        /// The seed of drawn schedules.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Replay this one instead.
        #[arg(long, conflicts_with_all = ["scheduler", "preemptions", "runs", "seed"])]
        schedule: Option<String>,
    },
    /// Tries deliberate bugs: acquisitions left out, swapped or made to wait, and looks not taken.
    Mutate {
        #[command(flatten)]
        rules: Rules,
        /// Only the small scenarios.
        #[arg(long)]
        quick: bool,
        /// Only mutants with this in their names.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measures what a page fault costs while there are many processes with many VMAs.
    Size {
        /// Processes.
        #[arg(long, default_value_t = 1000)]
        processes: u64,
        /// VMAs of each.
        #[arg(long, default_value_t = 1000)]
        vmas: u64,
    },
    /// Runs the operations on threads that really run at the same time.
    Stress {
        /// Threads of user code.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
        threads: u32,
        /// For how long.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        #[command(flatten)]
        rules: Rules,
        /// The seed of what the threads draw.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Mostly page faults, in one process.
        #[arg(long)]
        faults: bool,
        /// Every operation: the scenarios that are silent under 6.12 in turn, each at least once, with threads of their own.
        #[arg(long, conflicts_with_all = ["faults", "threads"])]
        tours: bool,
        /// This scenario again and again.
        #[arg(long, value_name = "ID", conflicts_with_all = ["faults", "tours", "threads"])]
        scenario: Option<String>,
        /// How often and how long locks were waited for too: statistics of lockdep, which take some time themselves.
        #[arg(long)]
        locks: bool,
        /// The outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measures page faults under the mmap lock and under VMA locks, and what checking costs.
    Measure {
        /// Where the table and the chart go.
        #[arg(long, value_name = "DIR", default_value = "target/mm-sim")]
        out: PathBuf,
        /// Seconds of each of the 72 runs.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
}

impl Args {
    /// Does what was asked for. An error is one line.
    pub(crate) fn execute(self) -> Result<ExitCode, String> {
        match self.command {
            None => story::tell(&self.out),
            Some(Command::List { json }) => list::list(json),
            Some(Command::Fidelity { kernel, rules, json }) => fidelity::compare(&kernel, &rules, json),
            Some(Command::Paths { path, rules, strict, table, places, json }) => {
                paths::check(&paths::What { path, rules, strict, table, places }, json)
            }
            Some(Command::Explore { scenario, rules, scheduler, preemptions, runs, seed, schedule }) => {
                explore::explore(&explore::What { scenario, rules, scheduler, preemptions, runs, seed, schedule })
            }
            Some(Command::Mutate { rules, quick, only, json }) => {
                mutate::campaign(&rules, quick, only.as_deref(), json)
            }
            Some(Command::Size { processes, vmas }) => {
                anstream::print!("{}", mm_sim::size::measure(Protocol::V6_12, processes, vmas)?);
                Ok(ExitCode::SUCCESS)
            }
            Some(Command::Stress { threads, seconds, rules, seed, faults, tours, scenario, locks, json }) => {
                let mix = match scenario {
                    Some(id) => Mix::Scenario(scenario_named(&id)?.id),
                    None if faults => Mix::Faults,
                    None if tours => Mix::Tours,
                    None => Mix::All,
                };
                stress::stress(&stress::What { threads, seconds, rules, seed, mix, locks }, json)
            }
            Some(Command::Measure { out, seconds }) => stress::measure(&out, seconds),
            Some(Command::Run { scenario, rules, seed, fixed, memory, json }) => {
                let what = run::What { scenario, rules, seed, fixed, memory };
                match catalogue::named(&what.scenario) {
                    Some(pair) => pair::run(pair, &what, json),
                    None => run::run(&what, json),
                }
            }
        }
    }
}

/// The scenario of this id, those that a walk-through is made for included.
fn scenario_named(id: &str) -> Result<&'static Scenario, String> {
    let ids = scenario::ALL.iter().chain(scenario::DIRECTED).map(|scenario| scenario.id);
    scenario::named(id).ok_or_else(|| unknown("scenario", id, ids))
}

fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str>) -> String {
    format!("no such {what}: {name} (known: {})", known.collect::<Vec<_>>().join(", "))
}
