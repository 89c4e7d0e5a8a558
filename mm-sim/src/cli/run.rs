//! `mm-sim run`.

use std::process::ExitCode;

use mm_sim::{Exclusion, Outcome, Protocol, Scenario, View, catalogue, scenario};

use super::{FAILURE, FINDINGS, paint, pair, protocol_named, unknown};

/// What to run.
pub(crate) struct What {
    pub(crate) scenario: String,
    pub(crate) protocol: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) fixed: bool,
    pub(crate) memory: Option<u64>,
    pub(crate) forget: Option<String>,
    pub(crate) strict: bool,
}

impl What {
    fn scenario(&self) -> Result<Scenario, String> {
        let ids = scenario::ALL.iter().map(|scenario| scenario.id).chain(catalogue::all().map(|pair| pair.id));
        let scenario = scenario::named(&self.scenario).ok_or_else(|| unknown("scenario", &self.scenario, ids))?;
        Ok(scenario.with_memory(self.memory.unwrap_or(scenario.memory)))
    }

    fn protocol(&self, scenario: &Scenario) -> Result<Protocol, String> {
        let mut protocol = protocol_named(self.protocol.as_deref().unwrap_or(scenario.default_protocol.name))?;
        if let Some(what) = &self.forget {
            let names = Exclusion::ALL.iter().map(|exclusion| exclusion.as_str());
            let found = Exclusion::ALL.into_iter().find(|exclusion| exclusion.as_str() == what);
            protocol = protocol.forgetting(found.ok_or_else(|| unknown("exclusion", what, names))?);
        }
        Ok(if self.strict { protocol.with_view(View::Strict) } else { protocol })
    }
}

pub(crate) fn run(what: &What, json: bool) -> Result<ExitCode, String> {
    if let Some(pair) = catalogue::named(&what.scenario) {
        return pair::run(pair, what, json);
    }
    if what.fixed {
        return Err(format!("{} is no bug of the catalogue: --fixed says nothing", what.scenario));
    }
    let scenario = what.scenario()?;
    let protocol = what.protocol(&scenario)?;
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
fn tell(scenario: &Scenario, protocol: &Protocol, outcome: &Outcome) -> String {
    let relation = if outcome.is_expected { "as expected" } else { "NOT as expected" };
    let mut text = format!("{}\n", outcome.verdict);
    text += &format!("{relation}: {} under {}, seed {}\n\n", scenario.id, protocol.name, outcome.seed);
    if !outcome.is_expected {
        text += &format!("expected: {}\n\n", outcome.expected);
    }
    text += &format!("{}\n{}\n", scenario.title, protocol.title);
    text += &format!("\n{}\n\n", scenario.story);
    text + &evidence(outcome)
}

/// What the run did, and all that it found.
pub(super) fn evidence(outcome: &Outcome) -> String {
    let mut text = format!("{} steps: ", outcome.steps);
    let stats: Vec<_> =
        outcome.stats.iter().map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
    text += &stats.join(", ");
    text.push('\n');
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
