//! [`Rule`]: one statement of a document, `before` is acquired before `after`.

use lockdep_core::Site;
use serde::Serialize;

use super::{DeclaredMode, Entry, Group};

/// A lock as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Term {
    /// The name as it is written.
    pub name: String,
    /// The line that has it.
    pub site: Site,
    /// How the lock is held, where the rule is only about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<DeclaredMode>,
}

/// A statement of a document: whoever takes both takes `before` first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The outer lock.
    pub before: Term,
    /// The inner lock.
    pub after: Term,
    /// Where the statement applies; `None` for everywhere.
    pub scope: Option<String>,
    /// Whether the inner lock stands directly below the outer one.
    pub adjacent: bool,
}

/// The rules of a group, in the order of the inner lock, the nearest outer lock first.
pub(super) fn of_group(group: &Group) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (at, after) in group.entries.iter().enumerate() {
        for (distance, outer) in group.ancestors(at).enumerate() {
            pairs(&group.entries[outer], after, |before, after| {
                rules.push(Rule { before, after, scope: group.scope.clone(), adjacent: distance == 0 });
            });
        }
    }
    rules
}

fn pairs(before: &Entry, after: &Entry, mut each: impl FnMut(Term, Term)) {
    let term = |entry: &Entry, name: &str| Term { name: name.to_owned(), site: entry.site.clone(), mode: entry.mode };
    for outer in before.names() {
        for inner in after.names() {
            each(term(before, outer), term(after, inner));
        }
    }
}
