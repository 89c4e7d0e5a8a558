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
        let relation = Relation::of(pair, buggy.as_ref(), &fixed, what.seed.is_some());
        paint::print(&tell(pair, buggy.as_ref(), &fixed, relation), relation != Relation::Unexpected);
    }
    let shown = buggy.as_ref().unwrap_or(&fixed);
    Ok(if fixed.is_expected { run::exit_code(shown) } else { ExitCode::from(FAILURE) })
}

/// How a run with the bug relates to what the catalogue promises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// It shows what it must.
    Expected,
    /// Only some seeds show that, and this one, which was asked for, does not.
    OtherSeed,
    /// It does not show what it must.
    Unexpected,
}

impl Relation {
    fn of(pair: &Pair, buggy: Option<&Outcome>, fixed: &Outcome, is_chosen: bool) -> Self {
        match buggy {
            _ if !fixed.is_expected => Self::Unexpected,
            None => Self::Expected,
            Some(buggy) if buggy.is_expected => Self::Expected,
            Some(buggy) if is_chosen && pair.seeds > 1 && buggy.failure.is_none() => Self::OtherSeed,
            Some(_) => Self::Unexpected,
        }
    }

    fn tell(self, pair: &Pair, buggy: Option<&Outcome>) -> String {
        let one_of = format!("one of the seeds 1 to {} gives: {}", pair.seeds, pair.verdict);
        match (self, buggy) {
            (Self::OtherSeed, Some(buggy)) if buggy.has_findings() => {
                format!("the bug shows otherwise than usual with seed {}; {one_of}", buggy.seed)
            }
            (Self::OtherSeed, Some(buggy)) => format!("the bug does not show with seed {}; {one_of}", buggy.seed),
            (Self::Unexpected, _) => "NOT as expected".to_owned(),
            (Self::Expected | Self::OtherSeed, _) => "as expected".to_owned(),
        }
    }
}

/// The verdict, the story, what the bug does, and what fixed it.
fn tell(pair: &Pair, buggy: Option<&Outcome>, fixed: &Outcome, relation: Relation) -> String {
    let told = relation.tell(pair, buggy);
    let mut text = match buggy {
        Some(buggy) if relation == Relation::OtherSeed => {
            format!("{}: {}\n{}{} without the bug\n", pair.id, buggy.verdict, paint::beside("", &told), fixed.verdict)
        }
        Some(buggy) => format!("{}: {}\n{told}: {} without the bug\n", pair.id, buggy.verdict, fixed.verdict),
        None => format!("{}: {} without the bug\n{told}\n", pair.id, fixed.verdict),
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
