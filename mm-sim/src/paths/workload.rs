//! The runs whose actors are watched, and the operations in what they did.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    ops::RangeInclusive,
    sync::Arc,
};

use crate::{
    catalogue::{self, Pair},
    protocol::Protocol,
    run::{Direction, Setup, play_as},
    scenario::{self, Expect, Scenario},
    sync::{LockId, Mutation, Step, Trace},
};

/// The seeds of each scenario.
const SEEDS: RangeInclusive<u64> = 1..=2;

/// The seeds of each directed scenario: small, and each for one race.
const DIRECTED_SEEDS: RangeInclusive<u64> = 1..=8;

/// An operation that an actor has done.
pub(super) struct Operation<'a> {
    /// Its name.
    pub(super) name: &'static str,
    /// What the actor did in it.
    pub(super) steps: &'a [Step],
}

impl Operation<'_> {
    /// Returns whether an operation of this name was part of it, or it is of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Enter(other) if *other == name))
    }
}

/// Does the runs of a protocol, until `watch`, which gets every operation that is not like an earlier one, says that it
/// has seen enough.
pub(super) fn watch(protocol: Protocol, mut watch: impl FnMut(&Operation<'_>) -> bool) {
    let mut seen = HashSet::new();
    let silent = |scenario: &&Scenario| (scenario.expect)(&Protocol::V6_12) == Expect::Silent;
    let with = |seeds: RangeInclusive<u64>| {
        move |scenario: &Scenario| {
            (Setup { id: scenario.id, memory: scenario.memory, build: scenario.build }, seeds.clone())
        }
    };
    let setups = scenario::ALL
        .iter()
        .filter(silent)
        .map(with(SEEDS))
        .chain(scenario::DIRECTED.iter().filter(silent).map(with(DIRECTED_SEEDS)))
        .chain(catalogue::all().filter(|pair| pair.fixed == protocol).map(|pair| (setup(pair), 1..=1)));
    for (setup, seeds) in setups {
        for seed in seeds {
            if play(&setup, protocol, seed, &mut seen, &mut watch) {
                return;
            }
        }
    }
}

/// Does the buggy runs of a pair of the catalogue.
pub(super) fn watch_bug(pair: &Pair, mut watch: impl FnMut(&Operation<'_>) -> bool) {
    let mut seen = HashSet::new();
    for seed in 1..=pair.seeds {
        if play(&setup(pair), pair.buggy, seed, &mut seen, &mut watch) {
            return;
        }
    }
}

const fn setup(pair: &Pair) -> Setup {
    Setup { id: pair.id, memory: pair.memory, build: pair.build }
}

/// Returns whether `watch` has seen enough.
fn play(
    setup: &Setup,
    protocol: Protocol,
    seed: u64,
    seen: &mut HashSet<u64>,
    watch: &mut impl FnMut(&Operation<'_>) -> bool,
) -> bool {
    let mutation = Arc::new(Mutation::Trace(Trace::default()));
    let direction = Direction { seed, mutation: mutation.clone(), ..Direction::default() };
    play_as(setup, protocol, Expect::Silent, direction);
    let actors = mutation.trace().map(Trace::take).unwrap_or_default();
    actors
        .iter()
        .any(|steps| operations(steps).iter().any(|operation| seen.insert(print(operation)) && watch(operation)))
}

/// Returns all operations of an actor, those inside of others too. One that a deadlock has ended goes on to the end.
fn operations(steps: &[Step]) -> Vec<Operation<'_>> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Enter(name) => open.push((*name, at)),
            Step::Leave => all.extend(open.pop().map(|(name, from)| Operation { name, steps: &steps[from..at] })),
            Step::Take(_) | Step::Release(_) | Step::Downgrade(_) => {}
        }
    }
    all.extend(open.into_iter().map(|(name, from)| Operation { name, steps: &steps[from..] }));
    all
}

/// A number that operations share which do the same, on whichever locks of the same classes.
fn print(operation: &Operation<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut numbers = HashMap::new();
    let mut number = |lock: &LockId| {
        let next = numbers.len();
        (lock.0, *numbers.entry(*lock).or_insert(next))
    };
    for step in operation.steps {
        match step {
            Step::Take(taken) => {
                (0, number(&taken.lock), taken.way, taken.tries, taken.level, taken.under).hash(&mut hasher);
            }
            Step::Release(lock) => (1, number(lock)).hash(&mut hasher),
            Step::Downgrade(lock) => (2, number(lock)).hash(&mut hasher),
            Step::Enter(name) => (3, name).hash(&mut hasher),
            Step::Leave => 4.hash(&mut hasher),
        }
    }
    hasher.finish()
}
