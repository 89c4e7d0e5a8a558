//! [`Conflict`]: two rules that exclude each other, in one document or in two.

use petgraph::graphmap::DiGraphMap;
use serde::Serialize;

use super::{Evidence, Seen};
use crate::{Aliases, Document, document::Rule};

/// Two rules, one of which says `a -> b` and the other `b -> a`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The lock that the first rule puts before the other.
    pub before: String,
    /// The other lock.
    pub after: String,
    /// The rule that says `before -> after`.
    pub first: Rule,
    /// The rule that says `after -> before`.
    pub second: Rule,
    /// Whether both rules apply everywhere, or in the same scope, so that one of them must be wrong.
    pub is_certain: bool,
    /// What was observed for the first rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_first: Option<Evidence>,
    /// What was observed for the second rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_second: Option<Evidence>,
}

/// A document's rules as a graph of the locks that they mean; the adjacent one where a pair occurs more than once.
type Rules<'a> = DiGraphMap<&'a str, &'a Rule>;

fn graph<'a>(rules: &'a [Rule], aliases: &'a Aliases) -> Rules<'a> {
    let mut graph = Rules::new();
    for rule in rules {
        let lock = |name: &'a str| aliases.of_document(name, rule.scope.as_deref());
        let (before, after) = (lock(&rule.before.name), lock(&rule.after.name));
        if graph.edge_weight(before, after).is_none_or(|known| rule.adjacent && !known.adjacent) {
            graph.add_edge(before, after, rule);
        }
    }
    graph
}

/// What a document says against itself.
pub(super) fn within(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Conflict> {
    let rules = document.rules();
    let graph = graph(&rules, aliases);
    let mut conflicts = opposite(&graph, &graph, seen);
    // Each is found from both sides.
    conflicts.retain(|conflict| conflict.first.after.site.line < conflict.second.after.site.line);
    conflicts
}

/// What documents say against each other.
pub(super) fn between(documents: &[Document], seen: &Seen<'_>, aliases: &Aliases) -> Vec<Conflict> {
    let rules: Vec<_> = documents.iter().map(Document::rules).collect();
    let graphs: Vec<_> = rules.iter().map(|rules| graph(rules, aliases)).collect();
    let pairs =
        graphs.iter().enumerate().flat_map(|(at, first)| graphs[at + 1..].iter().map(move |second| (first, second)));
    pairs.flat_map(|(first, second)| opposite(first, second, seen)).collect()
}

/// What one document says against another.
pub(super) fn find(first: &Document, second: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Conflict> {
    let (first, second) = (first.rules(), second.rules());
    opposite(&graph(&first, aliases), &graph(&second, aliases), seen)
}

fn opposite(first: &Rules<'_>, second: &Rules<'_>, seen: &Seen<'_>) -> Vec<Conflict> {
    let conflict = |(before, after, rule): (&str, &str, &&Rule)| {
        let opposite = *second.edge_weight(after, before)?;
        (before != after).then(|| Conflict {
            before: before.to_owned(),
            after: after.to_owned(),
            first: (*rule).clone(),
            second: opposite.clone(),
            is_certain: rule.scope == opposite.scope,
            evidence_first: seen.evidence(before, after),
            evidence_second: seen.evidence(after, before),
        })
    };
    first.all_edges().filter_map(conflict).collect()
}
