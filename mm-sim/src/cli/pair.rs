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
        let is_expected = buggy.as_ref().is_none_or(|buggy| buggy.is_expected) && fixed.is_expected;
        paint::print(&tell(pair, buggy.as_ref(), &fixed), is_expected);
    }
    let shown = buggy.as_ref().unwrap_or(&fixed);
    Ok(if fixed.is_expected { run::exit_code(shown) } else { ExitCode::from(FAILURE) })
}

/// The verdict, the story, what the bug does, and what fixed it.
fn tell(pair: &Pair, buggy: Option<&Outcome>, fixed: &Outcome) -> String {
    let is_expected = buggy.is_none_or(|buggy| buggy.is_expected) && fixed.is_expected;
    let relation = if is_expected { "as expected" } else { "NOT as expected" };
    let mut text = match buggy {
        Some(buggy) => format!("{}: {}\n{relation}: {} without the bug\n", pair.id, buggy.verdict, fixed.verdict),
        None => format!("{}: {} without the bug\n{relation}\n", pair.id, fixed.verdict),
    };
    text += &format!("\n{}\n\n{}\n\n", pair.title, pair.story);
    text += &paint::beside("kernels: ", pair.kernels);
    text += &paint::beside("source:  ", pair.source);
    if let Some(outcome) = buggy {
        text += &format!("\n## With the bug ({})\n\n", list::rules(&pair.buggy));
        text += &verdict(outcome);
    }
    text += &format!("\n## Without it ({})\n\n", list::rules(&pair.fixed));
    text += &paint::beside("fix: ", pair.fix);
    text + "\n" + &verdict(fixed)
}

fn verdict(outcome: &Outcome) -> String {
    let expected = if outcome.is_expected { String::new() } else { format!(", but expected: {}", outcome.expected) };
    format!("{} (seed {}{expected})\n\n{}", outcome.verdict, outcome.seed, run::evidence(outcome))
}
