//! `mm-sim run` of a bug of the catalogue.

use std::process::ExitCode;

use mm_sim::{Outcome, Pair};

use super::{FAILURE, list, paint, run};

/// Runs the pair: with the bug until it shows, and without it by the same seed.
pub(super) fn run(pair: &Pair, what: &run::What, json: bool) -> Result<ExitCode, String> {
    if !what.rules.are_default() || what.memory.is_some() {
        return Err(format!("{} has rules and a machine of its own: only --seed, --fixed and --json apply", pair.id));
    }
    let buggy = (!what.fixed).then(|| what.seed.map_or_else(|| pair.find(), |seed| pair.run_buggy(seed)));
    let fixed = pair.run_fixed(what.seed.or(buggy.as_ref().map(|outcome| outcome.seed)).unwrap_or(1));
    if json {
        let outcomes = serde_json::json!({ "buggy": buggy, "fixed": fixed });
        anstream::println!("{outcomes:#}");
    } else {
        paint::print(&tell(pair, buggy.as_ref(), &fixed), !fixed.has_findings());
    }
    let shown = buggy.as_ref().unwrap_or(&fixed);
    Ok(if fixed.is_expected { run::exit_code(shown) } else { ExitCode::from(FAILURE) })
}

/// The story, what the bug does, and what the fix does.
fn tell(pair: &Pair, buggy: Option<&Outcome>, fixed: &Outcome) -> String {
    let mut text = format!("{}: {}\n\n{}\n\n", pair.id, pair.title, pair.story);
    text += &format!("kernels: {}\nsource:  {}\n", pair.kernels, pair.source);
    if let Some(outcome) = buggy {
        text += &format!("\n## With the bug ({})\n\n", list::rules(&pair.buggy));
        text += &verdict(outcome);
    }
    text += &format!("\n## Without it ({})\n\nfix: {}\n", list::rules(&pair.fixed), pair.fix);
    text + &verdict(fixed)
}

fn verdict(outcome: &Outcome) -> String {
    let relation =
        if outcome.is_expected { "as expected".to_owned() } else { format!("expected: {}", outcome.expected) };
    format!("{} (seed {}, {relation})\n{}", outcome.verdict, outcome.seed, run::evidence(outcome))
}
