//! Grades, on random histories of threads that spawn and join and nest pairs of locks, some of them under gates.
//!
//! The twin remembers every time that a pair was nested, by whom, when, and under what else, and grades a cycle by the best
//! choice among all of them. A dependency keeps a few witnesses only, so the validator may know less: its grade must never
//! be worse than the true one, and must be the true one wherever no more than it keeps were to be told apart.

use std::collections::BTreeSet;

use super::Random;
use crate::{
    Grade,
    held::{Acquired, Point},
    mode::Mode,
    segment::SegmentId,
    validator::*,
    witness::WITNESSES,
};

const LOCKS: u64 = 3;
const GATES: u64 = 2;
const SECTIONS: u64 = 24;

/// One time that a pair was nested.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Section {
    pair: (u64, u64),
    thread: u32,
    /// By number.
    segment: u32,
    /// The gates around it, and whether each was held for reading only.
    gates: Vec<(u64, bool)>,
}

struct Thread {
    number: u32,
    segment: SegmentId,
    parent: Option<usize>,
}

struct History {
    validator: Validator,
    random: Random,
    /// Of the threads that run: the first was never spawned.
    threads: Vec<Thread>,
    spawned: u32,
    sections: Vec<Section>,
    /// What came before what, as sets: the twin of the segments.
    before: Vec<BTreeSet<u32>>,
    found: Option<Vec<Step<ClassId>>>,
}

fn request(lock: u64, mode: Mode) -> Request {
    Request::new(Acquired::new(ClassId::new(lock as u32), mode, false), lock, Point::new(1))
}

impl History {
    fn new(seed: u64) -> Self {
        let mut validator = Validator::new();
        let root = validator.segments_mut().root();
        let main = Thread { number: 1, segment: root, parent: None };
        Self {
            validator,
            random: Random(seed ^ 0x6772_6164),
            threads: vec![main],
            spawned: 1,
            sections: Vec::new(),
            before: vec![BTreeSet::new(); 2],
            found: None,
        }
    }

    /// Remembers what came before the segments that are new.
    fn led_to_by(&mut self, new: &[SegmentId], by: &[SegmentId]) {
        for segment in new {
            let mut before = BTreeSet::new();
            for other in by {
                before.extend(&self.before[other.as_u32() as usize]);
                before.insert(other.as_u32());
            }
            assert_eq!(self.before.len(), segment.as_u32() as usize);
            self.before.push(before);
        }
    }

    fn spawn(&mut self, parent: usize) {
        let old = self.threads[parent].segment;
        let (on, first) = self.validator.segments_mut().spawn(old);
        self.led_to_by(&[on, first], &[old]);
        self.threads[parent].segment = on;
        self.spawned += 1;
        self.threads.push(Thread { number: self.spawned, segment: first, parent: Some(parent) });
    }

    /// The last thread ends, and its parent waits for that.
    fn join(&mut self) {
        let Some(child) = self.threads.pop_if(|thread| thread.parent.is_some()) else { return };
        let Some(parent) = child.parent else { return };
        let old = self.threads[parent].segment;
        let on = self.validator.segments_mut().join(old, child.segment);
        self.led_to_by(&[on], &[old, child.segment]);
        self.threads[parent].segment = on;
    }

    fn section(&mut self, thread: usize) {
        let outer = self.random.below(LOCKS);
        let inner = (outer + 1 + self.random.below(LOCKS - 1)) % LOCKS;
        let mut gates = Vec::new();
        for gate in 0..GATES {
            if self.random.below(2) == 0 {
                gates.push((LOCKS + gate, self.random.below(3) == 0));
            }
        }
        let Thread { number, segment, .. } = self.threads[thread];
        let held = HeldStack::new();
        let gate_mode = |shared| if shared { Mode::Shared } else { Mode::Exclusive };
        let around = gates.iter().map(|&(gate, shared)| request(gate, gate_mode(shared)));
        for request in around.chain([request(outer, Mode::Exclusive), request(inner, Mode::Exclusive)]) {
            let request = Request { thread: number, segment, ..request };
            let outcome = self.validator.acquire(&held, &request);
            if let (None, Some(Violation::Cycle(steps))) = (&self.found, outcome.violations.first()) {
                self.found = Some(steps.clone());
            }
            held.push(request.how, request.instance, request.point);
        }
        self.sections.push(Section { pair: (outer, inner), thread: number, segment: segment.as_u32(), gates });
    }

    /// Returns the best grade of the cycle over everything that was seen, and whether a dependency has more witnesses than it
    /// can keep, were they all different.
    fn grade(&self, steps: &[Step<ClassId>]) -> (Grade, bool) {
        let of_step = |step: &Step<ClassId>| {
            let pair = (u64::from(step.outer.base()), u64::from(step.inner.base()));
            let all: BTreeSet<&Section> = self.sections.iter().filter(|section| section.pair == pair).collect();
            all.into_iter().collect::<Vec<_>>()
        };
        let all: Vec<Vec<&Section>> = steps.iter().map(of_step).collect();
        let crowded = all.iter().any(|sections| sections.len() > WITNESSES);
        let mut best = Grade::Gated;
        let mut choice = vec![0; all.len()];
        loop {
            let chosen: Vec<&Section> = choice.iter().zip(&all).map(|(&index, all)| all[index]).collect();
            best = best.max(self.judge(&chosen));
            let Some(index) = (0..all.len()).find(|&index| choice[index] + 1 < all[index].len()) else { break };
            choice[..index].fill(0);
            choice[index] += 1;
        }
        (best, crowded)
    }

    fn judge(&self, chosen: &[&Section]) -> Grade {
        let came_before = |a: &Section, b: &Section| self.before[b.segment as usize].contains(&a.segment);
        let pairs = (0..chosen.len()).flat_map(|a| (a + 1..chosen.len()).map(move |b| (chosen[a], chosen[b])));
        let grades = pairs.map(|(a, b)| {
            let shared_gate =
                |gate: &(u64, bool)| b.gates.iter().any(|other| other.0 == gate.0 && !(gate.1 && other.1));
            match () {
                () if a.gates.iter().any(shared_gate) => Grade::Gated,
                () if a.thread == b.thread => Grade::FewThreads,
                () if came_before(a, b) || came_before(b, a) => Grade::Ordered,
                () => Grade::Concurrent,
            }
        });
        grades.min().unwrap_or(Grade::Concurrent)
    }

    /// Runs. Returns the grade of the first cycle, if there is one, by the validator, by definition, and whether some
    /// dependency had more witnesses than it keeps.
    fn run(&mut self) -> Option<(Grade, Grade, bool)> {
        for _ in 0..SECTIONS {
            let thread = self.random.below(self.threads.len() as u64) as usize;
            match self.random.below(6) {
                0 if self.threads.len() < 4 => self.spawn(thread),
                1 => self.join(),
                _ => self.section(thread),
            }
        }
        self.validator.check_invariants();
        let steps = self.found.clone()?;
        let (expected, crowded) = self.grade(&steps);
        Some((self.validator.grade(&Violation::Cycle(steps)).grade, expected, crowded))
    }
}

fn compare(histories: u64, first: u64) {
    let mut grades = [0u64; Grade::ALL.len()];
    let (mut certain, mut milder, mut crowded) = (0u64, 0u64, 0u64);
    for seed in first..first + histories {
        let Some((found, expected, more)) = History::new(seed).run() else { continue };
        assert!(found <= expected, "history {seed}: {found}, but it deserves {expected}");
        if more {
            crowded += 1;
            milder += u64::from(found != expected);
        } else {
            assert_eq!(found, expected, "history {seed}");
            certain += 1;
        }
        grades[found as usize] += 1;
    }
    println!(
        "oracle of grades: {histories} histories, {} with a cycle ({grades:?} gated, ordered, few-threads, concurrent); \
         {certain} agree, of {crowded} with more witnesses than are kept {milder} are graded more mildly",
        certain + crowded
    );
    assert!(grades.iter().all(|count| *count > histories / 200), "the histories are one-sided: {grades:?}");
    assert!(milder <= crowded / 20, "the witnesses that are kept are not the ones that matter: {milder} of {crowded}");
}

#[test]
fn two_thousand_histories_are_graded_as_the_definition_says() {
    compare(2000, 0);
}

#[test]
#[ignore = "long: 100,000 histories"]
fn oracle_compares_a_hundred_thousand_histories_of_grades() {
    compare(100_000, 1_000_000);
}
