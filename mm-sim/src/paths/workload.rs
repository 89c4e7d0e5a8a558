//! The runs whose actors are watched.
//!
//! Tours, which do on purpose what the paths need, and the sound halves of the catalogue; no random operations: a path that
//! only those take is one that a tour lacks.

use std::{collections::BTreeSet, sync::Arc};

use rustc_hash::FxHashSet;

use super::{
    Query,
    operation::{operations, print},
    search::{Runs, Search},
};
use crate::{
    catalogue::{self, Pair},
    mutate::Mutant,
    protocol::Protocol,
    run::{Direction, Setup, play_as},
    scenario::{self, Expect, Scenario},
    sync::{Mutation, Observer, Step, Trace},
};

/// The scenarios that are left out: random operations, and those of the mail, all of whose operations the tours have too.
const LEFT_OUT: &[&str] = &["soak", "soak-hugetlb", "mail", "mail-no-reclaim", "mail-file-faults", "mail-deadlock"];

/// The classes of all locks that runs have taken.
pub(super) type Classes = BTreeSet<&'static str>;

/// Does the runs that rows need, and looks for them in every operation that is not like an earlier one.
pub(super) fn look(query: &Query<'_>, runs: Runs<'_>, searches: Vec<&mut Search<'_>>) -> Classes {
    let is_whole = query.is_whole();
    let mut watch = Watch {
        searches,
        is_whole,
        mutation: mutation(query),
        seen: FxHashSet::default(),
        classes: Classes::default(),
    };
    match runs {
        Runs::Nothing => {}
        Runs::Protocol(name) => {
            if let Some(protocol) = query.protocol.or_else(|| Protocol::of_history(name)) {
                let _enough = (1..=1 + query.more_seeds).any(|seed| {
                    setups(protocol).any(|setup| watch.play(&setup, protocol, seed)) || !watch.lacks(query.is_strict)
                });
            }
        }
        Runs::Pair(id) => {
            if let Some(pair) = catalogue::named(id) {
                let _enough = (1..=pair.seeds).any(|seed| watch.play(&pair_setup(pair), pair.buggy, seed));
            }
        }
    }
    watch.classes
}

fn mutation(query: &Query<'_>) -> Arc<Mutation> {
    Arc::new(match query.mutant {
        Some(Mutant::Lock { place, twist, .. }) => Mutation::Lock(*place, *twist),
        Some(Mutant::Look(look)) => Mutation::Look(*look),
        None => Mutation::None,
    })
}

/// Returns the runs of a protocol.
fn setups(protocol: Protocol) -> impl Iterator<Item = Setup> {
    let is_silent = |scenario: &&Scenario| (scenario.expect)(&Protocol::V6_12) == Expect::Silent;
    let tours = scenario::ALL.iter().filter(is_silent).filter(|scenario| !LEFT_OUT.contains(&scenario.id));
    let tours = tours.map(|scenario| Setup { id: scenario.id, memory: scenario.memory, build: scenario.build });
    let pairs = catalogue::all().filter(move |pair| pair.fixed.name == protocol.name);
    tours.chain(pairs.map(pair_setup))
}

const fn pair_setup(pair: &Pair) -> Setup {
    Setup { id: pair.id, memory: pair.memory, build: pair.build }
}

/// Rows that are looked for in one run after the other.
struct Watch<'w, 'a> {
    searches: Vec<&'w mut Search<'a>>,
    is_whole: bool,
    mutation: Arc<Mutation>,
    /// The prints of the operations that have been looked at.
    seen: FxHashSet<u64>,
    classes: Classes,
}

impl Watch<'_, '_> {
    /// Returns whether something has not been found, and is no exception or may be none.
    fn lacks(&self, is_strict: bool) -> bool {
        self.searches.iter().any(|search| !search.is_found() && (is_strict || search.exception().is_none()))
    }

    /// Does a run and looks at its operations. Returns whether nothing is left to look for.
    fn play(&mut self, setup: &Setup, protocol: Protocol, seed: u64) -> bool {
        let observer = Arc::new(Observer::Trace(Trace::default()));
        let (mutation, watches) = (self.mutation.clone(), observer.clone());
        let direction = Direction { seed, mutation, observer: watches, ..Direction::default() };
        play_as(setup, protocol, Expect::Silent, direction);
        for steps in observer.trace().map(Trace::take).unwrap_or_default() {
            self.classes.extend(steps.iter().filter_map(|step| match step {
                Step::Take(taken) => Some(taken.lock.0),
                _ => None,
            }));
            for operation in operations(&steps, setup.id, seed) {
                let is_wanted = self.searches.iter().any(|search| search.is_in(operation.seen.operation));
                if is_wanted && self.seen.insert(print(&operation)) {
                    let mut recording = None;
                    self.searches.iter_mut().for_each(|search| search.look(&operation, &mut recording));
                }
            }
        }
        !self.is_whole && self.searches.iter().all(|search| search.is_found())
    }
}
