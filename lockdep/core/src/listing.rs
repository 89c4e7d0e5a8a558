//! [`ClassListing`]: what is known of a class, as the kernel's `/proc/lockdep` lists it; [`ThreadLocks`]: what a thread holds.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::{
    class::ClassId,
    context::ContextId,
    explain::Evidence,
    graph::Step,
    mode::{HoldKind, Mode},
    report::Acquisition,
    validator::Validator,
    violation::UsageNode,
    witness::Witness,
};

/// What a thread holds, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadLocks {
    /// The name of the thread.
    pub thread: String,
    /// What it holds, outermost first.
    pub held: Vec<Acquisition>,
    /// What it waits for, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Acquisition>,
}

/// What is known of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassListing {
    /// The number of the class, with its subclass.
    pub id: u32,
    /// The class, as reports show it.
    pub class: String,
    /// How many classes can be reached from it, itself included.
    pub forward: usize,
    /// From how many classes it can be reached, itself included.
    pub backward: usize,
    /// Four characters, of which two are for hard and two for soft interrupts: for writers and for readers, `-` if they were
    /// used inside, `+` if they were held while it was enabled, `?` if both, `.` if neither.
    pub usage: String,
    /// The classes acquired under it, with their numbers.
    pub inner: Vec<(u32, String)>,
}

/// Returns what is known of these classes.
///
/// # Complexity
///
/// A search of the whole graph for every class.
pub fn list(
    validator: &Validator,
    classes: impl Iterator<Item = ClassId>,
    evidence: &impl Evidence,
) -> Vec<ClassListing> {
    let (mut forth, mut back): (Neighbours, Neighbours) = Default::default();
    for (Step { outer, inner, .. }, _) in validator.dependencies().dependencies() {
        let successors = forth.entry(outer).or_default();
        if !successors.contains(&inner) {
            successors.push(inner);
            back.entry(inner).or_default().push(outer);
        }
    }
    let usage = usages(validator);
    let of_class = |class: ClassId| ClassListing {
        id: class.as_u32(),
        class: evidence.class(class),
        forward: reachable(class, &forth),
        backward: reachable(class, &back),
        usage: usage.get(&class).unwrap_or(&[Used::default(); 4]).iter().map(|used| used.character()).collect(),
        inner: forth.get(&class).into_iter().flatten().map(|inner| (inner.as_u32(), evidence.class(*inner))).collect(),
    };
    classes.map(of_class).collect()
}

type Neighbours = FxHashMap<ClassId, Vec<ClassId>>;

fn reachable(from: ClassId, neighbours: &Neighbours) -> usize {
    let mut seen = FxHashSet::from_iter([from]);
    let mut open = VecDeque::from([from]);
    while let Some(class) = open.pop_front() {
        for next in neighbours.get(&class).into_iter().flatten() {
            if seen.insert(*next) {
                open.push_back(*next);
            }
        }
    }
    seen.len()
}

/// How a class was used with regard to a context.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    inside: bool,
    enabled: bool,
}

impl Used {
    const fn character(self) -> char {
        match (self.inside, self.enabled) {
            (false, false) => '.',
            (true, false) => '-',
            (false, true) => '+',
            (true, true) => '?',
        }
    }
}

/// Returns the usage of every class: hard interrupts by writers and readers, then soft ones.
fn usages(validator: &Validator) -> FxHashMap<ClassId, [Used; 4]> {
    let mut usages: FxHashMap<ClassId, [Used; 4]> = FxHashMap::default();
    let place = |context, mode: Mode| {
        let context = [ContextId::HARDIRQ, ContextId::SOFTIRQ].iter().position(|known| *known == context)?;
        Some(2 * context + usize::from(mode.hold() == HoldKind::Shared))
    };
    let mut note = |class, context, mode, note: fn(&mut Used)| {
        if let Some(place) = place(context, mode) {
            note(&mut usages.entry(class).or_default()[place]);
        }
    };
    for (step, witness) in validator.usage().into_iter().flat_map(|graph| graph.witnessed()) {
        let Witness { outer_mode, inner_mode, .. } = *witness;
        match (step.outer, step.inner) {
            (UsageNode::Context(context), UsageNode::Class(class)) => {
                note(class, context, inner_mode, |used| used.inside = true);
            }
            (UsageNode::Class(class), UsageNode::Context(context)) => {
                note(class, context, outer_mode, |used| used.enabled = true);
            }
            _ => {}
        }
    }
    usages
}
