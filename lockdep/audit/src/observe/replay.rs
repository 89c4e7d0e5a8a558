//! [`Replay`]: acquisitions and releases of a recorded run, put through our validator.
//!
//! A recording begins and ends anywhere: a release of what was never acquired is counted, not reported. Names without
//! numbers merge classes, so a circle that such a recording shows is marked as doubtful, and two locks of one name may
//! nest; a lock that waits for itself is certain.

use std::collections::{BTreeMap, HashMap, HashSet};

use lockdep_core::{
    Acquired, ClassId, DependencyKind, HeldStack, Mode, Point, Proof, Request, Site, Step, Validator, Violation,
};

use super::{Edge, Finding, Observation, Source, Witness};
use crate::document::Note;

/// What runs one after the other: a thread, or an interrupt on a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Flow {
    Thread(u32),
    /// A processor's idle thread.
    Idle(u32),
    SoftIrq(u32),
    HardIrq(u32),
    Nmi(u32),
}

/// An acquisition.
pub(super) struct Acquire<'a> {
    pub(super) name: &'a str,
    pub(super) instance: u64,
    pub(super) mode: Mode,
    pub(super) trylock: bool,
    pub(super) thread: &'a str,
    pub(super) line: usize,
}

/// A recording on its way through the validator.
pub(super) struct Replay {
    observation: Observation,
    names: HashMap<String, usize>,
    /// Sorted, so that a search for a holder always finds the same one.
    held: BTreeMap<Flow, HeldStack>,
    validator: Validator,
    /// The chains that need no check.
    proven: HashSet<u64>,
    dependencies: HashMap<(u32, u32), (Witness, u64)>,
    acquisitions: Vec<u64>,
    unknown_releases: u64,
    reported: HashSet<Vec<ClassId>>,
}

impl Replay {
    pub(super) fn new(name: &str, source: Source) -> Self {
        Self {
            observation: Observation::new(name, source),
            names: HashMap::new(),
            held: BTreeMap::new(),
            validator: Validator::new(),
            proven: HashSet::new(),
            dependencies: HashMap::new(),
            acquisitions: Vec::new(),
            unknown_releases: 0,
            reported: HashSet::new(),
        }
    }

    pub(super) fn acquire(&mut self, flow: Flow, event: &Acquire<'_>) {
        let class = self.class(event.name);
        self.acquisitions[class] += 1;
        let id = ClassId::new(u32::try_from(class).unwrap_or(u32::MAX));
        let how = Acquired::new(id, event.mode, event.trylock);
        let held = self.held.entry(flow).or_default();
        let key = held.key().then(how);
        if !event.trylock {
            let kind = |lock: lockdep_core::HeldLock| DependencyKind { hold: lock.hold(), wait: event.mode.wait() };
            for lock in held.iter().filter(|lock| lock.instance() != event.instance) {
                let ends = (lock.class().base(), id.base());
                let new = || (witness(&self.observation, event), 0);
                let (witness, count) = self.dependencies.entry(ends).or_insert_with(new);
                *count += 1;
                let kind = kind(lock);
                if !witness.kinds.contains(&kind) {
                    witness.kinds.push(kind);
                }
            }
            if !self.proven.contains(&key.as_u64()) {
                let point = Point::new(event.line as u64);
                let request = Request { orders_instances: true, ..Request::new(how, event.instance, point) };
                let outcome = self.validator.acquire(held, &request);
                if outcome.proof == Proof::Chain {
                    self.proven.insert(key.as_u64());
                }
                for violation in outcome.violations {
                    self.violation(&violation, event);
                }
            }
        }
        let held = self.held.entry(flow).or_default();
        held.push(how, event.instance, Point::new(event.line as u64));
    }

    pub(super) fn release(&mut self, flow: Flow, instance: u64) {
        if self.held.get(&flow).and_then(|held| held.release(instance)).is_some() {
            return;
        }
        // What one thread locks another may unlock; it is rare, so a search does.
        let elsewhere = self.held.values().any(|held| held.release(instance).is_some());
        self.unknown_releases += u64::from(!elsewhere);
    }

    /// Forgets what is held: events were lost.
    pub(super) fn lose(&mut self, line: usize, text: &str) {
        self.held.clear();
        self.note(line, format!("{}: what was held is forgotten", text.trim()));
    }

    pub(super) fn note(&mut self, line: usize, text: String) {
        let site = site(self.observation.name(), line);
        self.observation.notes.push(Note { site, text });
    }

    /// Records that the recording does not tell interrupts from threads.
    pub(super) fn lacks_contexts(&mut self, line: usize) {
        self.observation.lacks_contexts = true;
        let text =
            "no stacks, so interrupts are not told from threads and every dependency is doubtful: record with -g";
        self.note(line, text.to_owned());
    }

    /// The observation, at the end of the recording.
    pub(super) fn finish(mut self, last_line: usize) -> Observation {
        if self.unknown_releases > 0 {
            let text = format!("{} releases of locks that were acquired before the beginning", self.unknown_releases);
            self.note(last_line, text);
        }
        let mut dependencies: Vec<_> = self.dependencies.into_iter().collect();
        dependencies.sort_unstable_by_key(|(ends, _)| *ends);
        for ((outer, inner), (mut witness, count)) in dependencies {
            witness.count = Some(count);
            self.observation.add_dependency(outer as usize, inner as usize, witness);
        }
        for (class, &count) in self.acquisitions.iter().enumerate() {
            self.observation.set_acquisitions(class, Some(count));
        }
        self.observation
    }

    fn class(&mut self, name: &str) -> usize {
        if let Some(&class) = self.names.get(name) {
            return class;
        }
        let class = self.observation.add_class(name);
        self.names.insert(name.to_owned(), class);
        self.acquisitions.resize(class + 1, 0);
        class
    }

    fn violation(&mut self, violation: &Violation, event: &Acquire<'_>) {
        let (title, edges, classes) = match violation {
            Violation::Cycle(steps) => ("possible circular locking dependency detected", self.edges(steps), Vec::new()),
            Violation::Recursion { held, same_instance: true } if held.mode() == Mode::Exclusive => {
                ("possible recursive locking detected", Vec::new(), vec![held.class()])
            }
            _ => return,
        };
        let ring = edges.iter().map(|edge| ClassId::new(u32::try_from(edge.outer).unwrap_or(0)));
        let mut ring: Vec<ClassId> = ring.chain(classes.iter().copied()).collect();
        ring.sort_unstable();
        if !self.reported.insert(ring) {
            return;
        }
        self.observation.findings.push(Finding {
            title: title.to_owned(),
            at: Some(site(self.observation.name(), event.line)),
            thread: Some(event.thread.to_owned()),
            is_doubtful: !edges.is_empty(),
            edges,
            classes: classes.into_iter().map(|class| class.base() as usize).collect(),
        });
    }

    fn edges(&self, steps: &[Step<ClassId>]) -> Vec<Edge> {
        let edge = |step: &Step<ClassId>| {
            let graph = self.validator.dependencies();
            let line = graph.witness(step.outer, step.inner, step.kind).map(|witness| witness.inner.as_u64());
            let at = line.map(|line| site(self.observation.name(), usize::try_from(line).unwrap_or(0)));
            Edge { outer: step.outer.base() as usize, inner: step.inner.base() as usize, stack: Vec::new(), at }
        };
        steps.iter().map(edge).collect()
    }
}

fn witness(observation: &Observation, event: &Acquire<'_>) -> Witness {
    Witness {
        at: Some(site(observation.name(), event.line)),
        thread: Some(event.thread.to_owned()),
        ..Witness::default()
    }
}

fn site(file: &str, line: usize) -> Site {
    Site { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 }
}
