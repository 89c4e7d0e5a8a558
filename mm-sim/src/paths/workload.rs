//! The runs whose actors are watched.
//!
//! Tours, which do on purpose what the paths need, and the sound halves of the catalogue; no random operations: a path that
//! only those take is one that a tour lacks. What only some schedules show has a small scenario, whose schedules are all run.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use rustc_hash::FxHashSet;

use super::{
    Query,
    operation::{operations, print},
    search::{Runs, Search},
};
use crate::{
    catalogue::{self, Pair},
    explore,
    mutate::Mutant,
    protocol::Protocol,
    run::{Direction, Setup, play_as},
    scenario::{self, Expect, Scenario},
    sched::{Choice, Guide, Schedule},
    sync::{Mutation, Observer, Step, Trace},
};

/// The scenarios that are left out: random operations, and those of the mail, all of whose operations the tours have too.
const LEFT_OUT: &[&str] = &["soak", "soak-hugetlb", "mail", "mail-no-reclaim", "mail-file-faults", "mail-deadlock"];

/// The small scenarios for moments that a tour meets by luck: what is looked for is in one of their schedules.
const BY_SCHEDULE: &[&str] = &["small-mapped-late"];
/// Preemptions of these schedules, and how many are run at most.
const PREEMPTIONS: (u32, u64) = (1, 500);

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
                    let is_over = setups(protocol).any(|setup| watch.play(&setup, protocol, seed))
                        || seed == 1 && by_schedule().any(|setup| watch.play_schedules(&setup, protocol));
                    is_over || !watch.lacks(query.is_strict)
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

const fn setup(scenario: &Scenario) -> Setup {
    Setup { id: scenario.id, memory: scenario.memory, build: scenario.build }
}

/// Returns the small scenarios whose schedules are run.
fn by_schedule() -> impl Iterator<Item = Setup> {
    BY_SCHEDULE.iter().filter_map(|id| scenario::named(id)).map(setup)
}

/// Returns the runs of a protocol.
fn setups(protocol: Protocol) -> impl Iterator<Item = Setup> {
    let is_silent = |scenario: &&Scenario| (scenario.expect)(&Protocol::V6_12) == Expect::Silent;
    let tours = scenario::ALL.iter().filter(is_silent).filter(|scenario| !LEFT_OUT.contains(&scenario.id));
    let pairs = catalogue::all().filter(move |pair| pair.fixed.name == protocol.name);
    tours.map(setup).chain(pairs.map(pair_setup))
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
        self.watch(setup, protocol, seed, None);
        self.has_all()
    }

    /// Does the runs of all schedules with few preemptions. Returns whether nothing is left to look for.
    fn play_schedules(&mut self, setup: &Setup, protocol: Protocol) -> bool {
        let (preemptions, limit) = PREEMPTIONS;
        explore::schedules(preemptions, limit, &mut |schedule| {
            let choices = self.watch(setup, protocol, 1, Some(schedule));
            if self.has_all() { ControlFlow::Break(()) } else { ControlFlow::Continue(choices) }
        });
        self.has_all()
    }

    fn has_all(&self) -> bool {
        !self.is_whole && self.searches.iter().all(|search| search.is_found())
    }

    /// Does a run, by the seed or by a schedule, and looks at its operations. Returns where it could have gone on otherwise.
    fn watch(&mut self, setup: &Setup, protocol: Protocol, seed: u64, schedule: Option<&Schedule>) -> Vec<Choice> {
        let observer = Arc::new(Observer::Trace(Trace::default()));
        let (mutation, watches) = (self.mutation.clone(), observer.clone());
        let guide = schedule.cloned().map(Guide::Schedule);
        let direction = Direction { seed, guide, mutation, observer: watches, ..Direction::default() };
        let (_, choices) = play_as(setup, protocol, Expect::Silent, direction);
        let how = (setup.id, seed, schedule);
        for steps in observer.trace().map(Trace::take).unwrap_or_default() {
            self.classes.extend(steps.iter().filter_map(|step| match step {
                Step::Take(taken) => Some(taken.lock.0),
                _ => None,
            }));
            for operation in operations(&steps, how) {
                let is_wanted = self.searches.iter().any(|search| search.is_in(operation.seen.operation));
                if is_wanted && self.seen.insert(print(&operation)) {
                    let mut recording = None;
                    self.searches.iter_mut().for_each(|search| search.look(&operation, &mut recording));
                }
            }
        }
        choices
    }
}
