//! The runs of a campaign: what is silent under the protocol, and which acquisitions each of them reaches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lockdep::{Policy, Session};

use super::{
    Effort,
    order::{self, Order},
};
use crate::{
    catalogue::{self, Pair},
    protocol::Protocol,
    run::{Direction, Outcome, Setup, play_as},
    scenario::{self, Expect, Scenario},
    sync::{Mutation, Note, Observer, Place, Survey},
};

/// Seeds of each scenario of the full workload.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// Pages of memory of the small scenarios.
const SMALL: u64 = 1000;
/// Pages of memory with which everybody reclaims during random operations.
const SHORT: u64 = 700;

/// One run.
pub(super) struct Turn {
    setup: Setup,
    pub(super) seed: u64,
    /// Whether its lock order is that of the one kernel that all scenarios run on. A bug of the catalogue may have an
    /// outside subsystem of its own.
    pub(super) shares_session: bool,
    /// Steps that it takes without a mutation.
    steps: u64,
    places: BTreeSet<Place>,
}

impl Turn {
    pub(super) const fn id(&self) -> &'static str {
        self.setup.id
    }

    /// Runs it, until the first thing that is found.
    pub(super) fn play(&self, protocol: Protocol, mutation: &Arc<Mutation>, session: Option<Session>) -> Outcome {
        self.play_as(protocol, Direction { mutation: mutation.clone(), session, ..Direction::default() })
    }

    fn play_as(&self, protocol: Protocol, direction: Direction) -> Outcome {
        let direction = Direction { seed: self.seed, stops_at_first: true, ..direction };
        play_as(&self.setup, protocol, Expect::Silent, direction).0
    }
}

/// All runs, the short ones first.
pub(super) struct Workload {
    pub(super) protocol: Protocol,
    pub(super) turns: Vec<Turn>,
    pub(super) notes: BTreeMap<Place, Note>,
    /// What lockdep has learnt in all of them.
    pub(super) order: Order,
    /// The declared rules that they contradict.
    pub(super) contradicted: BTreeSet<String>,
}

impl Workload {
    /// Runs everything once, to see that nothing is found and what there is to mutate.
    pub(super) fn survey(protocol: Protocol, effort: Effort) -> Result<Self, String> {
        let (turns, notes, order, contradicted) = Default::default();
        let mut workload = Self { protocol, turns, notes, order, contradicted };
        let kernel = Session::new(Policy::Collect);
        for (scenario, seed) in scenarios(protocol, effort) {
            let setup = Setup { id: scenario.id, memory: scenario.memory, build: scenario.build };
            if let Some(found) = workload.add(setup, seed, Some(&kernel)) {
                return Err(format!(
                    "something is found without a mutant in {} with seed {seed}: {found}",
                    scenario.id
                ));
            }
        }
        let journal = kernel.journal("mm-sim");
        workload.order.learn(&journal);
        workload.contradicted = order::contradicted(&journal)?;
        for pair in catalogue::all().filter(|_| effort == Effort::Full) {
            // A pair that needs the rules of its own kernels is left out.
            let _found = workload.add(pair_setup(pair), 1, None);
        }
        workload.turns.sort_by_key(|turn| turn.steps);
        Ok(workload)
    }

    /// Adds a run if nothing is found in it. Returns what is.
    fn add(&mut self, setup: Setup, seed: u64, kernel: Option<&Session>) -> Option<String> {
        let observer = Arc::new(Observer::Survey(Survey::default()));
        let mut turn = Turn { setup, seed, shares_session: kernel.is_some(), steps: 0, places: BTreeSet::new() };
        let direction = Direction { observer: observer.clone(), session: kernel.cloned(), ..Direction::default() };
        let outcome = turn.play_as(self.protocol, direction);
        if outcome.has_findings() || outcome.failure.is_some() {
            return Some(outcome.verdict);
        }
        let notes = observer.survey().map(Survey::take).unwrap_or_default();
        if kernel.is_none() {
            let mut order = Order::default();
            order.learn(&outcome.journal);
            turn.shares_session = !self.order.is_reversed_by(&order);
            self.order.learn(&outcome.journal);
        }
        turn.steps = outcome.steps;
        turn.places = notes.keys().copied().collect();
        for (place, note) in notes {
            self.notes.entry(place).and_modify(|known| known.merge(&note)).or_insert(note);
        }
        self.turns.push(turn);
        None
    }

    /// Returns whether somebody somewhere holds a lock of this class so that only the lock keeps him and this place apart,
    /// whether or not the two have met.
    pub(super) fn may_exclude(&self, note: &Note) -> bool {
        self.notes.values().any(|other| note.may_exclude(other))
    }

    /// Returns the runs that reach a place: in all others a mutation there changes nothing.
    pub(super) fn reaching(&self, place: Place) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(move |turn| turn.places.contains(&place))
    }
}

/// The scenarios that must be silent, with their seeds.
fn scenarios(protocol: Protocol, effort: Effort) -> Vec<(Scenario, u64)> {
    let is_silent = |scenario: &&Scenario| (scenario.expect)(&protocol) == Expect::Silent;
    let small = scenario::DIRECTED.iter().filter(|scenario| scenario.memory < SMALL).filter(is_silent);
    if effort == Effort::Quick {
        return small.map(|scenario| (*scenario, 1)).collect();
    }
    let all = scenario::DIRECTED.iter().chain(scenario::ALL).filter(is_silent).copied();
    let short = scenario::named("soak").filter(is_silent).map(|soak| soak.with_memory(SHORT));
    all.chain(short).flat_map(|scenario| SEEDS.map(move |seed| (scenario, seed))).collect()
}

const fn pair_setup(pair: &Pair) -> Setup {
    Setup { id: pair.id, memory: pair.memory, build: pair.build }
}
