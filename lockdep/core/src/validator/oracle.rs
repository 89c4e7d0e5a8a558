//! The validator against the definition, on random histories.
//!
//! The oracle keeps every fact: who was wanted while whom was held, who was held while a context was enabled, who was
//! wanted inside one. It keeps no order, no cache, no shortcut through covering locks. After each operation it looks at
//! all closed walks over facts, by a plain closure: fact `a` goes on in fact `b` if `b` starts where `a` ends and the
//! hold of `b` blocks the wait of `a`. What it finds must be what the validator finds, up to the first finding.
//!
//! * Here: dependencies between classes, contexts, trylocks, changes of mode, releases in any order.
//! * `places`: locks within their classes (instances, ranks, nest locks), wait types, unchecked classes, waits without a hold.
//! * `grades`: how near a cycle is to a deadlock, over all that ever was seen.
//! * `proofs`: what was proven, and is not asked again.
//!
//! The long form runs 100,000 histories: `cargo test --release -p lockdep-core -- --ignored --nocapture oracle`.

mod grades;
mod places;
mod proofs;

use std::collections::BTreeSet;

use super::*;
use crate::{
    context::{ContextId, WaitType},
    held::{Acquired, Point},
    mode::Mode,
};

const CLASSES: u64 = 8;
const OPERATIONS: u64 = 40;
const THREADS: usize = 3;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

type Fact = Step<UsageNode>;

/// What the definition says of a history so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Findings {
    recursion: bool,
    cycle: bool,
    context: bool,
}

#[derive(Default)]
struct Oracle {
    facts: BTreeSet<(UsageNode, UsageNode, usize, usize)>,
    per_cpu: BTreeSet<ClassId>,
}

impl Oracle {
    fn add(&mut self, fact: Fact) {
        self.facts.insert((fact.outer, fact.inner, fact.kind.hold as usize, fact.kind.wait as usize));
    }

    fn is_per_cpu(&self, node: UsageNode) -> bool {
        matches!(node, UsageNode::Class(class) if self.per_cpu.contains(&class))
    }

    /// Returns whether some closed strong walk over these facts passes through a node that `needed` likes.
    fn closes(&self, allowed: impl Fn(UsageNode, UsageNode) -> bool, needed: impl Fn(UsageNode) -> bool) -> bool {
        let facts: Vec<_> = self.facts.iter().filter(|fact| allowed(fact.0, fact.1)).collect();
        let blocks = |hold: usize, wait: usize| HoldKind::ALL[hold].blocks(WaitKind::ALL[wait]);
        let goes_on = |a: usize, b: usize| facts[a].1 == facts[b].0 && blocks(facts[b].2, facts[a].3);
        (0..facts.len()).filter(|&start| needed(facts[start].0)).any(|start| {
            let mut reached = vec![false; facts.len()];
            let mut open = vec![start];
            while let Some(at) = open.pop() {
                for next in (0..facts.len()).filter(|&next| goes_on(at, next)) {
                    if next == start {
                        return true;
                    }
                    if !std::mem::replace(&mut reached[next], true) {
                        open.push(next);
                    }
                }
            }
            false
        })
    }

    fn judge(&self, recursion: bool) -> Findings {
        let is_class = |node| matches!(node, UsageNode::Class(_));
        Findings {
            recursion,
            cycle: self.closes(|outer, inner| is_class(outer) && is_class(inner), |_| true),
            context: self.closes(
                |outer, inner| {
                    let between_classes = is_class(outer) && is_class(inner);
                    !(between_classes && (self.is_per_cpu(outer) || self.is_per_cpu(inner)))
                },
                |node| !is_class(node),
            ),
        }
    }
}

/// A thread of the history.
#[derive(Default)]
struct Actor {
    stack: HeldStack,
    /// Class, instance, mode; how many contexts deep.
    held: Vec<(ClassId, u64, Mode, usize)>,
    inside: Vec<ContextId>,
}

struct History {
    validator: Validator,
    oracle: Oracle,
    actors: [Actor; THREADS],
    random: Random,
    instances: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut validator = Validator::new();
        let mut oracle = Oracle::default();
        let mut actors: [Actor; THREADS] = Default::default();
        if random.below(3) == 0 {
            let class = ClassId::new(random.below(CLASSES) as u32);
            oracle.per_cpu.insert(class);
            validator.declare(class, ClassTraits { per_cpu: true, ..ClassTraits::default() });
        }
        // A third of the histories know no contexts, as most programs.
        if random.below(3) != 0 {
            actors.iter_mut().for_each(|actor| {
                actor.stack.watch(ContextSet::INTERRUPTS);
            });
        }
        Self { validator, oracle, actors, random, instances: 0 }
    }

    /// Does one operation. Returns what the validator says of it and whether it is a recursion by definition.
    fn step(&mut self) -> (Vec<Violation>, bool) {
        let actor = self.random.below(THREADS as u64) as usize;
        let watches = !self.actors[actor].stack.contexts().enabled.is_empty() || !self.actors[actor].inside.is_empty();
        match self.random.below(if watches { 16 } else { 11 }) {
            0..=7 => self.acquire(actor),
            8 | 9 => self.release(actor),
            10 => self.change_mode(actor),
            _ => self.change_context(actor),
        }
    }

    fn acquire(&mut self, actor: usize) -> (Vec<Violation>, bool) {
        let class = ClassId::new(self.random.below(CLASSES) as u32);
        let (mode, trylock) = (self.random.pick(&Mode::ALL), self.random.below(6) == 0);
        let known = self.actors[actor].held.iter().any(|held| held.0 == class);
        if known && self.random.below(8) != 0 {
            return (Vec::new(), false);
        }
        self.instances += 1;
        let how = Acquired::new(class, mode, trylock);
        let request = Request::new(how, self.instances, Point::new(1));
        let found = self.validator.acquire(&self.actors[actor].stack, &request);
        let mut recursion = false;
        if !trylock {
            recursion = self.want(actor, class, mode.wait(), 0);
        }
        let actor = &mut self.actors[actor];
        actor.stack.push(how, self.instances, request.point);
        actor.held.push((class, self.instances, mode, actor.inside.len()));
        (found.violations, recursion)
    }

    /// Notes that the actor waits for a lock of `class`, apart from the one that it is. Returns whether for itself.
    fn want(&mut self, actor: usize, class: ClassId, wait: WaitKind, itself: u64) -> bool {
        let Actor { held, inside, .. } = &self.actors[actor];
        let inner = UsageNode::Class(class);
        let others = held.iter().filter(|held| held.1 != itself);
        let mut recursion = false;
        for &(outer, _, mode, depth) in others {
            let kind = DependencyKind { hold: mode.hold(), wait };
            if outer == class {
                recursion |= kind.hold.blocks(wait);
            } else if depth == inside.len() {
                self.oracle.add(Step { outer: UsageNode::Class(outer), inner, kind });
            }
        }
        for &context in inside {
            let kind = DependencyKind { hold: HoldKind::Exclusive, wait };
            self.oracle.add(Step { outer: UsageNode::Context(context), inner, kind });
        }
        recursion
    }

    fn release(&mut self, actor: usize) -> (Vec<Violation>, bool) {
        let Actor { held, stack, .. } = &mut self.actors[actor];
        if !held.is_empty() {
            let (_, instance, _, _) = held.remove(self.random.below(held.len() as u64) as usize);
            assert!(stack.release(instance).is_some());
        }
        (Vec::new(), false)
    }

    /// An upgradable reader becomes a writer, or a writer a reader.
    fn change_mode(&mut self, actor: usize) -> (Vec<Violation>, bool) {
        let depth = self.actors[actor].inside.len();
        let here = |held: &&mut (ClassId, u64, Mode, usize)| held.3 == depth;
        let Some(lock) = self.actors[actor].held.iter_mut().rfind(here) else { return (Vec::new(), false) };
        let (class, instance, mode, _) = *lock;
        match mode {
            Mode::Upgradable => {
                lock.2 = Mode::Exclusive;
                let how = Acquired::new(class, Mode::Exclusive, false);
                let request = Request { wait: WaitKind::Upgrade, ..Request::new(how, instance, Point::new(1)) };
                let found = self.validator.acquire(&self.actors[actor].stack, &request).violations;
                let recursion = self.want(actor, class, WaitKind::Upgrade, instance);
                self.actors[actor].stack.set_mode(instance, Mode::Exclusive);
                (found, recursion)
            }
            Mode::Exclusive => {
                lock.2 = Mode::Shared;
                self.actors[actor].stack.set_mode(instance, Mode::Shared);
                let enabled = self.actors[actor].stack.contexts().enabled;
                (self.enabled(actor, enabled), false)
            }
            _ => (Vec::new(), false),
        }
    }

    fn enabled(&mut self, actor: usize, contexts: ContextSet) -> Vec<Violation> {
        let at = Request::new(Acquired::new(ClassId::new(0), Mode::Exclusive, false), 0, Point::new(1));
        self.validator.enabled(&self.actors[actor].stack, contexts, &at).violations
    }

    fn change_context(&mut self, actor: usize) -> (Vec<Violation>, bool) {
        let interrupts = [ContextId::HARDIRQ, ContextId::SOFTIRQ];
        let Actor { stack, inside, .. } = &mut self.actors[actor];
        let enabled = match self.random.below(4) {
            0 => {
                stack.disable(ContextSet::of(self.random.pick(&interrupts)));
                None
            }
            1 => stack.enable(ContextSet::of(self.random.pick(&interrupts))),
            2 => {
                let possible: Vec<ContextId> = stack.contexts().enabled.iter().collect();
                if !possible.is_empty() {
                    let context = self.random.pick(&possible);
                    stack.enter(context, ContextSet::of(context), WaitType::Any);
                    inside.push(context);
                }
                None
            }
            _ => {
                // A handler lets go of what it took before it ends.
                let depth = inside.len();
                let leaving = inside.pop();
                let Actor { stack, held, .. } = &mut self.actors[actor];
                for lock in held.extract_if(.., |held| leaving.is_some() && held.3 == depth) {
                    stack.release(lock.1);
                }
                leaving.and_then(|context| stack.exit(context))
            }
        };
        (enabled.map_or_else(Vec::new, |enabled| self.enabled(actor, enabled)), false)
    }

    /// Notes what is held by each actor while contexts are enabled.
    fn note_usage(&mut self) {
        for actor in &self.actors {
            for context in actor.stack.contexts().enabled.iter() {
                for &(class, _, mode, _) in &actor.held {
                    let kind = DependencyKind { hold: mode.hold(), wait: WaitKind::Normal };
                    let (outer, inner) = (UsageNode::Class(class), UsageNode::Context(context));
                    self.oracle.add(Step { outer, inner, kind });
                }
            }
        }
    }

    /// Runs until the first finding. Returns it.
    fn run(&mut self) -> Findings {
        for _ in 0..OPERATIONS {
            let (violations, recursion) = self.step();
            self.note_usage();
            self.actors.iter().for_each(|actor| actor.stack.check_invariants());
            let has = |test: fn(&Violation) -> bool| violations.iter().any(test);
            let found = Findings {
                recursion: has(|violation| matches!(violation, Violation::Recursion { .. })),
                cycle: has(|violation| matches!(violation, Violation::Cycle(_))),
                context: has(|violation| matches!(violation, Violation::ContextCycle { .. })),
            };
            let expected = self.oracle.judge(recursion);
            assert_eq!(found, expected, "{violations:?}\n{:?}", self.oracle.facts);
            if found != Findings::default() {
                return found;
            }
        }
        Findings::default()
    }
}

fn compare(histories: u64, first: u64) {
    let mut counts = [0u64; 4];
    for seed in first..first + histories {
        let mut history = History::new(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history.run()));
        let Ok(Findings { recursion, cycle, context }) = result else { panic!("history {seed}") };
        history.validator.check_invariants();
        for (count, made) in counts.iter_mut().zip([recursion, cycle, context, !(recursion | cycle | context)]) {
            *count += u64::from(made);
        }
    }
    let [recursion, cycle, context, clean] = counts;
    println!(
        "oracle: {histories} histories agree ({cycle} with a cycle, {context} with one through a context, {recursion} \
         with a recursion, {clean} clean)"
    );
    assert!(counts.iter().all(|count| *count > histories / 100), "the histories are one-sided");
}

#[test]
fn a_thousand_histories_are_judged_as_the_definition_says() {
    compare(1000, 0);
}

#[test]
#[ignore = "long: 100,000 histories"]
fn oracle_compares_a_hundred_thousand_histories() {
    compare(100_000, 1_000_000);
}
