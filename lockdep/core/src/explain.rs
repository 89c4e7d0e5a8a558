//! From numbers to words: a [`Violation`] becomes a [`Report`], a dependency a journal record.

use crate::{
    class::{ClassId, Site},
    graph::Step,
    held::{HeldLock, HeldStack, Point},
    journal::DependencyRecord,
    mode::Mode,
    report::{Acquisition, Code, Dependency, Fingerprint, Frame, Report},
    validator::{Request, Validator, Violation, Witness},
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
}

impl Violation {
    /// Returns what sort of finding this is.
    pub const fn code(&self) -> Code {
        match self {
            Self::Cycle(_) => Code::CircularDependency,
            Self::InstanceCycle(..) => Code::InstanceOrder,
            Self::Recursion { .. } => Code::Recursion,
        }
    }

    /// Returns what makes this finding the same as another one.
    pub fn fingerprint(&self, evidence: &impl Evidence) -> Fingerprint {
        let names: Vec<String> = match self {
            Self::Cycle(steps) => steps.iter().map(|step| evidence.class(step.outer)).collect(),
            Self::InstanceCycle(class, _) => vec![evidence.class(*class)],
            Self::Recursion { held, .. } => vec![evidence.class(held.class())],
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
        let teller = Teller { evidence };
        let cycle = match self {
            Self::Cycle(steps) => {
                let found = steps
                    .iter()
                    .map(|step| (step, validator.dependencies().witness(step.outer, step.inner, step.kind)));
                found
                    .filter_map(|(step, witness)| Some(teller.dependency(step.outer, step.inner, step, witness?)))
                    .collect()
            }
            Self::InstanceCycle(class, steps) => {
                let witness =
                    |step: &Step<u64>| validator.instances(*class)?.witness(step.outer, step.inner, step.kind);
                let found = steps.iter().map(|step| (step, witness(step)));
                found.filter_map(|(step, witness)| Some(teller.dependency(*class, *class, step, witness?))).collect()
            }
            Self::Recursion { .. } => Vec::new(),
        };
        Report {
            code: self.code(),
            fingerprint: self.fingerprint(evidence),
            thread: evidence.thread(request.thread),
            wanted: teller.acquisition(request.how.class(), request.how.mode(), false, request.point),
            cycle,
            conflict: match self {
                Self::Recursion { held, .. } => Some(teller.held(held)),
                _ => None,
            },
            same_instance: self.is_certain(),
            held: held.iter().map(|lock| teller.held(lock)).collect(),
            span: evidence.span(request.span),
        }
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
    let teller = Teller { evidence };
    let class = evidence.class(class);
    Report {
        code: Code::ReleaseUnheld,
        fingerprint: Fingerprint::of(Code::ReleaseUnheld, &[&class]),
        thread,
        wanted: Acquisition { class, mode: Mode::Exclusive, trylock: false, site, stack: Vec::new() },
        cycle: Vec::new(),
        conflict: None,
        same_instance: false,
        held: held.iter().map(|lock| teller.held(lock)).collect(),
        span: None,
    }
}

struct Teller<'a, E> {
    evidence: &'a E,
}

impl<E: Evidence> Teller<'_, E> {
    fn acquisition(&self, class: ClassId, mode: Mode, trylock: bool, point: Point) -> Acquisition {
        let evidence = self.evidence;
        Acquisition {
            class: evidence.class(class),
            mode,
            trylock,
            site: evidence.site(point),
            stack: evidence.stack(point),
        }
    }

    fn held(&self, lock: &HeldLock) -> Acquisition {
        self.acquisition(lock.class(), lock.mode(), lock.how().is_trylock(), lock.point())
    }

    fn dependency<K>(&self, outer: ClassId, inner: ClassId, step: &Step<K>, witness: &Witness) -> Dependency {
        Dependency {
            outer: self.acquisition(outer, witness.outer_mode, witness.outer_trylock, witness.outer),
            inner: self.acquisition(inner, witness.inner_mode, false, witness.inner),
            kind: step.kind,
            thread: self.evidence.thread(witness.thread),
            span: self.evidence.span(witness.span),
        }
    }
}
