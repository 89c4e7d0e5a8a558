//! What becomes of a mutant: the runs that reach it, until something is found.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use lockdep::{Policy, Session};
use serde::Serialize;

use super::{
    Mutant,
    order::{self, Order},
    survivors::Reasons,
    workload::{Turn, Workload},
};
use crate::{
    explore::explore_as,
    run::Outcome,
    scenario,
    sync::{Look, Mutation, Place, Twist},
};

/// Schedules of a small scenario that are tried for a look.
const RUNS: u64 = 12_000;

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Found: by what, and in which run.
    Detected(String),
    /// It changes neither an order nor an exclusion: why.
    Equivalent(String),
    /// Not found: why.
    Survives(String),
}

/// A mutant that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The mutant.
    pub mutant: Mutant,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// How long that took, in seconds.
    pub seconds: f64,
}

/// What the runs with a mutation have come to.
struct Verdict {
    /// What was found first.
    found: Option<String>,
    /// The order that was learnt, if nothing was found.
    order: Order,
    /// The declared rules that it contradicts.
    contradicted: BTreeSet<String>,
}

/// What all trials share.
pub(super) struct Court<'w> {
    workload: &'w Workload,
    reasons: &'w Reasons,
}

impl<'w> Court<'w> {
    pub(super) const fn new(workload: &'w Workload, reasons: &'w Reasons) -> Self {
        Self { workload, reasons }
    }

    pub(super) fn trial(&self, mutant: Mutant) -> Trial {
        let start = Instant::now();
        let name = mutant.to_string();
        let fate = match &mutant {
            Mutant::Lock { place, twist, .. } => self.try_lock(*place, *twist),
            Mutant::Look(look) => self.detect_look(*look).map(Fate::Detected),
        };
        let fate = fate.unwrap_or_else(|| Fate::Survives(self.reasons.of(&name).to_owned()));
        Trial { mutant, name, fate, seconds: start.elapsed().as_secs_f64() }
    }

    fn try_lock(&self, place: Place, twist: Twist) -> Option<Fate> {
        let mutation = Arc::new(Mutation::Lock(place, twist));
        let verdict = run(self.workload, self.workload.reaching(place), &mutation).ok()?;
        if let Some(found) = verdict.found {
            return Some(Fate::Detected(found));
        }
        if let Some(rule) = verdict.contradicted.difference(&self.workload.contradicted).next() {
            return Some(Fate::Detected(format!("declared order: {rule}")));
        }
        let note = self.workload.notes.get(&place)?;
        match twist {
            Twist::Skip if note.meets && !note.excludes && !self.workload.may_exclude(note) => {
                let gates: Vec<_> = note.gates.iter().copied().collect();
                Some(Fate::Equivalent(format!("whom it would exclude, {} does exclude", gates.join(" or "))))
            }
            Twist::Wait if self.workload.order.lacks(&verdict.order).is_none() => {
                Some(Fate::Equivalent("it is waited for in that order elsewhere, or under nothing".to_owned()))
            }
            Twist::Skip | Twist::Swap | Twist::Wait => None,
        }
    }

    /// A look matters only in a few schedules: they are looked for one by one.
    fn detect_look(&self, look: Look) -> Option<String> {
        let (scenario, preemptions) = match look {
            Look::PmdUnderPteLock | Look::RcuGracePeriod => ("small-walk", 1),
            Look::VmaSequenceAgain => ("small-fork", 2),
            Look::UnmapAgain => ("small-cow", 1),
            Look::FolioStillThere => ("small-truncate", 2),
            Look::FolioMappedAgain => ("small-mapped-late", 1),
            Look::BuffersInUse => ("small-buffers", 1),
            Look::FrozenAgain => ("small-moved-hole", 1),
            Look::SwapOnFile => ("small-swap-file", 1),
        };
        let scenario = scenario::named(scenario)?;
        let mutation = Arc::new(Mutation::Look(look));
        let (schedule, outcome) = explore_as(scenario, self.workload.protocol, preemptions, RUNS, &mutation).found?;
        found_by(&outcome).map(|how| format!("{how} in {} with schedule {schedule}", scenario.id))
    }
}

/// Plays runs until something is found.
fn run<'t>(
    workload: &Workload,
    turns: impl Iterator<Item = &'t Turn>,
    mutation: &Arc<Mutation>,
) -> Result<Verdict, String> {
    let session = Session::new(Policy::Collect);
    let mut order = Order::default();
    for turn in turns {
        let shared = turn.shares_session.then(|| session.clone());
        let outcome = turn.play(workload.protocol, mutation, shared);
        if let Some(how) = found_by(&outcome) {
            let found = Some(format!("{how} in {} with seed {}", turn.id(), turn.seed));
            return Ok(Verdict { found, order, contradicted: BTreeSet::new() });
        }
        if !turn.shares_session {
            order.learn(&outcome.journal);
        }
    }
    let journal = session.journal("mm-sim");
    order.learn(&journal);
    Ok(Verdict { found: None, order, contradicted: order::contradicted(&journal)? })
}

/// Returns what has found something.
fn found_by(outcome: &Outcome) -> Option<String> {
    if let Some(report) = outcome.reports.first() {
        return Some(format!("lockdep: {}", report.code));
    }
    if let Some(first) = outcome.findings.iter().map(|finding| finding.invariant.as_str()).min() {
        return Some(format!("invariant: {first}"));
    }
    if outcome.deadlock.is_some() {
        return Some("deadlock".to_owned());
    }
    outcome.failure.is_some().then(|| "no end, or a panic".to_owned())
}
