//! The command line.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, ValueEnum};

use crate::{
    answer, chart,
    measure::{self, Effort, cold, instructions, known, programs, release, spread, threads},
    report::Section,
};

/// Measures lockdep beside parking_lot and its peers; prints the tables and writes them with a chart.
#[derive(Debug, Parser)]
struct Arguments {
    /// One measure only, printed and not written.
    #[arg(value_enum)]
    measure: Option<Measure>,
    /// Take few samples, print only: shows that everything works.
    #[arg(long)]
    quick: bool,
    /// Where the report is written.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reports/performance"))]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Known acquisitions, one thread, all locks side by side.
    Known,
    /// Instructions of known acquisitions, by callgrind.
    Instructions,
    /// Many locks and classes.
    Spread,
    /// Threads that do not meet.
    Threads,
    /// New dependencies, reports, memory.
    Cold,
    /// Releases in an order of one's own.
    Release,
    /// Whole programs.
    Programs,
    /// Take samples for another process, as standard input asks.
    #[value(hide = true)]
    Answer,
}

impl Measure {
    const ALL: [Self; 7] =
        [Self::Known, Self::Instructions, Self::Spread, Self::Threads, Self::Cold, Self::Release, Self::Programs];
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.measure {
        Some(Measure::Answer) => return answer::serve(),
        Some(measure) => print(&[measure], &arguments).map(drop),
        None => print(&Measure::ALL, &arguments).and_then(|report| write(&report, &arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("lockdep-bench: {err:#}");
            ExitCode::from(101)
        }
    }
}

/// What was measured.
#[derive(Default)]
struct Report {
    text: String,
    chart: Option<String>,
}

/// Measures, and prints each table when it is there.
fn print(measures: &[Measure], arguments: &Arguments) -> anyhow::Result<Report> {
    let effort = if arguments.quick { Effort::Quick } else { Effort::Full };
    let mut report = Report::default();
    for measure in measures {
        let sections: Vec<Section> = match measure {
            Measure::Known => {
                let (sections, ratios) = known::run(effort)?;
                report.chart = Some(chart::known_order(&ratios)?);
                sections
            }
            Measure::Instructions => vec![instructions::run()?],
            Measure::Spread => vec![spread::run(effort)],
            Measure::Threads => vec![threads::warm(effort), threads::cold(effort)?],
            Measure::Cold => vec![cold::report()?, cold::run(effort)?, cold::memory(effort)],
            Measure::Release => vec![release::run(effort)],
            Measure::Programs => vec![programs::run(effort)?],
            Measure::Answer => Vec::new(),
        };
        for section in sections {
            let text = section.to_string();
            println!("{text}");
            report.text.push('\n');
            report.text.push_str(&text);
        }
    }
    Ok(report)
}

const HEAD: &str = "# Performance\n\n\
    What checking costs, from one run of `cargo run --release --manifest-path lockdep/bench/Cargo.toml`, which writes this \
    file. Ratios mean more than nanoseconds: they compare samples of the same round.\n";

fn write(report: &Report, arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.quick {
        return Ok(());
    }
    let directory = &arguments.out;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    if let Some(chart) = &report.chart {
        write(measure::KNOWN_CHART, chart)?;
    }
    write("README.md", &format!("{HEAD}{}", report.text))
}
