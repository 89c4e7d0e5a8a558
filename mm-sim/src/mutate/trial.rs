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

/// What all trials share.
pub(super) struct Court<'w> {
    workload: &'w Workload,
    reasons: &'w Reasons,
    order: Order,
    /// Declared rules that the workload contradicts by itself.
    contradicted: BTreeSet<String>,
}

impl<'w> Court<'w> {
    /// Runs everything without a mutant, as one kernel.
    pub(super) fn new(workload: &'w Workload, reasons: &'w Reasons) -> Result<Self, String> {
        let order = Order::of(workload.notes.values());
        let mut court = Self { workload, reasons, order, contradicted: BTreeSet::new() };
        let (found, contradicted) = court.run(workload.turns.iter(), &Arc::default());
        if let Some(found) = found {
            return Err(format!("something is found without a mutant: {found}"));
        }
        court.contradicted = contradicted?;
        Ok(court)
    }

    pub(super) fn trial(&self, mutant: Mutant) -> Trial {
        let start = Instant::now();
        let name = mutant.to_string();
        let detected = match &mutant {
            Mutant::Lock { place, twist, .. } => self.detect(*place, *twist),
            Mutant::Look(look) => self.detect_look(*look),
        };
        let survives = || Fate::Survives(self.reasons.of(&name).to_owned());
        let fate = match detected {
            Some(how) => Fate::Detected(how),
            None => self.equivalent(&mutant).map_or_else(survives, Fate::Equivalent),
        };
        Trial { mutant, name, fate, seconds: start.elapsed().as_secs_f64() }
    }

    fn detect(&self, place: Place, twist: Twist) -> Option<String> {
        let (found, contradicted) = self.run(self.workload.reaching(place), &Arc::new(Mutation::Lock(place, twist)));
        found.or_else(|| {
            let contradicted = contradicted.ok()?;
            contradicted.difference(&self.contradicted).next().map(|rule| format!("declared order: {rule}"))
        })
    }

    /// Returns what is found first, or the declared rules that everything together contradicts.
    fn run<'t>(
        &self,
        turns: impl Iterator<Item = &'t Turn>,
        mutation: &Arc<Mutation>,
    ) -> (Option<String>, Result<BTreeSet<String>, String>) {
        let session = Session::new(Policy::Collect);
        for turn in turns {
            let shared = turn.shares_session.then(|| session.clone());
            let outcome = turn.play(self.workload.protocol, mutation, shared);
            if let Some(how) = found_by(&outcome) {
                return (Some(format!("{how} in {} with seed {}", turn.id(), turn.seed)), Ok(BTreeSet::new()));
            }
        }
        (None, order::contradicted(&session.journal("mm-sim")))
    }

    /// A look matters only in a few schedules: they are looked for one by one.
    fn detect_look(&self, look: Look) -> Option<String> {
        let (scenario, preemptions) = match look {
            Look::PmdUnderPteLock | Look::RcuGracePeriod => ("small-walk", 1),
            Look::VmaSequenceAgain => ("small-fork", 2),
            Look::UnmapAgain => ("small-cow", 1),
            Look::FolioStillThere => ("small-truncate", 2),
        };
        let scenario = scenario::named(scenario)?;
        let mutation = Arc::new(Mutation::Look(look));
        let (schedule, outcome) = explore_as(scenario, self.workload.protocol, preemptions, RUNS, &mutation).found?;
        found_by(&outcome).map(|how| format!("{how} in {} with schedule {schedule}", scenario.id))
    }

    /// Returns why a mutant that nothing has found changes nothing, if that can be proved.
    fn equivalent(&self, mutant: &Mutant) -> Option<String> {
        let Mutant::Lock { place, twist, .. } = mutant else { return None };
        let note = self.workload.notes.get(place)?;
        match twist {
            Twist::Skip if note.meets && !note.excludes => {
                let gates: Vec<_> = note.gates.iter().copied().collect();
                Some(format!("whom it would exclude, {} does exclude", gates.join(" or ")))
            }
            Twist::Wait if note.outer.is_empty() => Some("nothing is held around it".to_owned()),
            Twist::Wait => {
                let inner = (note.class, note.is_exclusive);
                let all = note.outer.iter().all(|&outer| self.order.has(outer, inner));
                all.then(|| "what is held around it is waited-for before it elsewhere".to_owned())
            }
            Twist::Skip | Twist::Swap => None,
        }
    }
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
