//! [`Operation`]: what an actor did in one operation, the operations inside of it too.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::{nearest::Seen, places::Scope};
use crate::{
    sched::Schedule,
    sync::{LockId, Step},
};

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

/// Returns all operations of an actor, those inside of others too. One that a deadlock has ended goes on to the end.
pub(super) fn operations<'a>(steps: &'a [Step], how: (&'static str, u64, Option<&Schedule>)) -> Vec<Operation<'a>> {
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
pub(super) fn print(operation: &Operation<'_>) -> u64 {
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
