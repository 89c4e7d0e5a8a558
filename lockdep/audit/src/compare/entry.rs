//! [`EntryAudit`]: a documented line with the verdict on its place.

use lockdep_core::Site;
use serde::Serialize;

use super::{RuleAudit, Verdict};
use crate::{Aliases, Document, document::Group};

/// A line of a document and what the observations say of its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryAudit {
    /// The names as the document writes them.
    pub label: String,
    /// The locks that they mean.
    pub locks: Vec<String>,
    /// How many lines it is nested in.
    pub depth: usize,
    /// The number of its group.
    pub group: usize,
    /// Where the group applies; `None` for everywhere.
    pub scope: Option<String>,
    /// The line.
    pub site: Site,
    /// The verdict: contradicted if any rule that it is the inner lock of is; else what is known of the rules with the
    /// line that it is nested in. `None` for a root.
    pub verdict: Option<Verdict>,
}

/// The lines of a document with their verdicts.
pub(super) fn judge_all(document: &Document, rules: &[RuleAudit], aliases: &Aliases) -> Vec<EntryAudit> {
    let groups = document.groups.iter().enumerate();
    groups
        .flat_map(|(at, group)| (0..group.entries.len()).map(move |entry| judge(at, group, entry, rules, aliases)))
        .collect()
}

fn judge(number: usize, group: &Group, at: usize, rules: &[RuleAudit], aliases: &Aliases) -> EntryAudit {
    let entry = &group.entries[at];
    let scope = group.scope.as_deref();
    let mut locks: Vec<String> = entry.names().map(|name| aliases.of_document(name, scope).to_owned()).collect();
    locks.dedup();
    let names: Vec<&str> = entry.names().collect();
    let is_here = |audit: &&RuleAudit| {
        let term = &audit.rule.after;
        term.site == entry.site && names.contains(&term.name.as_str())
    };
    let here: Vec<&RuleAudit> = rules.iter().filter(is_here).collect();
    let has = |verdict, adjacent: bool| here.iter().any(|a| a.verdict == verdict && (a.rule.adjacent || !adjacent));
    let verdict = if has(Verdict::Contradicted, false) {
        Some(Verdict::Contradicted)
    } else {
        let order = [Verdict::Ambiguous, Verdict::Confirmed, Verdict::Invisible, Verdict::Unobserved];
        order.into_iter().find(|&verdict| has(verdict, true))
    };
    EntryAudit {
        label: entry.label(),
        locks,
        depth: group.ancestors(at).count(),
        group: number,
        scope: group.scope.clone(),
        site: entry.site.clone(),
        verdict,
    }
}
