//! The command line of the simulator.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Args::parse().execute() {
        Ok(code) => code,
        Err(reason) => {
            anstream::eprintln!("mm-sim: {reason}");
            ExitCode::from(cli::FAILURE)
        }
    }
}
