//! `cargo lockdep replay`: a recorded trace run through the validator.

use std::path::PathBuf;

use lockdep_audit::InputError;
use lockdep_core::{FailOn, Replay, Report};

use crate::{input, outcome::Outcome, report::Format};

/// Run recorded traces through the validator.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The traces, JSON lines
    #[arg(value_name = "TRACE", required = true)]
    traces: Vec<PathBuf>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The mildest grade that counts as a finding: gated (or all), ordered, few-threads, concurrent, none
    #[arg(long, value_name = "GRADE", default_value = "few-threads")]
    fail: FailOn,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, InputError> {
    let mut reports: Vec<Report> = Vec::new();
    for path in &args.traces {
        let name = input::name(path);
        let replay = Replay::parse(&name, &input::read(path)?)?;
        if let Some(line) = replay.cut_line() {
            anstream::eprintln!("note: {name}:{line}: the last line was cut and is left out");
        }
        reports.extend_from_slice(replay.reports());
    }
    input::print(&rendered(&reports, args.format))?;
    Ok(Outcome::of(reports.iter().any(|report| args.fail.fails(report.grade))))
}

fn rendered(reports: &[Report], format: Format) -> String {
    match format {
        Format::Text if reports.is_empty() => "no findings\n".to_owned(),
        Format::Text => reports.iter().map(lockdep_report::text::render).collect::<Vec<_>>().join("\n"),
        Format::Json => lockdep_report::json::render(reports),
    }
}
