//! Whether what watches the simulator would notice a bug: each acquisition left out, swapped or made to wait, each second
//! look not taken, one run of the workload after the other.
//!
//! A mutant is *detected* if anything is found that is not found without it: by lockdep, an invariant, the memory model, a
//! deadlock, or because a run does not end. What is not detected survives; why that may be is told by
//! `data/mutants-survivors.txt`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use lockdep_audit::InputError;
use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    explore::explore_as,
    protocol::Protocol,
    run::{Direction, Outcome, Setup, play_as},
    scenario::{self, Expect, Scenario},
    sync::{Acquired, Look, Mutation, Place, Twist},
};

const SURVIVORS: &str = include_str!("../data/mutants-survivors.txt");
const SURVIVORS_FILE: &str = "mm-sim/data/mutants-survivors.txt";
/// What is said of a survivor that the file does not have.
const UNEXPLAINED: &str = "unexplained";
/// Seeds of each scenario of the workload.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// Schedules of a small scenario that are tried for a look.
const RUNS: u64 = 12_000;

/// A deliberate bug.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// Of an acquisition.
    Lock {
        /// The file, the class, and which of the acquisitions of that class in that file: stable while lines move.
        name: String,
        /// Where it is.
        place: Place,
        /// What is wrong.
        twist: Twist,
    },
    /// Of a look.
    Look(Look),
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock { name, twist, .. } => {
                let twist = match twist {
                    Twist::Skip => "skip",
                    Twist::Swap => "swap",
                    Twist::Wait => "wait",
                };
                write!(f, "{twist} {name}")
            }
            Self::Look(look) => write!(f, "forget {}", look.as_str()),
        }
    }
}

/// What became of a mutant.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The mutant.
    pub mutant: Mutant,
    /// Its name.
    pub name: String,
    /// What found it and how, or nothing.
    pub detected: Option<String>,
    /// Why it survives, if it does.
    pub reason: Option<String>,
}

/// A whole campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// The protocol's name.
    pub protocol: &'static str,
    /// All trials.
    pub trials: Vec<Trial>,
}

impl Campaign {
    /// Returns how many mutants were detected.
    pub fn detected(&self) -> usize {
        self.trials.iter().filter(|trial| trial.detected.is_some()).count()
    }

    /// Returns the survivors that nothing explains.
    pub fn unexplained(&self) -> usize {
        self.trials.iter().filter(|trial| trial.reason.as_deref() == Some(UNEXPLAINED)).count()
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (detected, all) = (self.detected(), self.trials.len());
        let share = if all == 0 { 100.0 } else { detected as f64 / all as f64 * 100.0 };
        writeln!(f, "{detected} of {all} mutants detected under {} ({share:.1}%)", self.protocol)?;
        writeln!(f, "{} survive, {} of them unexplained", all - detected, self.unexplained())?;
        let mut by_how: BTreeMap<&str, usize> = BTreeMap::new();
        for how in self.trials.iter().filter_map(|trial| trial.detected.as_deref()) {
            *by_how.entry(how.split(" in ").next().unwrap_or(how)).or_default() += 1;
        }
        writeln!(f, "\n## detected by\n")?;
        by_how.iter().try_for_each(|(how, count)| writeln!(f, "{count:>5} {how}"))?;
        writeln!(f, "\n## survivors\n")?;
        for trial in &self.trials {
            if let Some(reason) = &trial.reason {
                writeln!(f, "{}\n    {reason}", trial.name)?;
            }
        }
        Ok(())
    }
}

/// How much is run for each mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// The small scenarios.
    Quick,
    /// All scenarios, and random operations.
    Full,
}

/// The workload: scenarios that are silent under the protocol, those that are quick first.
fn workload(protocol: Protocol, effort: Effort) -> Vec<Scenario> {
    let is_silent = |scenario: &&Scenario| (scenario.expect)(&protocol) == Expect::Silent;
    let small = scenario::DIRECTED.iter().filter(|scenario| scenario.memory < 1000);
    if effort == Effort::Quick {
        return small.filter(is_silent).copied().collect();
    }
    let mut all: Vec<Scenario> = small.chain(scenario::ALL).filter(is_silent).copied().collect();
    // Short of memory, so that everybody reclaims.
    all.extend(scenario::named("soak").filter(is_silent).map(|soak| soak.with_memory(700)));
    all
}

/// Lists the mutants of all acquisitions that the workload reaches, and of all looks. A survey runs it once.
pub fn mutants(protocol: Protocol, effort: Effort) -> Vec<Mutant> {
    let survey = Arc::new(Mutation::Survey(Mutex::default()));
    for scenario in workload(protocol, effort) {
        play(&scenario, protocol, 1, &survey);
    }
    let Mutation::Survey(places) = &*survey else { return Vec::new() };
    let mut seen: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut mutants: Vec<Mutant> = Look::ALL.into_iter().map(Mutant::Look).collect();
    for (&place, &Acquired { class, tries }) in &*places.lock() {
        let number = seen.entry((place.file, class)).or_default();
        *number += 1;
        let file = place.file.trim_start_matches("mm-sim/src/");
        let name = format!("{class} in {file} #{number}");
        let twists = if tries { [Twist::Skip, Twist::Wait] } else { [Twist::Skip, Twist::Swap] };
        mutants.extend(twists.map(|twist| Mutant::Lock { name: name.clone(), place, twist }));
    }
    mutants
}

/// Tries all mutants, or those whose names have `only` in them.
///
/// # Errors
///
/// If something is found without any mutant: then nothing is known of them.
pub fn campaign(protocol: Protocol, effort: Effort, only: Option<&str>) -> Result<Campaign, String> {
    let workload = workload(protocol, effort);
    let sound = Arc::new(Mutation::None);
    if let Some(found) = detect(&workload, protocol, &sound) {
        return Err(format!("something is found without a mutant: {found}"));
    }
    let reasons = reasons().map_err(|error| error.to_string())?;
    let wanted = |mutant: &Mutant| only.is_none_or(|only| mutant.to_string().contains(only));
    let trials = mutants(protocol, effort).into_iter().filter(wanted);
    let trials = trials.map(|mutant| trial(mutant, protocol, &workload, &reasons)).collect();
    Ok(Campaign { protocol: protocol.name, trials })
}

fn trial(mutant: Mutant, protocol: Protocol, workload: &[Scenario], reasons: &BTreeMap<String, String>) -> Trial {
    let detected = match &mutant {
        Mutant::Lock { place, twist, .. } => detect(workload, protocol, &Arc::new(Mutation::Lock(*place, *twist))),
        Mutant::Look(look) => detect_look(*look, protocol),
    };
    let name = mutant.to_string();
    let reason = reasons.get(&name).map_or(UNEXPLAINED, String::as_str);
    let reason = detected.is_none().then(|| reason.to_owned());
    Trial { mutant, name, detected, reason }
}

/// Returns what finds a mutation first.
fn detect(workload: &[Scenario], protocol: Protocol, mutation: &Arc<Mutation>) -> Option<String> {
    let runs = SEEDS.flat_map(|seed| workload.iter().map(move |scenario| (scenario, seed)));
    runs.into_iter().find_map(|(scenario, seed)| {
        let outcome = play(scenario, protocol, seed, mutation);
        found_by(&outcome).map(|how| format!("{how} in {} with seed {seed}", scenario.id))
    })
}

/// A look matters only in a few schedules: they are looked for one by one.
fn detect_look(look: Look, protocol: Protocol) -> Option<String> {
    let (scenario, preemptions) = match look {
        Look::PmdUnderPteLock | Look::RcuGracePeriod => ("small-walk", 1),
        Look::VmaSequenceAgain => ("small-fork", 2),
        Look::UnmapAgain => ("small-cow", 1),
        Look::FolioStillThere => ("small-truncate", 2),
    };
    let scenario = scenario::named(scenario)?;
    let mutation = Arc::new(Mutation::Look(look));
    let (schedule, outcome) = explore_as(scenario, protocol, preemptions, RUNS, &mutation).found?;
    found_by(&outcome).map(|how| format!("{how} in {} with schedule {schedule}", scenario.id))
}

fn play(scenario: &Scenario, protocol: Protocol, seed: u64, mutation: &Arc<Mutation>) -> Outcome {
    let setup = Setup { id: scenario.id, memory: scenario.memory, build: scenario.build };
    let direction = Direction { seed, schedule: None, mutation: mutation.clone() };
    play_as(&setup, protocol, (scenario.expect)(&protocol), direction).0
}

/// Returns what has found something.
fn found_by(outcome: &Outcome) -> Option<String> {
    let broken: BTreeSet<_> = outcome.findings.iter().map(|finding| finding.invariant.as_str()).collect();
    if let Some(report) = outcome.reports.first() {
        return Some(format!("lockdep: {}", report.code));
    }
    if let Some(first) = broken.first() {
        return Some(format!("invariant: {first}"));
    }
    if outcome.deadlock.is_some() {
        return Some("deadlock".to_owned());
    }
    outcome.failure.is_some().then(|| "no end, or a panic".to_owned())
}

/// Reads lines `NAME = REASON`.
fn reasons() -> Result<BTreeMap<String, String>, InputError> {
    let mut reasons = BTreeMap::new();
    for (index, line) in SURVIVORS.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let error = || InputError::at(SURVIVORS_FILE, index + 1, "not `MUTANT = REASON`");
        let (name, reason) = line.split_once(" = ").ok_or_else(error)?;
        reasons.insert(name.trim().to_owned(), reason.trim().to_owned());
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_are_read() {
        assert!(reasons().is_ok());
    }
}
