//! What a document says of an observed dependency.

use std::collections::{BTreeMap, BTreeSet};

use lockdep_core::Site;
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
pub(super) struct Closure(BTreeMap<String, BTreeSet<String>>);

impl Closure {
    pub(super) fn of(document: &Document, aliases: &Aliases) -> Self {
        let mut direct: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (group, entry) in document.entries() {
            for name in entry.names() {
                direct.entry(aliases.of_document(name, group.scope.as_deref()).to_owned()).or_default();
            }
        }
        for rule in document.rules() {
            let lock = |name: &str| aliases.of_document(name, rule.scope.as_deref()).to_owned();
            direct.entry(lock(&rule.before.name)).or_default().insert(lock(&rule.after.name));
        }
        let reach = |start: &String| {
            let (mut found, mut todo) = (BTreeSet::new(), vec![start]);
            while let Some(lock) = todo.pop() {
                todo.extend(direct[lock].iter().filter(|&next| found.insert(next.clone())));
            }
            (start.clone(), found)
        };
        Self(direct.keys().map(reach).collect())
    }

    /// Whether the document has the lock at all.
    pub(super) fn has(&self, lock: &str) -> bool {
        self.0.contains_key(lock)
    }

    /// Whether the document puts one lock before another.
    pub(super) fn is_before(&self, before: &str, after: &str) -> bool {
        self.0.get(before).is_some_and(|inner| inner.contains(after))
    }
}

pub(super) fn judge_all(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<DependencyAudit> {
    let closure = Closure::of(document, aliases);
    let is_meant = |outer: &str, inner: &str| match document.is_whole() {
        true => !document.ignores(outer) && !document.ignores(inner),
        false => closure.has(outer) && closure.has(inner),
    };
    let known = seen.direct().into_iter().filter(|(outer, inner)| is_meant(outer, inner));
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
    known.filter_map(judge).collect()
}
