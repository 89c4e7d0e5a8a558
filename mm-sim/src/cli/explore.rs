//! `mm-sim explore`.

use std::process::ExitCode;

use clap::ValueEnum;
use mm_sim::{Protocol, Schedule, explore};

use super::{
    FINDINGS, paint,
    rules::{self, Rules},
    run::tell,
    scenario_named,
};

/// What to explore, or to replay.
pub(crate) struct What {
    pub(crate) scenario: String,
    pub(crate) rules: Rules,
    pub(crate) scheduler: Scheduler,
    pub(crate) preemptions: u32,
    pub(crate) runs: u64,
    pub(crate) seed: u64,
    pub(crate) schedule: Option<String>,
}

/// Where schedules come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scheduler {
    /// All with few preemptions
    Bounded,
    /// Drawn by probabilistic concurrency testing, with as many changes of priorities
    Pct,
}

pub(crate) fn explore(what: &What) -> Result<ExitCode, String> {
    let scenario = scenario_named(&what.scenario)?;
    let protocol = what.rules.protocol(scenario.default_protocol)?;
    if let Some(text) = &what.schedule {
        let schedule: Schedule = text.parse()?;
        let outcome = explore::replay(scenario, protocol, schedule);
        paint::print(&tell(scenario, &protocol, &outcome), !outcome.has_findings());
        return Ok(code(outcome.has_findings()));
    }
    let exploration = match what.scheduler {
        Scheduler::Bounded => explore::explore(scenario, protocol, what.preemptions, what.runs),
        Scheduler::Pct => explore::draw(scenario, protocol, what.preemptions + 1, what.seed, what.runs),
    };
    paint::print(&exploration.to_string(), exploration.found.is_none());
    if let Some((schedule, outcome)) = &exploration.found {
        anstream::println!(
            "\nagain: mm-sim explore {} --protocol {} --schedule {schedule}\n\n{}",
            scenario.id,
            rules::arguments(&protocol),
            told(&protocol, outcome)
        );
    }
    Ok(code(exploration.found.is_some()))
}

fn code(found: bool) -> ExitCode {
    ExitCode::from(if found { FINDINGS } else { 0 })
}

/// What really went wrong; what lockdep says of it is for `--schedule`.
fn told(protocol: &Protocol, outcome: &mm_sim::Outcome) -> String {
    let mut text = format!("{}\n", protocol.title);
    for finding in &outcome.findings {
        text += &format!("\nbroken: {} ({})\n  {}\n", finding.invariant.as_str(), finding.actor, finding.text);
    }
    if let Some(deadlock) = &outcome.deadlock {
        text += &format!("\ndeadlock after {} steps:\n\n{deadlock}", deadlock.steps);
    }
    text
}
