//! What a document says of an observed dependency.

use std::collections::{BTreeSet, HashMap};

use lockdep_core::Site;
use petgraph::{
    algo::has_path_connecting,
    graph::{DiGraph, NodeIndex},
};
use serde::Serialize;

use super::{Evidence, Seen};
use crate::{
    Aliases, Document,
    document::{Entry, Group},
};

/// What a document says of an observed dependency `outer -> inner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyVerdict {
    /// It follows from the document.
    Implied,
    /// The document says the opposite.
    Contradicts,
    /// The document has both locks and no order between them.
    Undocumented,
}

/// An observed dependency between two documented locks; any two, where the document means to have all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DependencyAudit {
    /// The lock that was held.
    pub outer: String,
    /// The lock that was acquired.
    pub inner: String,
    /// What the document says.
    pub verdict: DependencyVerdict,
    /// Of an undocumented dependency: the line below which the inner lock would belong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Site>,
    /// The dependency.
    pub evidence: Evidence,
}

/// Which lock a document puts before which, directly or by way of others.
pub(super) struct Closure<'a> {
    nodes: HashMap<&'a str, NodeIndex>,
    /// A lock and what is nested directly below it.
    graph: DiGraph<&'a str, ()>,
}

impl<'a> Closure<'a> {
    pub(super) fn of(document: &'a Document, aliases: &'a Aliases) -> Self {
        let mut closure = Self { nodes: HashMap::new(), graph: DiGraph::new() };
        for group in &document.groups {
            for entry in &group.entries {
                let outer = entry.parent.filter(|_| !group.is_trylock_only).map(|parent| &group.entries[parent]);
                for inner in entry.names().map(|name| aliases.of_document(name, group.scope.as_deref())) {
                    let inner = closure.node(inner);
                    for outer in outer.into_iter().flat_map(Entry::names) {
                        let outer = closure.node(aliases.of_document(outer, group.scope.as_deref()));
                        closure.graph.update_edge(outer, inner, ());
                    }
                }
            }
        }
        closure
    }

    fn node(&mut self, lock: &'a str) -> NodeIndex {
        *self.nodes.entry(lock).or_insert_with(|| self.graph.add_node(lock))
    }

    /// Whether the document has the lock at all.
    pub(super) fn has(&self, lock: &str) -> bool {
        self.nodes.contains_key(lock)
    }

    /// Whether the document puts one lock before another.
    pub(super) fn is_before(&self, before: &str, after: &str) -> bool {
        let (Some(&before), Some(&after)) = (self.nodes.get(before), self.nodes.get(after)) else { return false };
        before != after && has_path_connecting(&self.graph, before, after, None)
    }
}

pub(super) fn judge_all(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<DependencyAudit> {
    let closure = Closure::of(document, aliases);
    let is_meant = |outer: &str, inner: &str| match document.is_whole() {
        true => !document.ignores(outer) && !document.ignores(inner),
        false => closure.has(outer) && closure.has(inner),
    };
    let direct = seen.direct();
    let meant = direct.all_edges().filter(|(outer, inner, ())| is_meant(outer, inner));
    let known: BTreeSet<_> = meant.map(|(outer, inner, ())| (outer, inner)).collect();
    let judge = |(outer, inner): (&str, &str)| {
        let evidence = seen.evidence(outer, inner)?;
        let verdict = match (closure.is_before(outer, inner), closure.is_before(inner, outer)) {
            (true, _) => DependencyVerdict::Implied,
            (false, true) => DependencyVerdict::Contradicts,
            (false, false) => DependencyVerdict::Undocumented,
        };
        let is_outer = |(group, entry): &(&Group, &Entry)| {
            entry.names().any(|name| aliases.of_document(name, group.scope.as_deref()) == outer)
        };
        let line = document.entries().find(is_outer).map(|(_, entry)| entry.site.clone());
        let below = line.filter(|_| verdict == DependencyVerdict::Undocumented);
        Some(DependencyAudit { outer: outer.to_owned(), inner: inner.to_owned(), verdict, below, evidence })
    };
    known.into_iter().filter_map(judge).collect()
}
