//! `cargo lockdep <verb>`: lock-order findings on the command line.
//!
//! One module per verb. Exit codes: 0 clean, 100 findings, 101 failure or bad input, 2 wrong usage. What is found goes
//! to standard output, what went wrong to standard error, one line `file:line: reason` each.

mod audit;
mod explain;
mod input;
mod outcome;
mod replay;
mod report;
mod source;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::Outcome;

/// Lock-order findings: render them, hold documented lock orders against observed ones.
#[derive(Debug, Parser)]
#[command(name = "cargo lockdep", bin_name = "cargo lockdep", version, about, after_help = outcome::HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Audit(audit::Args),
    Explain(explain::Args),
    Replay(replay::Args),
    Report(report::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(arguments(std::env::args_os().collect()));
    let outcome = match &cli.verb {
        Verb::Audit(args) => audit::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Replay(args) => replay::run(args),
        Verb::Report(args) => report::run(args),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            anstream::eprintln!("{error}");
            Outcome::Failed.into()
        }
    }
}

/// The arguments without the `lockdep` that cargo puts first.
fn arguments(mut arguments: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    if arguments.get(1).is_some_and(|first| first == "lockdep") {
        arguments.remove(1);
    }
    arguments
}
