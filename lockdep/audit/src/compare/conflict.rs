//! [`Conflict`]: two rules that exclude each other, in one document or in two.

use std::collections::HashMap;

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

/// A document's rules by the locks they mean; the adjacent one where a pair occurs more than once.
struct Rules(Vec<(String, String, Rule)>);

impl Rules {
    fn of(document: &Document, aliases: &Aliases) -> Self {
        let mut at: HashMap<(String, String), usize> = HashMap::new();
        let mut rules: Vec<(String, String, Rule)> = Vec::new();
        for rule in document.rules() {
            let lock = |name: &str| aliases.of_document(name, rule.scope.as_deref()).to_owned();
            let (before, after) = (lock(&rule.before.name), lock(&rule.after.name));
            match at.get(&(before.clone(), after.clone())) {
                Some(&known) if rule.adjacent && !rules[known].2.adjacent => rules[known].2 = rule,
                Some(_) => {}
                None => {
                    at.insert((before.clone(), after.clone()), rules.len());
                    rules.push((before, after, rule));
                }
            }
        }
        Self(rules)
    }

    fn reversed(&self, before: &str, after: &str) -> Option<&Rule> {
        self.0.iter().find(|(b, a, _)| b == after && a == before).map(|(_, _, rule)| rule)
    }
}

/// What a document says against itself.
pub(super) fn within(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Conflict> {
    let rules = Rules::of(document, aliases);
    let mut conflicts = opposite(&rules, &rules, seen);
    // Each is found from both sides.
    conflicts.retain(|conflict| conflict.first.after.site.line < conflict.second.after.site.line);
    conflicts
}

/// What documents say against each other.
pub(super) fn between(documents: &[Document], seen: &Seen<'_>, aliases: &Aliases) -> Vec<Conflict> {
    let rules: Vec<Rules> = documents.iter().map(|document| Rules::of(document, aliases)).collect();
    let pairs =
        rules.iter().enumerate().flat_map(|(at, first)| rules[at + 1..].iter().map(move |second| (first, second)));
    pairs.flat_map(|(first, second)| opposite(first, second, seen)).collect()
}

/// What one document says against another.
pub(super) fn find(first: &Document, second: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Conflict> {
    opposite(&Rules::of(first, aliases), &Rules::of(second, aliases), seen)
}

fn opposite(first: &Rules, second: &Rules, seen: &Seen<'_>) -> Vec<Conflict> {
    let conflict = |(before, after, rule): &(String, String, Rule)| {
        let opposite = second.reversed(before, after)?;
        (before != after).then(|| Conflict {
            before: before.clone(),
            after: after.clone(),
            first: rule.clone(),
            second: opposite.clone(),
            is_certain: rule.scope == opposite.scope,
            evidence_first: seen.evidence(before, after),
            evidence_second: seen.evidence(after, before),
        })
    };
    first.0.iter().filter_map(conflict).collect()
}
