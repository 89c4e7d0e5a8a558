//! [`audit`]: every statement of a document held against every observation.
//!
//! `seen` knows which lock was observed before which, by what evidence; `rule` judges a documented rule with it,
//! `dependency` an observed dependency; `missing` finds locks that a document lacks and their place, `conflict` what
//! documents say against each other.

mod conflict;
mod dependency;
mod entry;
mod evidence;
mod finding;
mod history;
mod missing;
mod nesting;
mod rule;
mod seen;
mod stale;
mod unnamed;

pub use conflict::Conflict;
pub use dependency::{DependencyAudit, DependencyVerdict};
pub use entry::EntryAudit;
pub use evidence::{Evidence, Step, Together};
pub use finding::{EdgeAudit, EdgeVerdict, FindingAudit};
pub use history::History;
use lockdep_core::Site;
pub(crate) use missing::Search;
pub use missing::{Missing, Place};
pub use nesting::Nesting;
pub use rule::{RuleAudit, Verdict};
pub(crate) use seen::Seen;
use serde::Serialize;
pub use stale::Stale;
pub use unnamed::Unnamed;

use crate::{Aliases, Document, Observation, document::Note};

/// Everything that an audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The names of the observed files.
    pub observations: Vec<String>,
    /// One part per document.
    pub documents: Vec<DocumentAudit>,
    /// What two documents say against each other.
    pub conflicts: Vec<Conflict>,
    /// Documents held against older versions of themselves.
    pub histories: Vec<History>,
    /// How many findings of validators the observations have, doubtful ones left out.
    pub reported: usize,
    /// What is remarkable about the observed files.
    pub notes: Vec<Note>,
}

/// What an audit found about one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocumentAudit {
    /// The document's file.
    pub name: String,
    /// Every line with the verdict on its place.
    pub entries: Vec<EntryAudit>,
    /// Every documented rule with its verdict.
    pub rules: Vec<RuleAudit>,
    /// Whether the document means to have every lock, so that a dependency that it does not have is a finding.
    pub is_whole: bool,
    /// Every observed dependency between two documented locks; between any two, if the document is whole.
    pub dependencies: Vec<DependencyAudit>,
    /// Documented locks of which several were held at once.
    pub nestings: Vec<Nesting>,
    /// Observed locks that the document should have.
    pub missing: Vec<Missing>,
    /// Observed locks of the document's subject that it does not name.
    pub unnamed: Vec<Unnamed>,
    /// What the document says against itself.
    pub conflicts: Vec<Conflict>,
    /// Names that the observed kernel does not have any more.
    pub stale: Vec<Stale>,
    /// What validators have reported, held against the document.
    pub findings: Vec<FindingAudit>,
    /// What was not understood.
    pub notes: Vec<Note>,
}

impl DocumentAudit {
    /// Returns the rule that says `before -> after`, by the names as the document writes them.
    pub fn rule(&self, before: &str, after: &str) -> Option<&RuleAudit> {
        self.rules.iter().find(|audit| audit.rule.before.name == before && audit.rule.after.name == after)
    }

    /// Returns the rules with this verdict.
    pub fn with_verdict(&self, verdict: Verdict) -> impl Iterator<Item = &RuleAudit> {
        self.rules.iter().filter(move |audit| audit.verdict == verdict)
    }

    /// Returns whether something must be changed: a contradicted rule, a missing lock, two rules of one scope that
    /// exclude each other, or, if the document is whole, a dependency that it does not have.
    pub fn has_findings(&self) -> bool {
        self.with_verdict(Verdict::Contradicted).next().is_some()
            || !self.missing.is_empty()
            || self.conflicts.iter().any(|conflict| conflict.is_certain)
            || self.against_several().next().is_some()
            || self.is_whole && (self.undocumented().next().is_some() || self.undeclared_nestings().next().is_some())
    }

    /// Returns the observed dependencies that the document does not have.
    pub fn undocumented(&self) -> impl Iterator<Item = &DependencyAudit> {
        self.dependencies.iter().filter(|audit| audit.verdict == DependencyVerdict::Undocumented)
    }

    /// Returns the observed dependencies that no single rule excludes, but several rules together do.
    pub fn against_several(&self) -> impl Iterator<Item = &DependencyAudit> {
        let against = self.dependencies.iter().filter(|audit| audit.verdict == DependencyVerdict::Contradicts);
        against.filter(|audit| !self.rules.iter().any(|rule| rule.before == audit.inner && rule.after == audit.outer))
    }

    /// Returns the nestings of one lock in itself that the document does not declare.
    pub fn undeclared_nestings(&self) -> impl Iterator<Item = &Nesting> {
        self.nestings.iter().filter(|nesting| nesting.declared.is_none())
    }
}

impl Audit {
    /// Returns whether a document, or two together, must be changed, or a validator has reported something.
    pub fn has_findings(&self) -> bool {
        self.conflicts.iter().any(|conflict| conflict.is_certain)
            || self.documents.iter().any(DocumentAudit::has_findings)
            || self.reported > 0
    }
}

/// Holds documents against observations.
///
/// # Complexity
///
/// One breadth-first search of an observation for each class that a document names.
pub fn audit(documents: &[Document], observations: &[Observation], aliases: &Aliases) -> Audit {
    let seen = Seen::new(observations, aliases);
    let of_one = |document: &Document| {
        let rules = rule::judge_all(document, &seen, aliases);
        DocumentAudit {
            name: document.name.clone(),
            entries: entry::judge_all(document, &rules, aliases),
            rules,
            dependencies: dependency::judge_all(document, &seen, aliases),
            is_whole: document.is_whole(),
            nestings: nesting::find(document, &seen, aliases),
            missing: missing::find(document, &seen, aliases),
            unnamed: unnamed::find(document, &seen, aliases),
            conflicts: conflict::within(document, &seen, aliases),
            stale: stale::find(document, &seen, aliases),
            findings: finding::judge_all(document, observations, aliases),
            notes: document.notes.clone(),
        }
    };
    Audit {
        observations: observations.iter().map(|observation| observation.name().to_owned()).collect(),
        documents: documents.iter().map(of_one).collect(),
        conflicts: conflict::between(documents, &seen, aliases),
        histories: Vec::new(),
        reported: observations.iter().flat_map(|o| &o.findings).filter(|finding| !finding.is_doubtful).count(),
        notes: observations.iter().flat_map(notes).collect(),
    }
}

/// What is remarkable about an observation; that it is empty, too, since then nothing is contradicted.
fn notes(observation: &Observation) -> Vec<Note> {
    let is_empty = observation.graph().edge_count() == 0 && observation.findings.is_empty();
    let site = Site { file: observation.name().to_owned(), line: 1, column: 0 };
    let text = "no dependency was observed, so nothing can be said about any rule".to_owned();
    observation.notes.iter().cloned().chain(is_empty.then_some(Note { site, text })).collect()
}

/// Holds a document against an older version of itself, for [`Audit::histories`].
pub fn history(older: &Document, newer: &Document, observations: &[Observation], aliases: &Aliases) -> History {
    history::compare(older, newer, &Seen::new(observations, aliases), aliases)
}
