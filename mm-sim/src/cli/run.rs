//! `mm-sim run` of a scenario.

use std::process::ExitCode;

use mm_sim::{Outcome, Protocol, Scenario, catalogue, scenario};

use super::{
    FAILURE, FINDINGS, paint,
    rules::{self, Rules},
    unknown,
};

/// What to run.
pub(crate) struct What {
    pub(crate) scenario: String,
    pub(crate) rules: Rules,
    pub(crate) seed: Option<u64>,
    pub(crate) fixed: bool,
    pub(crate) memory: Option<u64>,
}

impl What {
    fn scenario(&self) -> Result<Scenario, String> {
        let is_it = |absent: &&catalogue::Absent| absent.id.eq_ignore_ascii_case(&self.scenario);
        if let Some(absent) = catalogue::ABSENT.iter().find(is_it) {
            return Err(format!("{} cannot be shown: {}", absent.id, absent.reason));
        }
        let ids = scenario::ALL.iter().map(|scenario| scenario.id).chain(catalogue::all().map(|pair| pair.id));
        let scenario = scenario::named(&self.scenario).ok_or_else(|| unknown("scenario", &self.scenario, ids))?;
        Ok(scenario.with_memory(self.memory.unwrap_or(scenario.memory)))
    }
}

pub(crate) fn run(what: &What, json: bool) -> Result<ExitCode, String> {
    if what.fixed {
        return Err(format!("{} is no bug of the catalogue: --fixed says nothing", what.scenario));
    }
    let scenario = what.scenario()?;
    let protocol = what.rules.protocol(scenario.default_protocol)?;
    let outcome = mm_sim::run(&scenario, protocol, what.seed.unwrap_or(1));
    if json {
        let text = serde_json::to_string_pretty(&outcome).map_err(|error| error.to_string())?;
        anstream::println!("{text}");
    } else {
        paint::print(&tell(&scenario, &protocol, &outcome), !outcome.has_findings());
    }
    Ok(exit_code(&outcome))
}

pub(super) fn exit_code(outcome: &Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome { failure: Some(_), .. } => FAILURE,
        outcome if outcome.has_findings() => FINDINGS,
        _ => 0,
    })
}

/// First the verdict, then the story.
pub(crate) fn tell(scenario: &Scenario, protocol: &Protocol, outcome: &Outcome) -> String {
    // Nobody knows beforehand what comes of a decision that no kernel has made.
    let is_what_if = !outcome.what_if.is_empty();
    let relation = match outcome.is_expected {
        _ if is_what_if => "what if",
        true => "as expected",
        false => "NOT as expected",
    };
    let mut text = format!("{}\n", outcome.verdict);
    text += &format!("{relation}: {} under {}, seed {}\n\n", scenario.id, rules::arguments(protocol), outcome.seed);
    if !outcome.is_expected && !is_what_if {
        text += &format!("expected: {}\n\n", outcome.expected);
    }
    text += &format!("{}\n{}\n", scenario.title, protocol.title);
    text += &format!("\n{}\n\n", scenario.story);
    text + &evidence(outcome)
}

/// What the run did, and all that it found.
pub(super) fn evidence(outcome: &Outcome) -> String {
    let stats: Vec<_> =
        outcome.stats.iter().map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
    let mut text = paint::beside(&format!("{} steps: ", outcome.steps), &stats.join(", "));
    outcome.reports.iter().for_each(|report| text += &format!("\n{}", lockdep_report::text::render(report)));
    for finding in &outcome.findings {
        let path = finding.path.join(" > ");
        text += &format!("\nbroken: {} ({}: {path})\n  {}\n", finding.invariant.as_str(), finding.actor, finding.text);
    }
    if let Some(deadlock) = &outcome.deadlock {
        text += &format!("\ndeadlock after {} steps:\n\n{deadlock}", deadlock.steps);
    }
    text
}
