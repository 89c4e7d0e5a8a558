//! The runs whose actors are watched, and the operations in what they did.
//!
//! Tours, which do on purpose what the paths need, and the sound halves of the catalogue; no random operations: a path that
//! only those take is one that a tour lacks. What only some schedules show has a small scenario, whose schedules are all run.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    ops::ControlFlow,
    sync::Arc,
};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::{
    Query,
    nearest::Seen,
    places::Scope,
    search::{Runs, Search},
    tables,
};
use crate::{
    catalogue::{self, Pair},
    explore,
    mutate::Mutant,
    protocol::Protocol,
    run::{Direction, Setup, play_as},
    scenario::{self, Expect, Scenario},
    sched::{Choice, Guide, Schedule},
    sync::{LockId, Mutation, Observer, Step, Trace},
};

/// The scenarios that are left out: random operations, and those of the mail, all of whose operations the tours have too.
const LEFT_OUT: &[&str] = &["soak", "soak-hugetlb", "mail", "mail-no-reclaim", "mail-file-faults", "mail-deadlock"];

/// The small scenarios for moments that a tour meets by luck: what is looked for is in one of their schedules.
const BY_SCHEDULE: &[&str] = &["small-mapped-late"];
/// Preemptions of these schedules, and how many are run at most.
const PREEMPTIONS: (u32, u64) = (1, 500);

/// An operation that an actor has done.
pub(super) struct Operation<'a> {
    /// In which run, and its name.
    pub(super) seen: Seen,
    /// What the actor did in it.
    pub(super) steps: &'a [Step],
}

impl Operation<'_> {
    /// Returns whether it is the outermost of these, and all the others were part of it.
    pub(super) fn is(&self, scope: &Scope) -> bool {
        let has = |name: &String| self.steps.iter().any(|step| matches!(step, Step::Enter(other) if other == name));
        scope.split_first().is_some_and(|(outer, inner)| self.seen.operation == outer && inner.iter().all(has))
    }
}

/// What runs have met besides what was looked for.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// The classes of all locks that somebody has taken.
    pub(super) classes: BTreeSet<&'static str>,
}

impl Met {
    pub(super) fn merge(&mut self, other: Self) {
        self.classes.extend(other.classes);
    }
}

/// Does the runs that rows need, and looks for them in every operation that is not like an earlier one.
pub(super) fn look(query: &Query<'_>, runs: Runs<'_>, searches: Vec<&mut Search<'_>>) -> Met {
    let is_whole = query.is_whole();
    let mut watch =
        Watch { searches, is_whole, mutation: mutation(query), seen: FxHashSet::default(), met: Met::default() };
    match runs {
        Runs::Nothing => {}
        Runs::Protocol(name) => {
            if let Some(protocol) = query.protocol.or_else(|| tables::protocol(name)) {
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
    watch.met
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
    met: Met,
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
            self.met.classes.extend(steps.iter().filter_map(|step| match step {
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

/// Returns all operations of an actor, those inside of others too. One that a deadlock has ended goes on to the end.
fn operations<'a>(steps: &'a [Step], how: (&'static str, u64, Option<&Schedule>)) -> Vec<Operation<'a>> {
    let (scenario, seed, schedule) = how;
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let operation = |(operation, from): (&'static str, usize), to: usize| Operation {
        seen: Seen { scenario, seed, schedule: schedule.map(Schedule::to_string), operation },
        steps: &steps[from..to],
    };
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Enter(name) => open.push((*name, at)),
            Step::Leave => all.extend(open.pop().map(|opened| operation(opened, at))),
            Step::Take(_) | Step::Release(_) | Step::Downgrade(_) => {}
        }
    }
    all.extend(open.into_iter().map(|opened| operation(opened, steps.len())));
    all
}

/// A number that operations share which do the same, on whichever locks of the same classes.
fn print(operation: &Operation<'_>) -> u64 {
    let mut hasher = FxHasher::default();
    let mut numbers = FxHashMap::default();
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
