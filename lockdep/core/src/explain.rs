//! From numbers to words: a [`Violation`] becomes a [`Report`], a dependency a journal record.

use std::{fmt::Debug, hash::Hash};

use crate::{
    class::{ClassId, Site},
    context::ContextId,
    grade::{Grade, Graded},
    graph::{DependencyGraph, Step},
    held::{HeldLock, HeldStack, Point},
    journal::DependencyRecord,
    mode::Mode,
    report::{Acquisition, Code, Dependency, Fingerprint, Frame, Report},
    request::Request,
    validator::Validator,
    violation::{UsageNode, Violation},
    witness::Witness,
};

/// What the numbers that the validator works with stand for.
pub trait Evidence {
    /// Returns the name of a class as reports show it.
    fn class(&self, class: ClassId) -> String;
    /// Returns the line of an acquisition point.
    fn site(&self, point: Point) -> Option<Site>;
    /// Returns the stack of an acquisition point, innermost function first; empty if none was captured.
    fn stack(&self, point: Point) -> Vec<Frame>;
    /// Returns the name of a thread.
    fn thread(&self, thread: u32) -> String;
    /// Returns the text of a span.
    fn span(&self, span: u32) -> Option<String>;
    /// Returns the name of a context.
    fn context(&self, context: ContextId) -> String {
        context.to_string()
    }
}

impl Violation {
    /// Returns what makes this finding the same as another one: the code and the classes, whoever made it.
    pub fn fingerprint(&self, request: &Request, evidence: &impl Evidence) -> Fingerprint {
        let wanted = || evidence.class(request.how.class());
        let names: Vec<String> = match self {
            Self::Cycle(steps) => steps.iter().map(|step| evidence.class(step.outer)).collect(),
            Self::InstanceCycle(class, _) => vec![evidence.class(*class)],
            Self::ContextCycle { steps, .. } => steps.iter().map(|step| node(step.outer, evidence)).collect(),
            Self::Recursion { held, .. } | Self::DeclaredOrder(held) => vec![evidence.class(held.class())],
            Self::WaitType { limit, held, .. } => {
                let under = held.map_or_else(|| format!("{limit:?}"), |lock| evidence.class(lock.class()));
                vec![wanted(), under]
            }
            Self::State { held, .. } => vec![held.map_or_else(wanted, |lock| evidence.class(lock.class()))],
        };
        Fingerprint::of(self.code(), &names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Returns the whole story: `request` broke this rule of `validator` while `held` was held.
    pub fn report(
        &self,
        request: &Request,
        held: &HeldStack,
        validator: &Validator,
        evidence: &impl Evidence,
    ) -> Report {
        let teller = Teller { evidence, locks: self.locks() };
        let Graded { grade, gate } = validator.grade(self);
        Report {
            code: self.code(),
            fingerprint: self.fingerprint(request, evidence),
            grade,
            gate: gate.map(|class| evidence.class(class)),
            context: match self {
                Self::ContextCycle { context, .. } => Some(evidence.context(*context)),
                Self::WaitType { suspends: true, .. } => Some("await point".to_owned()),
                _ => None,
            },
            waits: match self {
                Self::WaitType { needs, limit, .. } => Some((*needs, *limit)),
                _ => None,
            },
            thread: evidence.thread(request.thread),
            wanted: Acquisition {
                lock: teller.lock(request.instance),
                ..teller.acquisition(request.how.class(), request.how.mode(), false, request.point)
            },
            cycle: self.cycle(validator, evidence),
            conflict: self.conflict().map(|lock| teller.held(lock)),
            same_instance: self.is_certain(),
            held: held.iter().map(|lock| teller.held(lock)).collect(),
            span: evidence.span(request.span),
        }
    }

    /// Returns the locks of a finding about several locks of one class, in the order in which it tells them.
    fn locks(&self) -> Vec<u64> {
        let Self::InstanceCycle(_, steps) = self else { return Vec::new() };
        // The finding is read from its end.
        steps.iter().rev().map(|step| step.outer).collect()
    }

    /// Returns the dependencies of the cycle, if it is one, each as its first witness made it.
    fn cycle(&self, validator: &Validator, evidence: &impl Evidence) -> Vec<Dependency> {
        let teller = Teller { evidence, locks: self.locks() };
        let of_class = |class: ClassId| evidence.class(class);
        match self {
            Self::Cycle(steps) => teller.cycle(steps, validator.dependencies(), |class| (of_class(class), None)),
            Self::InstanceCycle(class, steps) => {
                let graph = validator.instances(*class);
                graph.map_or_else(Vec::new, |graph| {
                    teller.cycle(steps, graph, |lock| (of_class(*class), teller.lock(lock)))
                })
            }
            Self::ContextCycle { steps, .. } => {
                let graph = validator.usage();
                graph.map_or_else(Vec::new, |graph| teller.cycle(steps, graph, |name| (node(name, evidence), None)))
            }
            _ => Vec::new(),
        }
    }
}

/// The name of a class or, in angle brackets, of a context.
fn node(node: UsageNode, evidence: &impl Evidence) -> String {
    match node {
        UsageNode::Class(class) => evidence.class(class),
        UsageNode::Context(context) => format!("<{}>", evidence.context(context)),
    }
}

/// Returns the journal record of a dependency.
pub fn dependency_record(step: &Step<ClassId>, witness: &Witness, evidence: &impl Evidence) -> DependencyRecord {
    DependencyRecord {
        outer: step.outer.as_u32(),
        inner: step.inner.as_u32(),
        kind: step.kind,
        thread: evidence.thread(witness.thread),
        outer_site: evidence.site(witness.outer),
        inner_site: evidence.site(witness.inner),
        span: evidence.span(witness.span),
    }
}

/// Returns the report of a release of a lock that the thread does not hold.
pub fn release_unheld(
    class: ClassId,
    site: Option<Site>,
    thread: String,
    held: &HeldStack,
    evidence: &impl Evidence,
) -> Report {
    let teller = Teller { evidence, locks: Vec::new() };
    let class = evidence.class(class);
    Report {
        code: Code::ReleaseUnheld,
        grade: Grade::Concurrent,
        gate: None,
        context: None,
        waits: None,
        fingerprint: Fingerprint::of(Code::ReleaseUnheld, &[&class]),
        thread,
        wanted: Acquisition { class, mode: Mode::Exclusive, lock: None, trylock: false, site, stack: Vec::new() },
        cycle: Vec::new(),
        conflict: None,
        same_instance: false,
        held: held.iter().map(|lock| teller.held(lock)).collect(),
        span: None,
    }
}

struct Teller<'a, E> {
    evidence: &'a E,
    /// The locks that are told apart, since they are of one class.
    locks: Vec<u64>,
}

impl<E: Evidence> Teller<'_, E> {
    /// Returns the number of a lock among those that are told apart.
    fn lock(&self, instance: u64) -> Option<u32> {
        let index = self.locks.iter().position(|lock| *lock == instance)?;
        u32::try_from(index + 1).ok()
    }

    fn acquisition(&self, class: ClassId, mode: Mode, trylock: bool, point: Point) -> Acquisition {
        let evidence = self.evidence;
        Acquisition {
            class: evidence.class(class),
            lock: None,
            mode,
            trylock,
            site: evidence.site(point),
            stack: evidence.stack(point),
        }
    }

    fn held(&self, lock: HeldLock) -> Acquisition {
        Acquisition {
            lock: self.lock(lock.instance()),
            ..self.acquisition(lock.class(), lock.mode(), lock.how().is_trylock(), lock.point())
        }
    }

    fn cycle<K: Copy + Eq + Hash + Debug>(
        &self,
        steps: &[Step<K>],
        graph: &DependencyGraph<K, Witness>,
        name: impl Fn(K) -> (String, Option<u32>),
    ) -> Vec<Dependency> {
        let dependency = |step: &Step<K>| {
            let witness = graph.witness(step.outer, step.inner, step.kind)?;
            let at = |node, mode, trylock, point| {
                let ((class, lock), site, stack) = (name(node), self.evidence.site(point), self.evidence.stack(point));
                Acquisition { class, lock, mode, trylock, site, stack }
            };
            Some(Dependency {
                outer: at(step.outer, witness.outer_mode, witness.outer_trylock, witness.outer),
                inner: at(step.inner, witness.inner_mode, false, witness.inner),
                kind: step.kind,
                thread: self.evidence.thread(witness.thread),
                span: self.evidence.span(witness.span),
            })
        };
        steps.iter().filter_map(dependency).collect()
    }
}
