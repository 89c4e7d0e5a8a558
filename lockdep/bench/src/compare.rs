//! The command line.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{
    answer, chart,
    measure::{self, Effort, known, programs},
    report::Section,
};

/// Measures lockdep beside parking_lot and its peers; prints the tables and writes them with a chart.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Verb>,
    /// Take few samples, print only: shows that everything works.
    #[arg(long)]
    quick: bool,
    /// Where the report is written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reports/performance"))]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take samples for another process.
    #[command(hide = true)]
    Answer,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Verb::Answer) => return answer::serve(),
        None => compare(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("lockdep-bench: {err:#}");
            ExitCode::from(101)
        }
    }
}

fn compare(arguments: &Arguments) -> anyhow::Result<()> {
    let effort = if arguments.quick { Effort::Quick } else { Effort::Full };
    let (mut sections, ratios) = known::run(effort)?;
    sections.iter().for_each(|section| println!("{section}"));
    let mut add = |section: Section| {
        println!("{section}");
        sections.push(section);
    };
    add(programs::run(effort)?);
    if arguments.quick {
        return Ok(());
    }
    fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    let write = |name: &str, text: &str| {
        let path = arguments.out.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write(measure::KNOWN_CHART, &chart::known_order(&ratios)?)?;
    let tables: Vec<String> = sections.iter().map(Section::to_string).collect();
    write("README.md", &format!("# Performance\n\n{}", tables.join("\n")))
}
