//! [`Instances`]: the order of the locks of one class among each other, for as many of them as matter.
//!
//! Locks come and go by the million, and nobody says when one is gone; so the ones that have not nested for the longest
//! time are forgotten, half of them at a time, when there are too many. A lock that goes on nesting stays, however old. A
//! way through a forgotten lock is forgotten with it: if the lock is dead, no deadlock leads through it any more.
//!
//! Nobody tells of locks that nest as they did before, as long as there is half as much room again: a thread that has seen
//! them may leave it at that ([`Proof::Locks`](crate::Proof::Locks)). Then the class is *crowded*, and everybody tells each time. Half the room
//! later, when some have to be forgotten, all that goes on nesting has been told of.
//!
//! Cost: that of [`DependencyGraph::insert`]; a rebuild for every half of [`MAX`] new locks, or of [`DEPENDENCIES_MAX`] new
//! dependencies.

use rustc_hash::FxHashMap;

use crate::{
    graph::{DependencyGraph, Inserted, Step},
    witness::{HeldSets, Witness, offer},
};

/// How many locks of a class have their order remembered. Few in this crate's tests, so that they see what is forgotten.
pub(crate) const MAX: usize = if cfg!(test) { 16 } else { 4096 };
/// How many dependencies between them are.
const DEPENDENCIES_MAX: usize = 64 * MAX;

/// The order of the locks of one class.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    graph: DependencyGraph<u64, Witness>,
    cycles: FxHashMap<Step<u64>, Vec<Step<u64>>>,
    /// The keys of `cycles`, in the order in which they came.
    closing: Vec<Step<u64>>,
    /// When each lock nested last.
    nested: FxHashMap<u64, u64>,
    clock: u64,
    crowded: bool,
}

impl Instances {
    /// Returns whether so many locks nest, or have ever nested, that each nesting has to be told.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Records that two locks nest, and returns the cycle that this closes, each time, and whether the witness was kept. Adds
    /// to `forgotten` how many locks it forgets.
    pub(crate) fn nest(
        &mut self,
        step: Step<u64>,
        witness: Witness,
        sets: &HeldSets,
        forgotten: &mut u64,
    ) -> (Option<Vec<Step<u64>>>, bool) {
        self.clock += 1;
        self.nested.insert(step.outer, self.clock);
        self.nested.insert(step.inner, self.clock);
        if self.nested.len() > MAX || self.graph.len() > DEPENDENCIES_MAX {
            *forgotten += self.forget_half(step);
        }
        let before = self.graph.witnesses(step.outer, step.inner, step.kind).count();
        self.insert(step, witness);
        self.crowded |= self.nested.len() > MAX / 2 || self.graph.len() > DEPENDENCIES_MAX / 2;
        let witnesses = self.graph.witnesses_mut(step.outer, step.inner);
        let taken = witnesses.is_some_and(|mut witnesses| offer(&mut witnesses, step.kind, witness, sets));
        (self.cycles.get(&step).cloned(), before == 0 || taken)
    }

    fn insert(&mut self, step: Step<u64>, witness: Witness) {
        if let Inserted::Closes(cycle) = self.graph.insert(step.outer, step.inner, step.kind, witness) {
            self.cycles.insert(step, cycle);
            self.closing.push(step);
        }
    }

    /// Forgets the half of the locks that have not nested for the longest time, but not these two.
    fn forget_half(&mut self, present: Step<u64>) -> u64 {
        let mut times: Vec<u64> = self.nested.values().copied().collect();
        times.sort_unstable();
        let oldest_kept = times[times.len() / 2];
        let before = self.nested.len();
        self.nested.retain(|_, time| *time >= oldest_kept);
        debug_assert!(self.nested.contains_key(&present.outer) && self.nested.contains_key(&present.inner));
        let old = std::mem::take(self);
        (self.nested, self.clock, self.crowded) = (old.nested, old.clock, old.crowded);
        let kept = |step: &Step<u64>| self.nested.contains_key(&step.outer) && self.nested.contains_key(&step.inner);
        // What closes a cycle comes last, so that it is the same dependencies that do.
        let in_order = old.graph.dependencies().map(|(step, _)| step).filter(|step| !old.cycles.contains_key(step));
        let steps: Vec<Step<u64>> = in_order.chain(old.closing.iter().copied()).filter(kept).collect();
        for step in steps {
            let mut witnesses = old.graph.witnesses(step.outer, step.inner, step.kind).copied();
            let Some(first) = witnesses.next() else { continue };
            self.insert(step, first);
            if let Some(mut all) = self.graph.witnesses_mut(step.outer, step.inner) {
                witnesses.for_each(|witness| all.push(step.kind, witness));
            }
        }
        (before - self.nested.len()) as u64
    }

    /// Returns the graph.
    pub(crate) fn graph(&self) -> &DependencyGraph<u64, Witness> {
        &self.graph
    }

    /// Checks the invariants of everything inside.
    pub(crate) fn check_invariants(&self) {
        self.graph.check_invariants();
        assert_eq!(self.closing.len(), self.cycles.len(), "each cycle is closed once");
        assert!(self.graph.keys().all(|lock| self.nested.contains_key(&lock)), "a lock has nested some time");
        assert!(self.crowded || self.nested.len() <= MAX / 2, "nothing is forgotten before the class is crowded");
        assert!(self.nested.len() <= MAX + 2 && self.graph.len() <= DEPENDENCIES_MAX + 1, "memory is bounded");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::{Acquired, ClassId, DependencyKind, HeldStack, HoldKind, Mode, Point, Request, WaitKind};

    fn nest(instances: &mut Instances, outer: u64, inner: u64, forgotten: &mut u64) -> Option<Vec<Step<u64>>> {
        let how = Acquired::new(ClassId::new(1), Mode::Exclusive, false);
        let held = HeldStack::new();
        held.push(how, outer, Point::new(1));
        let mut sets = HeldSets::default();
        let set = sets.intern(&held);
        let witness = Witness::of(held.get(0).unwrap(), &Request::new(how, inner, Point::new(1)), set);
        let kind = DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Normal };
        instances.nest(Step { outer, inner, kind }, witness, &sets, forgotten).0
    }

    /// The twin: lists, and a search from scratch each time.
    #[derive(Default)]
    struct Twin {
        /// Each dependency, with whether it closed a cycle when it came.
        known: Vec<((u64, u64), bool)>,
        nested: BTreeMap<u64, u64>,
        clock: u64,
    }

    impl Twin {
        fn leads(&self, from: u64, to: u64) -> bool {
            let mut seen = BTreeSet::from([from]);
            let mut open = vec![from];
            while let Some(lock) = open.pop() {
                for ((outer, inner), _) in &self.known {
                    if *outer == lock && seen.insert(*inner) {
                        open.push(*inner);
                    }
                }
            }
            seen.contains(&to)
        }

        fn insert(&mut self, (outer, inner): (u64, u64)) -> bool {
            if let Some((_, closes)) = self.known.iter().find(|(known, _)| *known == (outer, inner)) {
                return *closes;
            }
            let closes = self.leads(inner, outer);
            self.known.push(((outer, inner), closes));
            closes
        }

        fn nest(&mut self, outer: u64, inner: u64) -> bool {
            self.clock += 1;
            self.nested.insert(outer, self.clock);
            self.nested.insert(inner, self.clock);
            if self.nested.len() > MAX {
                let mut times: Vec<u64> = self.nested.values().copied().collect();
                times.sort_unstable();
                let oldest = times[times.len() / 2];
                self.nested.retain(|_, time| *time >= oldest);
                let mut old = std::mem::take(&mut self.known);
                old.retain(|((outer, inner), _)| self.nested.contains_key(outer) && self.nested.contains_key(inner));
                old.sort_by_key(|(_, closes)| *closes);
                for (pair, _) in old {
                    self.insert(pair);
                }
            }
            self.insert((outer, inner))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Locks drift past a window, sometimes with one from the very beginning.
        #[test]
        fn what_is_remembered_is_what_lists_remember(
            steps in prop::collection::vec((0u64..8, 0u64..8, 0u64..20, any::<bool>()), 0..200),
        ) {
            let (mut instances, mut twin) = (Instances::default(), Twin::default());
            let (mut base, mut forgotten) = (0, 0);
            for (outer, inner, old, drift) in steps {
                base += u64::from(drift);
                let outer = if old == 0 { outer } else { base + outer };
                let inner = base + inner;
                if outer != inner {
                    let cycle = nest(&mut instances, outer, inner, &mut forgotten);
                    prop_assert_eq!(cycle.is_some(), twin.nest(outer, inner), "{} {}", outer, inner);
                    for step in cycle.iter().flatten() {
                        prop_assert!(twin.known.iter().any(|(pair, _)| *pair == (step.outer, step.inner)));
                    }
                    instances.check_invariants();
                    prop_assert_eq!(instances.nested.len(), twin.nested.len());
                }
            }
        }
    }

    #[test]
    fn a_lock_that_goes_on_nesting_is_never_forgotten() {
        let (mut instances, mut forgotten) = (Instances::default(), 0);
        for short_lived in 10..10_000 {
            assert_eq!(nest(&mut instances, 1, 2, &mut forgotten), None);
            assert_eq!(nest(&mut instances, 2, short_lived, &mut forgotten), None);
        }
        instances.check_invariants();
        assert!(forgotten > 9_900);
        assert!(nest(&mut instances, 9_999, 1, &mut forgotten).is_some(), "2 leads to it, and 1 to 2");
        assert!(nest(&mut instances, 20, 1, &mut forgotten).is_none(), "long forgotten");
    }

    #[test]
    fn a_finding_among_locks_that_stay_stays() {
        let (mut instances, mut forgotten) = (Instances::default(), 0);
        assert!(nest(&mut instances, 1, 2, &mut forgotten).is_none());
        assert!(nest(&mut instances, 2, 1, &mut forgotten).is_some());
        for short_lived in 10..200 {
            assert!(nest(&mut instances, 1, 2, &mut forgotten).is_none(), "it is still the other one that closes");
            assert!(nest(&mut instances, 2, short_lived, &mut forgotten).is_none());
        }
        assert!(nest(&mut instances, 2, 1, &mut forgotten).is_some());
    }
}
