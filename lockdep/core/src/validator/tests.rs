use proptest::prelude::*;

use super::*;
use crate::{
    held::{Acquired, Point},
    mode::Mode,
};

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
    let how = Acquired::new(ClassId::new(class), mode, trylock);
    Request::new(how, u64::from(class) + 1, Point::new(1))
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
        let stacks: [HeldStack; THREADS] = Default::default();
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
    let held = HeldStack::new();
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
    for pair in 0..crate::instances::MAX as u64 {
        assert_eq!(nest(&mut validator, &[(1, 2 * pair + 10), (1, 2 * pair + 11)], true), []);
    }
    assert!(validator.forgotten_instances() > 0);
    let violations = nest(&mut validator, &[(2, 1), (1, 0)], true);
    assert!(matches!(violations[..], [Violation::Cycle(_)]));
}

/// Nests two locks by a thread under others. Returns the outcome of the inner acquisition.
fn nest_by(validator: &mut Validator, thread: u32, locks: &[u32]) -> Outcome {
    let held = HeldStack::new();
    let mut outcome = Outcome::default();
    for &class in locks {
        let request = Request { thread, ..request(class, Mode::Exclusive, false) };
        outcome = validator.acquire(&held, &request);
        held.push(request.how, request.instance, request.point);
    }
    outcome
}

#[test]
fn a_witness_of_what_closes_one_cycle_lifts_the_others_that_lead_through_it() {
    let mut validator = Validator::new();
    const GATE: u32 = 0;
    nest_by(&mut validator, 1, &[GATE, 1, 2]);
    nest_by(&mut validator, 2, &[GATE, 2, 1]); // closes 1 -> 2 -> 1
    nest_by(&mut validator, 3, &[GATE, 1, 3]);
    let closed = nest_by(&mut validator, 4, &[GATE, 3, 2]).violations; // closes 3 -> 2 -> 1 -> 3
    let [Violation::Cycle(steps)] = &closed[..] else { panic!("{closed:?}") };
    assert_eq!((steps.len(), validator.grade(&closed[0]).grade), (3, crate::Grade::Gated));
    let outcome = nest_by(&mut validator, 5, &[2, 1]); // without the gate
    assert!(outcome.regraded.contains(&closed[0]), "{outcome:?}");
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
