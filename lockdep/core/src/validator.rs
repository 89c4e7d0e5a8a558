//! [`Validator`]: one acquisition in, what it teaches and what it breaks out. The only door to the rules.
//!
//! The validator knows classes and threads by number only. Who wants words gives it an
//! [`Evidence`](crate::explain::Evidence).

use rustc_hash::FxHashMap;

use crate::{
    check::{Nesting, nesting, relevant},
    class::ClassId,
    graph::{DependencyGraph, Inserted, Step},
    held::{Acquired, HeldLock, HeldStack, Point},
    mode::{DependencyKind, Mode, WaitKind},
};

/// How many instances of one class have their order remembered. When there are more, the order among them is forgotten
/// and learnt anew; what is known of the class itself stays.
const INSTANCES_MAX: usize = 4096;

/// An acquisition that a thread is about to make.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Class, mode and trylock.
    pub how: Acquired,
    /// What it waits for; [`Mode::wait`] of the mode unless it is an upgrade.
    pub wait: WaitKind,
    /// The identity of the lock.
    pub instance: u64,
    /// Where the thread is.
    pub point: Point,
    /// Whether locks of this class may nest in an order of their own (a class made of a construction site).
    pub orders_instances: bool,
    /// The thread, by its number.
    pub thread: u32,
    /// The span it is in, by its number.
    pub span: u32,
}

/// Who made a dependency, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Where the outer lock had been acquired.
    pub outer: Point,
    /// Where the inner lock was acquired.
    pub inner: Point,
    /// The mode in which the outer lock was held.
    pub outer_mode: Mode,
    /// The mode in which the inner lock was acquired.
    pub inner_mode: Mode,
    /// Whether the outer lock had been trylocked (or had changed its mode).
    pub outer_trylock: bool,
    /// The thread.
    pub thread: u32,
    /// The span.
    pub span: u32,
}

impl Witness {
    fn of(outer: &HeldLock, request: &Request) -> Self {
        Self {
            outer: outer.point(),
            inner: request.point,
            outer_mode: outer.mode(),
            inner_mode: request.how.mode(),
            outer_trylock: outer.how().is_trylock(),
            thread: request.thread,
            span: request.span,
        }
    }
}

/// A rule that an acquisition breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It closes a strong cycle of dependencies between classes. The first step is the new one.
    Cycle(Vec<Step<ClassId>>),
    /// It closes a strong cycle of dependencies between the locks of one class. The first step is the new one.
    InstanceCycle(ClassId, Vec<Step<u64>>),
    /// The thread holds a lock of the class already.
    Recursion {
        /// That lock.
        held: HeldLock,
        /// Whether it is the very lock that is wanted.
        same_instance: bool,
    },
}

impl Violation {
    /// Returns whether the thread would wait for itself for certain.
    pub const fn is_certain(&self) -> bool {
        matches!(self, Self::Recursion { same_instance: true, .. })
    }
}

/// What an acquisition teaches and breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Dependencies between classes that are new, or new in their kind.
    pub learnt: Vec<(Step<ClassId>, Witness)>,
    /// What is broken. A cycle that was found before is there again, each time.
    pub violations: Vec<Violation>,
    /// Whether the same acquisition on the same chain need not be checked again, ever.
    pub proven: bool,
}

/// Everything learnt from a history of acquisitions, and the rules.
///
/// ```
/// use lockdep_core::{Acquired, ClassId, HeldStack, Mode, Point, Request, Validator, Violation};
///
/// let request = |class: u32| Request {
///     how: Acquired::new(ClassId::new(class), Mode::Exclusive, false),
///     wait: Mode::Exclusive.wait(),
///     instance: u64::from(class),
///     point: Point::new(1),
///     orders_instances: false,
///     thread: 0,
///     span: 0,
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
    instances: FxHashMap<ClassId, DependencyGraph<u64, Witness>>,
    cycles: FxHashMap<Step<ClassId>, Vec<Step<ClassId>>>,
    instance_cycles: FxHashMap<(ClassId, Step<u64>), Vec<Step<u64>>>,
    forgotten_instances: u64,
}

impl Validator {
    /// A validator that has learnt nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges an acquisition by a thread that holds `held`, and learns from it. The lock is not pushed.
    pub fn acquire(&mut self, held: &HeldStack, request: &Request) -> Outcome {
        let mut outcome = Outcome { proven: true, ..Outcome::default() };
        if request.how.is_trylock() {
            return outcome;
        }
        self.check_nesting(held, request, &mut outcome);
        self.check_order(held, request, &mut outcome);
        outcome.proven &= outcome.violations.is_empty();
        outcome
    }

    fn check_nesting(&mut self, held: &HeldStack, request: &Request, outcome: &mut Outcome) {
        let class = request.how.class();
        for (lock, nesting) in nesting(held, class, request.instance, request.wait) {
            // What holds for these two locks need not hold for two others on the same chain.
            outcome.proven = false;
            match nesting {
                Nesting::Harmless => {}
                Nesting::OtherInstance if request.orders_instances => {
                    outcome.violations.extend(self.order_instances(lock, request));
                }
                Nesting::SameInstance | Nesting::OtherInstance => {
                    let same_instance = nesting == Nesting::SameInstance;
                    outcome.violations.push(Violation::Recursion { held: *lock, same_instance });
                    return;
                }
            }
        }
    }

    fn order_instances(&mut self, lock: &HeldLock, request: &Request) -> Option<Violation> {
        let class = request.how.class();
        let graph = self.instances.entry(class).or_default();
        if graph.node_count() > INSTANCES_MAX {
            self.forgotten_instances += graph.node_count() as u64;
            *graph = DependencyGraph::new();
            self.instance_cycles.retain(|(other, _), _| *other != class);
        }
        let kind = DependencyKind { hold: lock.hold(), wait: request.wait };
        let step = Step { outer: lock.instance(), inner: request.instance, kind };
        let cycle = match graph.insert(step.outer, step.inner, kind, Witness::of(lock, request)) {
            Inserted::Known | Inserted::New => return None,
            Inserted::Closes(cycle) => self.instance_cycles.entry((class, step)).or_insert(cycle).clone(),
            Inserted::KnownToClose => self.instance_cycles.get(&(class, step))?.clone(),
        };
        Some(Violation::InstanceCycle(class, cycle))
    }

    fn check_order(&mut self, held: &HeldStack, request: &Request, outcome: &mut Outcome) {
        let inner = request.how.class();
        let outer_locks: Vec<&HeldLock> = match request.wait {
            // What is held above the lock that is upgraded was acquired under it; nothing is implied.
            WaitKind::Upgrade => held.iter().rev().filter(|lock| lock.instance() != request.instance).collect(),
            _ => relevant(held).collect(),
        };
        for lock in outer_locks.into_iter().filter(|lock| lock.class() != inner) {
            let kind = DependencyKind { hold: lock.hold(), wait: request.wait };
            let step = Step { outer: lock.class(), inner, kind };
            let witness = Witness::of(lock, request);
            match self.classes.insert(step.outer, inner, kind, witness) {
                Inserted::Known => {}
                Inserted::New => outcome.learnt.push((step, witness)),
                Inserted::Closes(cycle) => {
                    outcome.learnt.push((step, witness));
                    self.cycles.insert(step, cycle.clone());
                    outcome.violations.push(Violation::Cycle(cycle));
                }
                Inserted::KnownToClose => outcome.violations.push(Violation::Cycle(self.cycles[&step].clone())),
            }
        }
    }

    /// Returns the graph of dependencies between classes.
    pub fn dependencies(&self) -> &DependencyGraph<ClassId, Witness> {
        &self.classes
    }

    /// Returns the graph of dependencies between the locks of a class whose locks have ever nested.
    pub fn instances(&self, class: ClassId) -> Option<&DependencyGraph<u64, Witness>> {
        self.instances.get(&class)
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
        self.instances.values().for_each(DependencyGraph::check_invariants);
        for (step, cycle) in &self.cycles {
            assert_eq!(cycle.first(), Some(step), "a cycle begins with the dependency that closed it");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLASSES: u32 = 6;
    const THREADS: usize = 3;

    #[derive(Clone, Debug)]
    enum Op {
        Acquire { thread: usize, class: u32, mode: Mode, trylock: bool },
        Release { thread: usize, index: usize },
    }

    fn op() -> impl Strategy<Value = Op> {
        let mode = prop::sample::select(Mode::ALL.to_vec());
        prop_oneof![
            3 => (0..THREADS, 0..CLASSES, mode, prop::bool::weighted(0.2))
                .prop_map(|(thread, class, mode, trylock)| Op::Acquire { thread, class, mode, trylock }),
            1 => (0..THREADS, any::<usize>()).prop_map(|(thread, index)| Op::Release { thread, index }),
        ]
    }

    fn request(class: u32, mode: Mode, trylock: bool) -> Request {
        Request {
            how: Acquired::new(ClassId::new(class), mode, trylock),
            wait: mode.wait(),
            instance: u64::from(class) + 1,
            point: Point::new(1),
            orders_instances: false,
            thread: 0,
            span: 0,
        }
    }

    /// The twin: every pair (held, wanted) that ever was, and the definition of a strong cycle.
    #[derive(Default)]
    struct Twin {
        held: [Vec<(u32, Mode)>; THREADS],
        pairs: Vec<Step<u32>>,
    }

    impl Twin {
        fn has_strong_cycle(&self) -> bool {
            self.pairs.iter().any(|first| {
                let mut reached = vec![(first.inner, first.kind.wait)];
                let mut next = 0;
                while let Some(&(class, wait)) = reached.get(next) {
                    next += 1;
                    if class == first.outer && first.kind.hold.blocks(wait) {
                        return true;
                    }
                    for pair in self.pairs.iter().filter(|pair| pair.outer == class && pair.kind.hold.blocks(wait)) {
                        let state = (pair.inner, pair.kind.wait);
                        if !reached.contains(&state) {
                            reached.push(state);
                        }
                    }
                }
                false
            })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        /// Up to the first report, the validator knows of a strong cycle exactly when there is one, although it records
        /// only some of the pairs.
        #[test]
        fn a_history_is_reported_exactly_when_it_has_a_strong_cycle(ops in prop::collection::vec(op(), 0..60)) {
            let mut validator = Validator::new();
            let mut stacks: [HeldStack; THREADS] = Default::default();
            let mut twin = Twin::default();
            for op in ops {
                match op {
                    Op::Acquire { thread, class, mode, trylock } => {
                        if twin.held[thread].iter().any(|held| held.0 == class) {
                            continue;
                        }
                        let request = request(class, mode, trylock);
                        let broken = !validator.acquire(&stacks[thread], &request).violations.is_empty();
                        if !trylock {
                            let step = |&(outer, held): &(u32, Mode)| {
                                let kind = DependencyKind { hold: held.hold(), wait: mode.wait() };
                                Step { outer, inner: class, kind }
                            };
                            let pairs: Vec<_> = twin.held[thread].iter().map(step).collect();
                            twin.pairs.extend(pairs);
                        }
                        prop_assert_eq!(broken, twin.has_strong_cycle());
                        validator.check_invariants();
                        if broken {
                            return Ok(());
                        }
                        stacks[thread].push(request.how, request.instance, request.point);
                        twin.held[thread].push((class, mode));
                    }
                    Op::Release { thread, index } => {
                        let held = &mut twin.held[thread];
                        if !held.is_empty() {
                            let (class, _) = held.remove(index % held.len());
                            prop_assert!(stacks[thread].release(u64::from(class) + 1).is_some());
                        }
                    }
                }
            }
        }
    }

    /// Runs one thread's nested acquisitions of (class, instance) and returns the violations.
    fn nest(validator: &mut Validator, locks: &[(u32, u64)], orders_instances: bool) -> Vec<Violation> {
        let mut held = HeldStack::new();
        let mut violations = Vec::new();
        for &(class, instance) in locks {
            let request = Request { instance, orders_instances, ..request(class, Mode::Exclusive, false) };
            violations.extend(validator.acquire(&held, &request).violations);
            held.push(request.how, instance, request.point);
        }
        violations
    }

    #[test]
    fn two_locks_of_an_explicit_class_may_not_nest() {
        let mut validator = Validator::new();
        let violations = nest(&mut validator, &[(1, 10), (1, 11)], false);
        assert!(matches!(violations[..], [Violation::Recursion { same_instance: false, .. }]));
    }

    #[test]
    fn locks_of_one_construction_site_may_nest_in_one_order() {
        let mut validator = Validator::new();
        assert_eq!(nest(&mut validator, &[(1, 10), (1, 11), (1, 12)], true), []);
        assert_eq!(nest(&mut validator, &[(1, 10), (1, 12)], true), []);
        let violations = nest(&mut validator, &[(1, 12), (1, 10)], true);
        assert!(matches!(&violations[..], [Violation::InstanceCycle(_, cycle)] if cycle.len() == 2));
        assert!(nest(&mut validator, &[(1, 10), (1, 10)], true)[0].is_certain());
    }

    #[test]
    fn forgetting_instances_does_not_forget_the_class() {
        let mut validator = Validator::new();
        assert_eq!(nest(&mut validator, &[(1, 0), (2, 1)], true), []);
        for pair in 0..INSTANCES_MAX as u64 {
            assert_eq!(nest(&mut validator, &[(1, 2 * pair + 10), (1, 2 * pair + 11)], true), []);
        }
        assert!(validator.forgotten_instances() > 0);
        let violations = nest(&mut validator, &[(2, 1), (1, 0)], true);
        assert!(matches!(violations[..], [Violation::Cycle(_)]));
    }

    #[test]
    fn a_known_cycle_is_told_again_and_everything_else_goes_on() {
        let mut validator = Validator::new();
        assert_eq!(nest(&mut validator, &[(1, 1), (2, 2)], false), []);
        let first = nest(&mut validator, &[(2, 2), (1, 1)], false);
        assert_eq!(first.len(), 1);
        assert_eq!(nest(&mut validator, &[(2, 2), (1, 1)], false), first);
        assert_eq!(nest(&mut validator, &[(3, 3), (1, 1)], false), []);
        assert_eq!(nest(&mut validator, &[(1, 1), (3, 3)], false).len(), 1);
    }
}
