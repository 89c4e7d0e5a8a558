//! Usage in contexts: a handler must not wait for what the code that it interrupts holds.
//!
//! Two sorts of dependencies describe it. Holding a lock while a context is enabled makes the context wait for the lock;
//! acquiring a lock inside the context makes the lock wait for the context to end. With the dependencies between classes
//! they make one graph, and a strong cycle through a context is a deadlock that can happen:
//!
//! * lock -> context -> lock: one class both used in the context and held with it enabled;
//! * a longer one that such a usage closes: an inversion; that a new dependency closes: a forbidden dependency.
//!
//! The kernel compares usage bits pair by pair and so sees one context at a time; here a way may lead through several.
//! Dependencies of per-processor locks stay outside: their waiters are on the same processor. The graph is made when
//! the first context is met, so that a program without contexts has none. Cost: that of [`DependencyGraph::insert`].

use rustc_hash::FxHashMap;

use crate::{
    class::ClassId,
    context::ContextId,
    graph::{DependencyGraph, Inserted, Step},
    mode::{DependencyKind, HoldKind, WaitKind},
    report::Code,
    traits::TraitTable,
    violation::{UsageNode, Violation},
    witness::{HeldSets, Witness, offer},
};

/// Dependencies between classes and contexts.
#[derive(Debug, Default)]
pub(crate) struct UsageGraph {
    graph: Option<DependencyGraph<UsageNode, Witness>>,
    found: FxHashMap<Step<UsageNode>, Violation>,
    kept: u64,
}

/// The dependencies between classes, as the usage graph sees them.
fn of_classes(step: Step<ClassId>) -> Step<UsageNode> {
    Step { outer: UsageNode::Class(step.outer), inner: UsageNode::Class(step.inner), kind: step.kind }
}

/// A lock of this class was held, so, while the context was enabled.
pub(crate) const fn enabled(class: ClassId, hold: HoldKind, context: ContextId) -> Step<UsageNode> {
    let kind = DependencyKind { hold, wait: WaitKind::Normal };
    Step { outer: UsageNode::Class(class), inner: UsageNode::Context(context), kind }
}

/// A lock of this class was waited for, so, inside the context.
pub(crate) const fn used_in(class: ClassId, wait: WaitKind, context: ContextId) -> Step<UsageNode> {
    let kind = DependencyKind { hold: HoldKind::Exclusive, wait };
    Step { outer: UsageNode::Context(context), inner: UsageNode::Class(class), kind }
}

impl UsageGraph {
    /// Records a usage. Returns what it breaks.
    pub(crate) fn mark(
        &mut self,
        step: Step<UsageNode>,
        witness: Witness,
        classes: &DependencyGraph<ClassId, Witness>,
        traits: &TraitTable,
        sets: &HeldSets,
    ) -> Option<Violation> {
        self.graph.get_or_insert_with(|| {
            let mut graph = DependencyGraph::new();
            let between_processors = |(step, _): &(Step<ClassId>, &Witness)| !is_per_cpu(step, traits);
            for (step, witness) in classes.dependencies().filter(between_processors) {
                let step = of_classes(step);
                graph.insert(step.outer, step.inner, step.kind, *witness);
            }
            graph
        });
        self.insert(step, witness, sets, |cycle| match cycle.len() {
            2 => Code::InconsistentUsage,
            _ => Code::ContextInversion,
        })
    }

    /// Records a dependency between classes. Returns what it breaks.
    pub(crate) fn dependency(
        &mut self,
        step: Step<ClassId>,
        witness: Witness,
        traits: &TraitTable,
        sets: &HeldSets,
    ) -> Option<Violation> {
        if self.graph.is_none() || is_per_cpu(&step, traits) {
            return None;
        }
        self.insert(of_classes(step), witness, sets, |_| Code::ContextDependency)
    }

    fn insert(
        &mut self,
        step: Step<UsageNode>,
        witness: Witness,
        sets: &HeldSets,
        code: impl Fn(&[Step<UsageNode>]) -> Code,
    ) -> Option<Violation> {
        let graph = self.graph.as_mut()?;
        let cycle = match graph.insert(step.outer, step.inner, step.kind, witness) {
            Inserted::New => {
                self.kept += 1;
                return None;
            }
            Inserted::Known => {
                let taken = offer(&mut graph.witnesses_mut(step.outer, step.inner)?, step.kind, witness, sets);
                self.kept += u64::from(taken);
                return None;
            }
            Inserted::KnownToClose => return self.found.get(&step).cloned(),
            Inserted::Closes(cycle) if first_context(&cycle).is_some() => {
                self.kept += 1;
                cycle
            }
            // The shortest cycle is one of classes alone, which is told elsewhere; another may lead through a context.
            Inserted::Closes(_) => {
                self.kept += 1;
                let contexts = graph.keys().filter(|key| matches!(key, UsageNode::Context(_)));
                let longer = contexts.filter_map(|context| graph.cycle_through(step, context));
                longer.min_by_key(Vec::len)?
            }
        };
        let violation = Violation::ContextCycle { code: code(&cycle), context: first_context(&cycle)?, steps: cycle };
        self.found.insert(step, violation.clone());
        Some(violation)
    }

    /// Returns how many witnesses were ever kept.
    pub(crate) const fn kept(&self) -> u64 {
        self.kept
    }

    /// Returns the graph, if any context was ever met.
    pub(crate) fn graph(&self) -> Option<&DependencyGraph<UsageNode, Witness>> {
        self.graph.as_ref()
    }
}

fn is_per_cpu(step: &Step<ClassId>, traits: &TraitTable) -> bool {
    traits.get(step.outer).per_cpu || traits.get(step.inner).per_cpu
}

fn first_context(cycle: &[Step<UsageNode>]) -> Option<ContextId> {
    cycle.iter().find_map(|step| match step.outer {
        UsageNode::Context(context) => Some(context),
        UsageNode::Class(_) => None,
    })
}
