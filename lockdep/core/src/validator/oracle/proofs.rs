//! What a proof spares, on random histories: a validator that is not asked again about what it has proven says the same as
//! one that is asked each time. Locks of a class come and go here until some have to be forgotten, others go on nesting.

use std::collections::BTreeSet;

use super::{OPERATIONS, Random, THREADS};
use crate::{
    held::{Acquired, Point},
    mode::Mode,
    validator::*,
};

/// One class learns the order of its locks; the others have a lock each.
const CLASSES: u64 = 3;

/// Asks about what is not proven.
#[derive(Default)]
struct Sparing {
    validator: Validator,
    proven: [BTreeSet<Point>; THREADS],
    exact: [BTreeSet<Point>; THREADS],
    spared: u64,
    crowded: u64,
}

impl Sparing {
    fn acquire(&mut self, actor: usize, held: &HeldStack, request: &Request) -> Option<Outcome> {
        let exact = held.point_within(request.how.class(), request.instance, request.point);
        let known = self.proven[actor].contains(&request.point)
            || exact.is_some_and(|exact| self.exact[actor].contains(&exact));
        if known {
            self.spared += u64::from(exact.is_some());
            return None;
        }
        let outcome = self.validator.acquire(held, request);
        match outcome.proof {
            Proof::Chain => drop(self.proven[actor].insert(request.point)),
            Proof::Locks => drop(self.exact[actor].insert(exact.expect("it nests within its class"))),
            Proof::None => {}
        }
        if outcome.crowded {
            (self.proven, self.exact) = Default::default();
            self.crowded += 1;
        }
        Some(outcome)
    }
}

/// What became of a history.
#[derive(Debug, Default)]
struct Counts {
    spared: u64,
    crowded: u64,
    forgotten: u64,
    broken: u64,
}

struct History {
    random: Random,
    sparing: Sparing,
    asking: Validator,
    stacks: [HeldStack; THREADS],
    /// How often, of a hundred times, a lock of the class is replaced; in some histories never.
    drift: u64,
    oldest: u64,
    broken: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let learnt = ClassTraits { same_class: SameClass::Learnt, ..ClassTraits::default() };
        let mut random = Random(seed ^ 0x7072_6f6f);
        let (mut sparing, mut asking) = (Sparing::default(), Validator::new());
        sparing.validator.declare(ClassId::new(0), learnt);
        asking.declare(ClassId::new(0), learnt);
        let drift = random.below(4) * 4;
        Self { random, sparing, asking, stacks: Default::default(), drift, oldest: 10, broken: 0 }
    }

    /// A lock of the class that learns: one of few that stay, or of those that there are now.
    fn lock(&mut self) -> u64 {
        self.oldest += u64::from(self.random.below(100) < self.drift);
        if self.random.below(2) == 0 { 1 + self.random.below(3) } else { self.oldest + self.random.below(3) }
    }

    fn acquire(&mut self, actor: usize, class: u64, instance: u64) {
        let held = &self.stacks[actor];
        if held.find(instance).is_some() {
            return;
        }
        let mode = if self.random.below(6) == 0 { Mode::Shared } else { Mode::Exclusive };
        let how = Acquired::new(ClassId::new(class as u32), mode, self.random.below(10) == 0);
        let point = held.key_with(how).at(1);
        let request = Request { thread: actor as u32 + 1, ..Request::new(how, instance, point) };
        let expected = self.asking.acquire(held, &request);
        let found = self.sparing.acquire(actor, held, &request);
        let violations = found.map(|outcome| outcome.violations).unwrap_or_default();
        assert_eq!(violations, expected.violations);
        for violation in &violations {
            assert_eq!(self.sparing.validator.grade(violation), self.asking.grade(violation));
        }
        assert_eq!(self.sparing.validator.forgotten_instances(), self.asking.forgotten_instances());
        self.broken += u64::from(!violations.is_empty());
        held.push(how, instance, point);
    }

    /// A thread takes two or three locks of the class, mostly in order, perhaps under one of another class, and lets go.
    fn step(&mut self) {
        let actor = self.random.below(THREADS as u64) as usize;
        let outer = self.random.below(CLASSES);
        if outer > 0 {
            self.acquire(actor, outer, 1_000_000 + outer);
        }
        let mut locks = [self.lock(), self.lock(), self.lock()];
        if self.random.below(40) > 0 {
            locks.sort_unstable();
        }
        for lock in &locks[self.random.below(2) as usize..] {
            self.acquire(actor, 0, *lock);
        }
        let held = &self.stacks[actor];
        while let Some(lock) = held.get(0) {
            held.release(lock.instance());
        }
    }
}

fn run(seed: u64) -> Counts {
    let mut history = History::new(seed);
    (0..3 * OPERATIONS).for_each(|_| history.step());
    history.sparing.validator.check_invariants();
    Counts {
        spared: history.sparing.spared,
        crowded: history.sparing.crowded,
        forgotten: u64::from(history.asking.forgotten_instances() > 0),
        broken: history.broken,
    }
}

fn compare(histories: u64, first: u64) {
    let mut all = Counts::default();
    for seed in first..first + histories {
        let Ok(counts) = std::panic::catch_unwind(|| run(seed)) else { panic!("history {seed}") };
        all.spared += counts.spared;
        all.crowded += counts.crowded;
        all.forgotten += counts.forgotten;
        all.broken += counts.broken;
    }
    println!("oracle of proofs: {histories} histories agree: {all:?}");
    let enough = [all.spared, all.crowded, all.forgotten, all.broken].iter().all(|count| *count > histories / 10);
    assert!(enough, "the histories are one-sided: {all:?}");
}

#[test]
fn what_is_proven_need_not_be_asked_again() {
    compare(500, 0);
}

#[test]
#[ignore = "long: 100,000 histories"]
fn oracle_compares_a_hundred_thousand_histories_of_proofs() {
    compare(100_000, 1_000_000);
}
