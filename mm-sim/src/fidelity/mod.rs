//! How much the simulator is like a kernel: the dependencies that lockdep learns here, held against those that it learnt
//! in a running kernel (`/proc/lockdep`).
//!
//! * [`observe`]: what the simulator does under a protocol, as one observation.
//! * [`Fidelity`]: the comparison; `render`: as text.
//! * `graph`: classes folded into locks, by the table `data/fidelity-locks.txt`.
//! * `extra`: why the simulator does what the kernel did not, from `data/fidelity-extras.txt`.
//!
//! A dependency of one side counts as present on the other if the other side has a way between the two locks:
//! `/proc/lockdep` leaves out dependencies across a trylock, and the folio lock, which no kernel's lockdep sees, stands
//! between two locks here where there is a direct dependency there.

mod extra;
mod graph;
mod render;

use std::collections::BTreeSet;

use lockdep_audit::{Aliases, InputError, Observation};
use serde::Serialize;

use self::{
    extra::Explanations,
    graph::{LockGraph, Pair},
};
use crate::{
    protocol::Protocol,
    run::run,
    scenario::{self, Expect},
};

const LOCKS: &str = include_str!("../../data/fidelity-locks.txt");
const LOCKS_FILE: &str = "mm-sim/data/fidelity-locks.txt";
/// The seeds of the workload.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=2;

/// A dependency that only one side has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The lock that was held.
    pub outer: String,
    /// The lock that was acquired.
    pub inner: String,
    /// The place that shows it: a line of the dump, or of the simulator.
    pub at: String,
    /// Why there is a difference; for a contradiction the kernel's way in the other direction.
    pub why: String,
}

/// The comparison of a simulated with a real kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fidelity {
    /// The protocol's name.
    pub protocol: &'static str,
    /// The dump's name.
    pub kernel: String,
    /// Locks of the table that the dump has.
    pub locks: usize,
    /// Those of them that the simulator lacks.
    pub lacking: Vec<String>,
    /// Classes of the simulator that the table does not have, so that they are not compared.
    pub unknown: Vec<String>,
    /// Dependencies of the dump between locks of the table.
    pub real: usize,
    /// How many of them the simulator has.
    pub reproduced: usize,
    /// Dependencies of the dump between locks that the simulator has too.
    pub real_of_common: usize,
    /// Dependencies of the simulator between locks that the dump has.
    pub ours: usize,
    /// How many of them the dump has.
    pub confirmed: usize,
    /// What only the simulator does, and the kernel the other way around.
    pub contradictions: Vec<Difference>,
    /// What only the kernel does.
    pub missed: Vec<Difference>,
    /// What only the simulator does.
    pub extra: Vec<Difference>,
}

impl Fidelity {
    /// Compares. Both are what lockdep has learnt; `kernel` may come from any format that the audit reads.
    ///
    /// # Errors
    ///
    /// If the kernel's file has no lock of memory management at all.
    pub fn compare(protocol: &Protocol, kernel: &Observation, ours: &Observation) -> Result<Self, InputError> {
        let (table, explanations) = (table(), Explanations::builtin());
        let (real, simulated) = (LockGraph::new(kernel, &table), LockGraph::new(ours, &table));
        if real.direct.is_empty() {
            let reason = "no dependency between locks of memory management";
            return Err(InputError::at(kernel.name(), 1, reason));
        }
        let is_common = |(outer, inner): &Pair| simulated.locks.contains(outer) && simulated.locks.contains(inner);
        let missed: Vec<_> = real.direct.iter().filter(|(pair, _)| simulated.way(pair).is_none()).collect();
        let is_real = |(outer, inner): &Pair| real.locks.contains(outer) && real.locks.contains(inner);
        let comparable: Vec<_> = simulated.direct.iter().filter(|(pair, _)| is_real(pair)).collect();
        let (mut contradictions, mut extra) = (Vec::new(), Vec::new());
        for (pair, at) in comparable.iter().filter(|(pair, _)| real.way(pair).is_none()) {
            match real.way(&(pair.1.clone(), pair.0.clone())) {
                Some(way) => contradictions.push(difference(pair, at, way.join(" -> "))),
                None => extra.push(difference(pair, at, explanations.of(pair).to_owned())),
            }
        }
        Ok(Self {
            protocol: protocol.name,
            kernel: kernel.name().to_owned(),
            locks: real.locks.len(),
            lacking: real.locks.difference(&simulated.locks).cloned().collect(),
            unknown: simulated.others.iter().cloned().collect(),
            real: real.direct.len(),
            reproduced: real.direct.len() - missed.len(),
            real_of_common: real.direct.keys().filter(|pair| is_common(pair)).count(),
            ours: comparable.len(),
            confirmed: comparable.len() - extra.len() - contradictions.len(),
            missed: missed.into_iter().map(|(pair, at)| difference(pair, at, why_missed(pair, &simulated))).collect(),
            contradictions,
            extra,
        })
    }

    /// Returns the share of the kernel's dependencies that the simulator has.
    pub fn recall(&self) -> f64 {
        share(self.reproduced, self.real)
    }

    /// Returns the same among the locks that both have.
    pub fn recall_of_common(&self) -> f64 {
        share(self.reproduced, self.real_of_common)
    }

    /// Returns the share of the simulator's dependencies that the kernel has.
    pub fn precision(&self) -> f64 {
        share(self.confirmed, self.ours)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn difference(pair: &Pair, at: &str, why: String) -> Difference {
    Difference { outer: pair.0.clone(), inner: pair.1.clone(), at: at.to_owned(), why }
}

fn why_missed(pair: &Pair, simulated: &LockGraph) -> String {
    let lacking: BTreeSet<_> = [&pair.0, &pair.1].into_iter().filter(|lock| !simulated.locks.contains(*lock)).collect();
    let names: Vec<_> = lacking.into_iter().map(String::as_str).collect();
    if names.is_empty() {
        "the simulator has both locks, and no such path".to_owned()
    } else {
        format!("the simulator has no {}", names.join(" and no "))
    }
}

/// The table of locks.
fn table() -> Aliases {
    let mut table = Aliases::empty();
    table.extend(LOCKS_FILE, LOCKS).expect("the built-in table is read by the tests");
    table
}

/// Runs the workload under a protocol and returns all that lockdep has learnt: every scenario that has no bug of its
/// own (that is silent under 6.12), with fixed seeds.
pub fn observe(protocol: Protocol) -> Observation {
    let mut observation: Option<Observation> = None;
    for scenario in scenario::ALL.iter().filter(|scenario| (scenario.expect)(&Protocol::V6_12) == Expect::Silent) {
        for seed in SEEDS {
            let journal = run(scenario, protocol, seed).journal;
            match &mut observation {
                Some(observation) => observation.add_journal(scenario.id, &journal),
                None => observation = Some(Observation::from_journal("mm-sim", &journal)),
            }
        }
    }
    observation.unwrap_or_else(|| Observation::new("mm-sim", lockdep_audit::observe::Source::Journal))
}
