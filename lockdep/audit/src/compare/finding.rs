//! [`FindingAudit`]: a validator's report held against a document, edge by edge.
//!
//! A circle cannot follow an order all the way round: at least one of its dependencies breaks it. Which one, tells
//! which side is likely wrong: the new acquisition, what was learnt before, or the document.

use lockdep_core::Site;
use serde::Serialize;

use super::dependency::Closure;
use crate::{
    Aliases, Document, Observation,
    document::Rule,
    observe::{Edge, Finding},
};

/// What a document says of a dependency of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeVerdict {
    /// The document has this order.
    Follows,
    /// The document has the opposite order.
    Breaks,
    /// The document does not say.
    Silent,
}

/// A dependency of a finding with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EdgeAudit {
    /// The class that was held.
    pub outer: String,
    /// The class that was acquired.
    pub inner: String,
    /// Whether it is the one that the report is about, the others being known before.
    pub is_new: bool,
    /// What the document says.
    pub verdict: EdgeVerdict,
    /// Whether another observation has a dependency between the same locks, so that it is no accident of this run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_seen_elsewhere: bool,
    /// The rule that it follows or breaks, where a single one says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// The functions that acquired the inner lock, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
    /// Where the observed file has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Site>,
}

/// A finding held against a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingAudit {
    /// The title, as its source has it.
    pub title: String,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Site>,
    /// The thread that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The classes that it is about.
    pub classes: Vec<String>,
    /// Its dependencies, the new one first.
    pub edges: Vec<EdgeAudit>,
    /// Whether a name may stand for several classes, so that the finding may be none.
    pub is_doubtful: bool,
    /// What follows from the verdicts.
    pub conclusion: String,
}

pub(super) fn judge_all(document: &Document, observations: &[Observation], aliases: &Aliases) -> Vec<FindingAudit> {
    let closure = Closure::of(document, aliases);
    let rules = document.rules();
    let all = observations.iter().flat_map(|seen| seen.findings.iter().map(move |finding| (seen, finding)));
    let judge = |seen| Judge { seen, observations, aliases, closure: &closure, rules: &rules };
    all.map(|(seen, finding)| judge(seen).judge(finding)).collect()
}

struct Judge<'a> {
    seen: &'a Observation,
    observations: &'a [Observation],
    aliases: &'a Aliases,
    closure: &'a Closure<'a>,
    rules: &'a [Rule],
}

impl Judge<'_> {
    fn judge(&self, finding: &Finding) -> FindingAudit {
        let edges: Vec<EdgeAudit> =
            finding.edges.iter().enumerate().map(|(at, edge)| self.edge(edge, at == 0)).collect();
        FindingAudit {
            title: finding.title.clone(),
            at: finding.at.clone(),
            thread: finding.thread.clone(),
            classes: finding.classes.iter().map(|&class| self.class(class)).collect(),
            is_doubtful: finding.is_doubtful,
            conclusion: conclusion(&edges).to_owned(),
            edges,
        }
    }

    fn class(&self, class: usize) -> String {
        self.seen.classes()[class].name.to_string()
    }

    fn edge(&self, edge: &Edge, is_new: bool) -> EdgeAudit {
        let outer = self.aliases.of_class(self.seen, edge.outer).0;
        let inner = self.aliases.of_class(self.seen, edge.inner).0;
        let verdict = match (self.closure.is_before(outer, inner), self.closure.is_before(inner, outer)) {
            (true, false) => EdgeVerdict::Follows,
            (false, true) => EdgeVerdict::Breaks,
            _ => EdgeVerdict::Silent,
        };
        let rule = match verdict {
            EdgeVerdict::Follows => self.rule(outer, inner),
            EdgeVerdict::Breaks => self.rule(inner, outer),
            EdgeVerdict::Silent => None,
        };
        EdgeAudit {
            outer: self.class(edge.outer),
            inner: self.class(edge.inner),
            is_new,
            verdict,
            is_seen_elsewhere: verdict == EdgeVerdict::Breaks && self.is_elsewhere(outer, inner),
            rule: rule.cloned(),
            stack: edge.stack.clone(),
            at: edge.at.clone(),
        }
    }

    fn is_elsewhere(&self, outer: &str, inner: &str) -> bool {
        let others = self.observations.iter().filter(|other| !std::ptr::eq(*other, self.seen));
        let mut dependencies = others.flat_map(|other| other.graph().all_edges().map(move |(o, i, _)| (other, o, i)));
        let lock = |other, class| self.aliases.of_class(other, class).0;
        dependencies.any(|(other, o, i)| lock(other, o) == outer && lock(other, i) == inner)
    }

    fn rule(&self, before: &str, after: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            let lock = |name| self.aliases.of_document(name, rule.scope.as_deref());
            lock(&rule.before.name) == before && lock(&rule.after.name) == after
        })
    }
}

fn conclusion(edges: &[EdgeAudit]) -> &'static str {
    let breaks = |is_new: bool| edges.iter().any(|e| e.is_new == is_new && e.verdict == EdgeVerdict::Breaks);
    let is_silent = edges.iter().all(|edge| edge.verdict == EdgeVerdict::Silent);
    let known = edges.iter().filter(|edge| !edge.is_new && edge.verdict == EdgeVerdict::Breaks);
    let is_usual = known.clone().next().is_some() && known.clone().all(|edge| edge.is_seen_elsewhere);
    match (breaks(true), breaks(false)) {
        _ if edges.is_empty() => "not about an order",
        (true, true) if is_usual => {
            "the new acquisition breaks the documented order: it is likely wrong; what was known before was seen elsewhere, \
             too: there the document is likely wrong"
        }
        (false, true) if is_usual => {
            "what was known before breaks the documented order, and was seen elsewhere, too: the document is likely wrong"
        }
        (true, false) => "the new acquisition breaks the documented order: it is likely wrong",
        (false, true) => {
            "what was known before breaks the documented order: that code, or the document, is likely wrong"
        }
        (true, true) => "the new acquisition and what was known before both break the documented order",
        (false, false) if is_silent => "the document does not say",
        (false, false) => "no dependency breaks the documented order: it does not cover the others",
    }
}
