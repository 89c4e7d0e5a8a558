//! `cargo lockdep report`: the findings of journals.

use std::path::PathBuf;

use clap::ValueEnum;
use lockdep_audit::InputError;
use lockdep_core::{Journal, Report};

use crate::{input, outcome::Outcome};

/// Print the findings of journals.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The journals
    #[arg(value_name = "JOURNAL", required = true)]
    journals: Vec<PathBuf>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, InputError> {
    let mut reports: Vec<Report> = Vec::new();
    for path in &args.journals {
        let name = input::name(path);
        let journal = Journal::parse(&name, &input::read(path)?)?;
        if let Some(line) = journal.cut_line {
            anstream::eprintln!("note: {name}:{line}: the last line was cut and is left out");
        }
        for report in journal.reports {
            match reports.iter_mut().find(|known| known.fingerprint == report.fingerprint) {
                None => reports.push(report),
                // Told once more because it got worse.
                Some(known) if known.grade < report.grade => *known = report,
                Some(_) => {}
            }
        }
    }
    input::print(&rendered(&reports, args.format))?;
    Ok(Outcome::of(!reports.is_empty()))
}

fn rendered(reports: &[Report], format: Format) -> String {
    match format {
        Format::Text if reports.is_empty() => "no findings\n".to_owned(),
        Format::Text => reports.iter().map(lockdep_report::text::render).collect::<Vec<_>>().join("\n"),
        Format::Json => lockdep_report::json::render(reports),
    }
}
