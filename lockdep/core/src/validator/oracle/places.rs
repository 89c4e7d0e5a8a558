//! Locks within their classes, on random histories: the order of instances, ranks, nest locks; wait types, classes that are
//! not checked, acquisitions that only wait.
//!
//! The twin keeps every pair (held, wanted), of classes and of the locks of one class, and looks for closed strong walks
//! from scratch. Everything else it reads off the list of what a thread holds.

use std::collections::BTreeSet;

use super::{CLASSES, OPERATIONS, Random, THREADS};
use crate::{
    context::{WaitType, WaitTypes},
    held::{Acquired, Point},
    mode::Mode,
    validator::*,
};

/// How many locks each class has.
const LOCKS: u64 = 4;

/// What is wrong with an acquisition, by definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Findings {
    recursion: bool,
    declared_order: bool,
    instance_order: bool,
    nest_not_held: bool,
    wait_type: bool,
    cycle: bool,
}

/// A lock that a thread holds.
#[derive(Clone, Copy)]
struct Lock {
    class: usize,
    instance: u64,
    mode: Mode,
    rank: Option<u64>,
}

/// A pair that ever was: outer, inner, hold, wait.
type Fact = (u64, u64, usize, usize);

/// Returns whether some closed walk over these facts can block.
fn closes(facts: &BTreeSet<Fact>) -> bool {
    let goes_on = |a: &Fact, b: &Fact| a.1 == b.0 && HoldKind::ALL[b.2].blocks(WaitKind::ALL[a.3]);
    facts.iter().any(|start| {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for next in facts.iter().filter(|next| goes_on(at, next)) {
                if next == start {
                    return true;
                }
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    })
}

struct History {
    validator: Validator,
    random: Random,
    traits: Vec<ClassTraits>,
    stacks: [HeldStack; THREADS],
    held: [Vec<Lock>; THREADS],
    between_classes: BTreeSet<Fact>,
    within_classes: BTreeSet<Fact>,
}

/// An order that is none of sizes: even ranks before odd ones.
fn halves(outer: u64, inner: u64) -> bool {
    outer % 2 < inner % 2
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed ^ 0x7061_6c63);
        let mut validator = Validator::new();
        // Most histories know no wait types, so that they get further.
        let waits = random.below(4) == 0;
        let traits: Vec<ClassTraits> = (0..CLASSES as u32)
            .map(|class| {
                let level = |random: &mut Random| {
                    random.pick(&[None, Some(WaitType::Spin), Some(WaitType::Sleep), Some(WaitType::Sleep)])
                };
                let wait = if waits {
                    WaitTypes { outer: level(&mut random), inner: level(&mut random) }
                } else {
                    WaitTypes::UNCHECKED
                };
                let orders = [SameClass::Forbidden, SameClass::Learnt, SameClass::ByRank, SameClass::Compared];
                let same_class = random.pick(&orders);
                let checking = if random.below(8) == 0 { Checking::StackOnly } else { Checking::Full };
                let traits = ClassTraits { wait, checking, same_class, per_cpu: false };
                validator.declare(ClassId::new(class), traits);
                traits
            })
            .collect();
        Self {
            validator,
            random,
            traits,
            stacks: Default::default(),
            held: Default::default(),
            between_classes: BTreeSet::new(),
            within_classes: BTreeSet::new(),
        }
    }

    fn request(&mut self, actor: usize) -> (Lock, Request) {
        // What ends a history at once comes seldom, so that others get further.
        let innermost = self.held[actor].last().map(|lock| (lock.class, lock.instance));
        let nests = |class: usize, seldom: bool| match self.traits[class].same_class {
            SameClass::Forbidden => seldom,
            SameClass::Learnt | SameClass::ByRank | SameClass::Compared => true,
        };
        let seldom = self.random.below(12) == 0;
        let known = innermost.filter(|&(class, _)| self.random.below(2) == 0 && nests(class, seldom));
        let mut class = known.map_or_else(|| self.random.below(CLASSES) as usize, |(class, _)| class);
        let is_held = |class| self.held[actor].iter().any(|held| held.class == class);
        if is_held(class) && !nests(class, seldom) {
            class = (class + 1) % CLASSES as usize;
        }
        let mut instance = class as u64 * LOCKS + self.random.below(LOCKS) + 1;
        let unwelcome = |instance| {
            let same = |held: &&Lock| held.class == class;
            self.held[actor].iter().filter(same).any(|held| match self.traits[class].same_class {
                SameClass::ByRank => held.instance >= instance,
                SameClass::Compared => !halves(held.instance, instance),
                _ => held.instance == instance,
            })
        };
        while !seldom && unwelcome(instance) && !instance.is_multiple_of(LOCKS) {
            instance += 1;
        }
        let mode = self.random.pick(&[Mode::Exclusive, Mode::Exclusive, Mode::Shared, Mode::SharedRecursive]);
        let trylock = self.random.below(6) == 0;
        let how = Acquired::new(ClassId::new(class as u32), mode, trylock);
        let rank = (self.random.below(30) != 0).then_some(instance);
        let nest = match self.random.below(4) {
            0 if !self.held[actor].is_empty() => {
                let index = self.random.below(self.held[actor].len() as u64) as usize;
                Some(self.held[actor][index].instance)
            }
            1 if self.random.below(20) == 0 => Some(self.random.below(CLASSES * LOCKS) + 1),
            _ => None,
        };
        let sync = !trylock && self.random.below(8) == 0;
        (
            Lock { class, instance, mode, rank },
            Request { rank, precedes: Some(halves), nest, sync, ..Request::new(how, instance, Point::new(1)) },
        )
    }

    /// Returns what is wrong with the acquisition by definition, and keeps what it teaches.
    fn judge(&mut self, actor: usize, lock: Lock, request: &Request) -> Findings {
        let held = &self.held[actor];
        let traits = self.traits[lock.class];
        let mut findings = Findings::default();
        if !request.how.is_trylock() {
            let allowed = held.iter().filter_map(|held| self.traits[held.class].wait.inner).min();
            let needs = traits.wait.outer.or(traits.wait.inner);
            findings.wait_type = needs.zip(allowed).is_some_and(|(needs, allowed)| needs > allowed);
        }
        if traits.checking == Checking::StackOnly {
            return findings;
        }
        findings.nest_not_held = request.nest.is_some_and(|nest| held.iter().all(|held| held.instance != nest));
        if request.how.is_trylock() {
            return findings;
        }
        let wait = request.wait;
        for (depth, outer) in held.iter().enumerate().rev() {
            let fact = |from, to| (from, to, outer.mode.hold() as usize, wait as usize);
            if outer.class != lock.class {
                if self.traits[outer.class].checking == Checking::Full {
                    self.between_classes.insert(fact(outer.class as u64, lock.class as u64));
                }
                continue;
            }
            // Nothing is asked of a lock below one that must not be there at all.
            if !outer.mode.hold().blocks(wait) || findings.recursion || findings.declared_order {
                continue;
            }
            if outer.instance == lock.instance {
                findings.recursion = true;
            } else if !request.nest.is_some_and(|nest| held[..depth].iter().any(|held| held.instance == nest)) {
                match traits.same_class {
                    SameClass::Learnt => drop(self.within_classes.insert(fact(outer.instance, lock.instance))),
                    SameClass::Forbidden => findings.recursion = true,
                    SameClass::ByRank => {
                        findings.declared_order = outer.rank.zip(lock.rank).is_none_or(|(outer, inner)| outer >= inner);
                    }
                    SameClass::Compared => {
                        let ranks = outer.rank.zip(lock.rank);
                        findings.declared_order = ranks.is_none_or(|(outer, inner)| !halves(outer, inner));
                    }
                }
            }
        }
        findings.instance_order = closes(&self.within_classes);
        findings.cycle = closes(&self.between_classes);
        findings
    }

    /// Does one operation. Returns what the validator says of it and what the definition does.
    fn step(&mut self) -> (Findings, Findings) {
        let actor = self.random.below(THREADS as u64) as usize;
        if self.random.below(4) == 0 {
            let held = &mut self.held[actor];
            if !held.is_empty() {
                let lock = held.remove(self.random.below(held.len() as u64) as usize);
                assert!(self.stacks[actor].release(lock.instance).is_some());
            }
            return Default::default();
        }
        let (lock, request) = self.request(actor);
        // A lock is held once by a thread, so that a release tells which.
        if request.how.is_trylock() && self.stacks[actor].find(lock.instance).is_some() {
            return Default::default();
        }
        let violations = self.validator.acquire(&self.stacks[actor], &request).violations;
        let expected = self.judge(actor, lock, &request);
        let has = |test: fn(&Violation) -> bool| violations.iter().any(test);
        let found = Findings {
            recursion: has(|violation| matches!(violation, Violation::Recursion { .. })),
            declared_order: has(|violation| matches!(violation, Violation::DeclaredOrder(_))),
            instance_order: has(|violation| matches!(violation, Violation::InstanceCycle(..))),
            nest_not_held: has(|violation| violation.code() == Code::NestNotHeld),
            wait_type: has(|violation| matches!(violation, Violation::WaitType { .. })),
            cycle: has(|violation| matches!(violation, Violation::Cycle(_))),
        };
        if !request.sync {
            let stack = &self.stacks[actor];
            if stack.find(lock.instance).is_none() {
                stack.push(request.how, lock.instance, request.point);
                request.rank.into_iter().for_each(|rank| stack.set_rank(lock.instance, rank));
                self.held[actor].push(lock);
            }
        }
        (found, expected)
    }

    /// Runs until the first finding. Returns it.
    fn run(&mut self) -> Findings {
        for _ in 0..OPERATIONS {
            let (found, expected) = self.step();
            assert_eq!(found, expected);
            if found != Findings::default() {
                return found;
            }
        }
        Findings::default()
    }
}

fn compare(histories: u64, first: u64) {
    let mut counts = [0u64; 7];
    for seed in first..first + histories {
        let mut history = History::new(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history.run()));
        let Ok(found) = result else { panic!("history {seed}") };
        history.validator.check_invariants();
        let Findings { recursion, declared_order, instance_order, nest_not_held, wait_type, cycle } = found;
        let made = [recursion, declared_order, instance_order, nest_not_held, wait_type, cycle];
        for (count, made) in counts.iter_mut().zip(made.into_iter().chain([found == Findings::default()])) {
            *count += u64::from(made);
        }
    }
    let [recursion, declared, instances, nest, wait, cycle, clean] = counts;
    println!(
        "oracle of places: {histories} histories agree ({recursion} with a recursion, {declared} against a declared order, \
         {instances} with an order of instances broken, {nest} without a nest lock, {wait} with a wait of the wrong type, \
         {cycle} with a cycle, {clean} clean)"
    );
    assert!(counts.iter().all(|count| *count > histories / 200), "the histories are one-sided: {counts:?}");
}

#[test]
fn two_thousand_histories_are_judged_as_the_definition_says() {
    compare(2000, 0);
}

#[test]
#[ignore = "long: 100,000 histories"]
fn oracle_compares_a_hundred_thousand_histories_of_places() {
    compare(100_000, 1_000_000);
}
