//! [`Validator`]: one acquisition in, what it teaches and what it breaks out. The only door to the rules.
//!
//! The validator knows classes and threads by number only. Who wants words gives it an
//! [`Evidence`](crate::explain::Evidence).

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::{
    check::{self, Nesting, UsageGraph, nesting, relevant},
    class::ClassId,
    context::ContextSet,
    grade::{self, Graded},
    graph::{DependencyGraph, Inserted, Step},
    held::{HeldLock, HeldStack},
    instances::Instances,
    mode::{DependencyKind, HoldKind, WaitKind},
    proof::Proof,
    report::Code,
    segment::Segments,
    traits::{Checking, ClassTraits, SameClass, TraitTable},
    witness::{HeldSetId, HeldSets, offer},
};
pub use crate::{
    counts::Counts,
    request::Request,
    violation::{UsageNode, Violation},
    witness::Witness,
};

/// What an acquisition teaches and breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Dependencies between classes that are new, or new in their kind.
    pub learnt: Vec<(Step<ClassId>, Witness)>,
    /// What is broken. A cycle that was found before is there again, each time.
    pub violations: Vec<Violation>,
    /// Cycles that were found before, and of which one more witness is known now: their grade may be worse than it was.
    pub regraded: Vec<Violation>,
    /// Whether the acquisition has become a witness of anything. If not, nothing that stands for it need be kept.
    pub witnessed: bool,
    /// Whether the same acquisition need be checked again.
    pub proof: Proof,
    /// Whether the locks of the class that nest have become too many: what was proven for some locks of a class counts no
    /// longer, since the validator must see from now on which of them go on nesting. Once a class.
    pub crowded: bool,
}

impl Outcome {
    /// Takes back what goes beyond this proof.
    fn limit(&mut self, proof: Proof) {
        self.proof = self.proof.min(proof);
    }
}

/// Everything learnt from a history of acquisitions, and the rules.
///
/// ```
/// use lockdep_core::{Acquired, ClassId, HeldStack, Mode, Point, Request, Validator, Violation};
///
/// let request = |class: u32| {
///     Request::new(Acquired::new(ClassId::new(class), Mode::Exclusive, false), u64::from(class), Point::new(1))
/// };
/// let mut validator = Validator::new();
/// for (outer, inner, broken) in [(1, 2, 0), (2, 1, 1)] {
///     let mut held = HeldStack::new();
///     assert!(validator.acquire(&held, &request(outer)).violations.is_empty());
///     held.push(request(outer).how, u64::from(outer), Point::new(1));
///     assert_eq!(validator.acquire(&held, &request(inner)).violations.len(), broken);
/// }
/// ```
#[derive(Debug, Default)]
pub struct Validator {
    classes: DependencyGraph<ClassId, Witness>,
    usage: UsageGraph,
    instances: FxHashMap<ClassId, Instances>,
    cycles: FxHashMap<Step<ClassId>, Vec<Step<ClassId>>>,
    /// For each dependency on the way around a cycle that was found, those that closed one.
    closers: FxHashMap<Step<ClassId>, Vec<Step<ClassId>>>,
    /// The classes of locks that gate a cycle: which lock it is decides whether they do.
    gates: FxHashSet<ClassId>,
    forgotten_instances: u64,
    judged: u64,
    deepest: usize,
    /// How many witnesses were ever kept between classes and within them.
    kept: u64,
    traits: TraitTable,
    sets: HeldSets,
    segments: Segments,
}

impl Validator {
    /// A validator that has learnt nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A validator that has learnt nothing, for classes that are like this unless they are declared otherwise.
    pub fn with_usual(traits: ClassTraits) -> Self {
        Self { traits: TraitTable::new(traits), ..Self::default() }
    }

    /// Says what a class is like, before its locks are acquired. Holds for all of its subclasses.
    pub fn declare(&mut self, class: ClassId, traits: ClassTraits) {
        self.traits.set(class, traits);
    }

    /// Judges an acquisition by a thread that holds `held`, and learns from it. The lock is not pushed.
    pub fn acquire(&mut self, held: &HeldStack, request: &Request) -> Outcome {
        let traits = self.traits.get(request.how.class());
        let mut outcome = Outcome { proof: Proof::Chain, ..Outcome::default() };
        let kept = self.kept + self.usage.kept();
        self.judged += 1;
        self.deepest = self.deepest.max(held.len());
        if !request.how.is_trylock() {
            outcome.violations.extend(check::exceeded(held, request, &self.traits));
        }
        if traits.checking == Checking::Full {
            let set = self.held_set(held);
            self.mark_acquired(held, request, set, &mut outcome);
            if check::is_missing(held, request) {
                outcome.violations.push(Violation::State { code: Code::NestNotHeld, held: None });
            }
            if !request.how.is_trylock() {
                self.check_nesting(held, request, traits.same_class, set, &mut outcome);
                self.check_order(held, request, set, &mut outcome);
            }
        }
        outcome.witnessed = self.kept + self.usage.kept() != kept;
        // What an acquisition says of its lock decides here, besides which lock it is.
        let says_more = request.nest.is_some() || traits.same_class.is_declared();
        if says_more || !outcome.violations.is_empty() || self.is_gated(held) {
            outcome.proof = Proof::None;
        }
        outcome
    }

    /// Records that contexts are enabled from now on, with everything that is held. `at` says who does it and where;
    /// its lock does not matter.
    pub fn enabled(&mut self, held: &HeldStack, contexts: ContextSet, at: &Request) -> Outcome {
        let mut outcome = Outcome::default();
        if contexts.is_empty() || held.is_empty() {
            return outcome;
        }
        let set = self.held_set(held);
        let mut locks = Alike::default();
        held.iter().filter(|lock| self.traits.is_ordered(lock.class())).for_each(|lock| locks.add(lock));
        for lock in locks.0 {
            let witness = Witness { inner_instance: 0, ..Witness::of(lock, at, set) };
            self.mark_enabled(lock.class(), lock.hold(), contexts, witness, &mut outcome);
        }
        if outcome.violations.is_empty() && !self.is_gated(held) {
            outcome.proof = Proof::Chain;
        }
        outcome
    }

    /// Returns whether a lock is held that is, as far as its class tells, the gate of a finding.
    fn is_gated(&self, held: &HeldStack) -> bool {
        !self.gates.is_empty() && held.iter().any(|lock| self.gates.contains(&lock.class()))
    }

    /// Returns the number of what is held. Before there are too many, those that no witness has are forgotten.
    fn held_set(&mut self, held: &HeldStack) -> HeldSetId {
        if self.sets.is_full() {
            let of_instances = self.instances.values().flat_map(|instances| instances.graph().all_witnesses());
            let of_usage = self.usage.graph().into_iter().flat_map(DependencyGraph::all_witnesses);
            self.sets.keep(self.classes.all_witnesses().chain(of_instances).chain(of_usage));
        }
        self.sets.intern(held)
    }

    fn mark_acquired(&mut self, held: &HeldStack, request: &Request, set: HeldSetId, outcome: &mut Outcome) {
        let contexts = held.contexts();
        let class = request.how.class();
        let itself = HeldLock::to_be(request.how, request.instance, request.point);
        let witness = Witness::of(itself, request, set);
        if !request.how.is_trylock() {
            for context in contexts.inside.iter() {
                let step = check::used_in(class, request.wait, context);
                let broken = self.usage.mark(step, witness, &self.classes, &self.traits, &self.sets);
                outcome.violations.extend(broken);
            }
        }
        if !request.sync {
            self.mark_enabled(class, itself.hold(), contexts.enabled, witness, outcome);
        }
    }

    fn mark_enabled(
        &mut self,
        class: ClassId,
        hold: HoldKind,
        contexts: ContextSet,
        witness: Witness,
        outcome: &mut Outcome,
    ) {
        for context in contexts.iter() {
            let step = check::enabled(class, hold, context);
            let broken = self.usage.mark(step, witness, &self.classes, &self.traits, &self.sets);
            outcome.violations.extend(broken);
        }
    }

    fn check_nesting(
        &mut self,
        held: &HeldStack,
        request: &Request,
        rule: SameClass,
        set: HeldSetId,
        outcome: &mut Outcome,
    ) {
        let class = request.how.class();
        for (lock, nesting) in nesting(held, class, request.instance, request.wait) {
            match nesting {
                // A read over a read is harmless whichever locks they are.
                Nesting::Harmless if request.wait != WaitKind::Upgrade => {}
                Nesting::Harmless => outcome.limit(Proof::Locks),
                Nesting::OtherInstance if check::excuses(held, request, lock) => {}
                // What holds for these two locks need not hold for two others on the same chain.
                Nesting::OtherInstance if request.orders_instances || rule == SameClass::Learnt => {
                    self.order_instances(lock, request, set, outcome);
                }
                Nesting::OtherInstance if rule.is_declared() => {
                    if check::out_of_order(held, lock, rule, request) {
                        outcome.violations.push(Violation::DeclaredOrder(lock));
                        return;
                    }
                }
                Nesting::SameInstance | Nesting::OtherInstance => {
                    let same_instance = nesting == Nesting::SameInstance;
                    outcome.violations.push(Violation::Recursion { held: lock, same_instance });
                    return;
                }
            }
        }
    }

    fn order_instances(&mut self, lock: HeldLock, request: &Request, set: HeldSetId, outcome: &mut Outcome) {
        let class = request.how.class();
        let kind = DependencyKind { hold: lock.hold(), wait: request.wait };
        let step = Step { outer: lock.instance(), inner: request.instance, kind };
        let witness = Witness::of(lock, request, set);
        let instances = self.instances.entry(class).or_default();
        let were_few = !instances.is_crowded();
        let (cycle, kept) = instances.nest(step, witness, &self.sets, &mut self.forgotten_instances);
        self.kept += u64::from(kept);
        outcome.limit(if instances.is_crowded() { Proof::None } else { Proof::Locks });
        outcome.crowded |= were_few && instances.is_crowded();
        outcome.violations.extend(cycle.map(|cycle| Violation::InstanceCycle(class, cycle)));
    }

    fn check_order(&mut self, held: &HeldStack, request: &Request, set: HeldSetId, outcome: &mut Outcome) {
        let inner = request.how.class();
        let mut outer_locks = Alike::default();
        let mut add = |lock: HeldLock| {
            if lock.class() != inner {
                outer_locks.add(lock);
            }
        };
        match request.wait {
            // What is held above the lock that is upgraded was acquired under it; nothing is implied.
            WaitKind::Upgrade => {
                let others = held.in_context().rev().filter(|lock| lock.instance() != request.instance);
                others.filter(|lock| self.traits.is_ordered(lock.class())).for_each(add);
            }
            _ => relevant(held, &self.traits).for_each(&mut add),
        }
        for lock in outer_locks.0 {
            let kind = DependencyKind { hold: lock.hold(), wait: request.wait };
            let step = Step { outer: lock.class(), inner, kind };
            self.learn(step, Witness::of(lock, request, set), outcome);
        }
    }

    /// Records a dependency between classes.
    fn learn(&mut self, step: Step<ClassId>, witness: Witness, outcome: &mut Outcome) {
        match self.classes.insert(step.outer, step.inner, step.kind, witness) {
            Inserted::Known => {
                if self.offer(step, witness) {
                    outcome.regraded.extend(self.closed_through(step));
                }
            }
            Inserted::New => {
                self.kept += 1;
                outcome.learnt.push((step, witness));
            }
            Inserted::Closes(cycle) => {
                self.kept += 1;
                outcome.learnt.push((step, witness));
                self.cycles.insert(step, cycle.clone());
                cycle.iter().for_each(|part| self.closers.entry(*part).or_default().push(step));
                outcome.violations.push(Violation::Cycle(cycle));
            }
            Inserted::KnownToClose => {
                if self.offer(step, witness) {
                    outcome.regraded.extend(self.closed_through(step));
                }
                outcome.violations.push(Violation::Cycle(self.cycles[&step].clone()));
            }
        }
        outcome.violations.extend(self.usage.dependency(step, witness, &self.traits, &self.sets));
    }

    /// Returns the cycles that were found and that lead through this dependency.
    fn closed_through(&self, step: Step<ClassId>) -> impl Iterator<Item = Violation> {
        let closers = self.closers.get(&step).into_iter().flatten();
        closers.map(|closer| Violation::Cycle(self.cycles[closer].clone()))
    }

    fn offer(&mut self, step: Step<ClassId>, witness: Witness) -> bool {
        let witnesses = self.classes.witnesses_mut(step.outer, step.inner);
        let taken = witnesses.is_some_and(|mut witnesses| offer(&mut witnesses, step.kind, witness, &self.sets));
        self.kept += u64::from(taken);
        taken
    }

    /// Says that locks of this class gate a finding. From now on no acquisition under such a lock counts as proven, since
    /// another lock of the class would be no gate. Returns whether that is news: what was proven before is not, then.
    pub fn doubt_gate(&mut self, class: ClassId) -> bool {
        self.gates.insert(class)
    }

    /// Judges the release of a lock.
    pub fn release(&self, held: &HeldStack, instance: u64) -> Option<Violation> {
        check::lifetime::release(held, instance)
    }

    /// Judges the end of a lock's memory, or a new beginning of it.
    pub fn free(&self, held: &HeldStack, instance: u64) -> Option<Violation> {
        check::lifetime::free(held, instance)
    }

    /// Judges the end of the thread.
    pub fn exit(&self, held: &HeldStack) -> Option<Violation> {
        check::lifetime::exit(held)
    }

    /// Judges the assertion that the thread holds a lock, in this way if one is named.
    pub fn assert_held(&self, held: &HeldStack, instance: u64, hold: Option<HoldKind>) -> Option<Violation> {
        check::lifetime::assert_held(held, instance, hold)
    }

    /// Judges a writer's turning into a reader.
    pub fn downgrade(&self, held: &HeldStack, instance: u64) -> Option<Violation> {
        check::lifetime::downgrade(held, instance)
    }

    /// Judges a suspension of the task, as at an await point.
    pub fn await_point(&self, held: &HeldStack) -> Option<Violation> {
        check::await_point(held, &self.traits)
    }

    /// Returns the account of spawns and joins.
    pub fn segments_mut(&mut self) -> &mut Segments {
        &mut self.segments
    }

    /// Returns how near a finding is to happening.
    pub fn grade(&self, violation: &Violation) -> Graded {
        let witnesses: Vec<Vec<Witness>> = match violation {
            Violation::Cycle(steps) => steps.iter().map(|step| witnesses(&self.classes, step)).collect(),
            Violation::InstanceCycle(class, steps) => {
                let Some(graph) = self.instances(*class) else { return Graded::FACT };
                steps.iter().map(|step| witnesses(graph, step)).collect()
            }
            // The interrupted thread is the handler's: who is inside a context is nobody else.
            Violation::ContextCycle { steps, .. } => {
                let Some(graph) = self.usage.graph() else { return Graded::FACT };
                let by_threads = steps.iter().filter(|step| matches!(step.outer, UsageNode::Class(_)));
                by_threads.map(|step| witnesses(graph, step)).collect()
            }
            _ => return Graded::FACT,
        };
        grade::grade(&witnesses, &self.sets, &self.segments)
    }

    /// Returns what has been done so far.
    pub fn counts(&self) -> Counts {
        Counts {
            judged: self.judged,
            deepest: self.deepest,
            searches: self.classes.searches(),
            within_classes: self.instances.values().map(|instances| instances.graph().len()).sum(),
            usages: self.usage.graph().map_or(0, DependencyGraph::len),
        }
    }

    /// Returns the graph of classes and contexts, if any context was ever met.
    pub fn usage(&self) -> Option<&DependencyGraph<UsageNode, Witness>> {
        self.usage.graph()
    }

    /// Returns the graph of dependencies between classes.
    pub fn dependencies(&self) -> &DependencyGraph<ClassId, Witness> {
        &self.classes
    }

    /// Returns the graph of dependencies between the locks of a class whose locks have ever nested.
    pub fn instances(&self, class: ClassId) -> Option<&DependencyGraph<u64, Witness>> {
        self.instances.get(&class).map(Instances::graph)
    }

    /// Returns how many locks have had their place within their class forgotten, to bound memory.
    pub fn forgotten_instances(&self) -> u64 {
        self.forgotten_instances
    }

    /// Checks the invariants of everything inside.
    ///
    /// # Panics
    ///
    /// If one is broken: a bug of this crate.
    pub fn check_invariants(&self) {
        self.classes.check_invariants();
        self.instances.values().for_each(Instances::check_invariants);
        self.usage.graph().into_iter().for_each(DependencyGraph::check_invariants);
        self.sets.check_invariants();
        for (step, cycle) in &self.cycles {
            assert_eq!(cycle.first(), Some(step), "a cycle begins with the dependency that closed it");
        }
    }
}

/// Held locks, one of each class and way of holding it: those make one dependency, and witnesses of it that differ in
/// nothing that counts. Few, as a rule, however many are held.
#[derive(Default)]
struct Alike(SmallVec<[HeldLock; 8]>);

impl Alike {
    fn add(&mut self, lock: HeldLock) {
        let is_alike = |other: &HeldLock| other.class() == lock.class() && other.hold() == lock.hold();
        // Where there are many kinds, it does not matter that some are there twice.
        if !self.0.iter().rev().take(self.0.inline_size()).any(is_alike) {
            self.0.push(lock);
        }
    }
}

/// Returns the witnesses of a step.
fn witnesses<K: Copy + Eq + std::hash::Hash + std::fmt::Debug>(
    graph: &DependencyGraph<K, Witness>,
    step: &Step<K>,
) -> Vec<Witness> {
    graph.witnesses(step.outer, step.inner, step.kind).copied().collect()
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
