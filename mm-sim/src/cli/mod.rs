//! The command line: `mm-sim` tells the story, `list` and `run` are for everything else.
//!
//! Exit codes: 0 clean (for the story: as expected), 100 findings, 101 failure or bad input, 2 wrong usage.

mod fidelity;
mod list;
mod paint;
mod pair;
mod run;
mod story;
mod stress;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use mm_sim::Protocol;

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
        /// The protocol; 6.12 if it is not given.
        #[arg(long)]
        protocol: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs a scenario, or a bug of the catalogue: with it until it shows, and then without it.
    Run {
        /// Its id.
        #[arg(value_name = "ID")]
        scenario: String,
        /// The protocol; the scenario's own if it is not given.
        #[arg(long)]
        protocol: Option<String>,
        /// The seed of the scheduler: 1 if it is not given, or for a bug the first one that shows it.
        #[arg(long)]
        seed: Option<u64>,
        /// Of a bug, only the run without it.
        #[arg(long)]
        fixed: bool,
        /// Pages of memory, if not the scenario's own.
        #[arg(long, value_name = "PAGES")]
        memory: Option<u64>,
        /// A deliberate bug: what retract_page_tables forgets to exclude (mmap-lock, vma-lock, i-mmap, anon-vma).
        #[arg(long, value_name = "WHAT")]
        forget: Option<String>,
        /// Tell lockdep that a write-locked VMA stays locked, which the kernel's lockdep is not told.
        #[arg(long)]
        strict: bool,
        /// The outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs the operations on threads that really run at the same time.
    Stress {
        /// Threads of user code.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
        threads: u32,
        /// For how long.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// The protocol; 6.12 if it is not given.
        #[arg(long)]
        protocol: Option<String>,
        /// The seed of what the threads draw.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Mostly page faults, in one process.
        #[arg(long)]
        faults: bool,
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
            Some(Command::Fidelity { kernel, protocol, json }) => fidelity::compare(&kernel, protocol.as_deref(), json),
            Some(Command::Stress { threads, seconds, protocol, seed, faults, json }) => {
                stress::stress(&stress::What { threads, seconds, protocol, seed, faults }, json)
            }
            Some(Command::Measure { out, seconds }) => stress::measure(&out, seconds),
            Some(Command::Run { scenario, protocol, seed, fixed, memory, forget, strict, json }) => {
                let what = run::What { scenario, protocol, seed, fixed, memory, forget, strict };
                run::run(&what, json)
            }
        }
    }
}

/// Returns the protocol of this name.
fn protocol_named(name: &str) -> Result<Protocol, String> {
    let names = Protocol::ALL.iter().map(|protocol| protocol.name);
    Protocol::named(name).ok_or_else(|| unknown("protocol", name, names))
}

fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str>) -> String {
    format!("no such {what}: {name} (known: {})", known.collect::<Vec<_>>().join(", "))
}
