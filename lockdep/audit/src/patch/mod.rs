//! [`Patch`]: the smallest edit of a document that makes it agree with what was observed.
//!
//! Contradicted lines move first, one at a time: of all locks in contradicted rules the one is moved whose new place
//! leaves the fewest contradictions, and of equals the one that changes the fewest lines. Then the missing locks get
//! their lines. Each step is an edit of the text (`edit`), read and audited anew; a step that does not help is not made.

mod edit;

use similar::TextDiff;

use crate::{
    Aliases, Audit, Document, InputError, Observation, Verdict, audit,
    compare::{Search, Seen},
};
use edit::{Line, Text};

/// How many steps a patch has at the most: more than any real comment needs.
const STEPS_MAX: usize = 40;

/// An edit of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The edited text.
    pub text: String,
    /// What was done, a line each.
    pub steps: Vec<String>,
    /// What could not be mended, a line each.
    pub left: Vec<String>,
    original: String,
}

impl Patch {
    /// Returns the patch as a unified diff that `git apply` accepts; empty if nothing changes.
    pub fn diff(&self, path: &str) -> String {
        if self.text == self.original {
            return String::new();
        }
        let path = path.trim_start_matches('/');
        let diff = TextDiff::from_lines(&self.original, &self.text);
        diff.unified_diff().context_radius(3).header(&format!("a/{path}"), &format!("b/{path}")).to_string()
    }
}

/// Finds the smallest edit of a document's text that removes what the observations contradict and adds what they show
/// to be missing.
///
/// # Errors
///
/// If the text cannot be read as a document.
///
/// ```
/// use lockdep_audit::{Aliases, Observation, observe::{Source, Witness}, patch::propose};
///
/// let mut seen = Observation::new("run", Source::Journal);
/// let (a, b, c) = (seen.add_class("a"), seen.add_class("b"), seen.add_class("c"));
/// seen.add_dependency(c, b, Witness::default());
/// seen.add_dependency(a, b, Witness::default());
/// let text = "/*\n * Lock ordering:\n *\n * a\n *   b\n *     c\n */\n";
/// let patch = propose("x.c", text, &[seen], &Aliases::empty()).unwrap();
/// assert_eq!(patch.text, "/*\n * Lock ordering:\n *\n * a\n *   c\n *     b\n */\n");
/// assert!(patch.diff("x.c").starts_with("--- a/x.c\n+++ b/x.c\n@@ "));
/// ```
pub fn propose(name: &str, text: &str, observations: &[Observation], aliases: &Aliases) -> Result<Patch, InputError> {
    let mut state = State::new(name, text.to_owned(), observations, aliases)?;
    let mut steps = Vec::new();
    while steps.len() < STEPS_MAX {
        let next = state.moves().into_iter().chain(state.additions());
        let better = next.filter(|(_, next)| next.score() < state.score());
        let Some((step, next)) = better.min_by_key(|(_, next)| (next.score(), next.distance(&state))) else { break };
        steps.push(step);
        state = next;
    }
    let document = &state.audit.documents[0];
    let contradicted = document.with_verdict(Verdict::Contradicted);
    let rules = contradicted.map(|audit| format!("{} before {}", audit.rule.before.name, audit.rule.after.name));
    let missing = document.missing.iter().map(|missing| format!("{} is missing", missing.lock));
    let left = rules.chain(missing).collect();
    Ok(Patch { text: state.text, steps, left, original: text.to_owned() })
}

/// A text with its audit.
struct State<'a> {
    name: &'a str,
    text: String,
    observations: &'a [Observation],
    aliases: &'a Aliases,
    document: Document,
    audit: Audit,
}

impl<'a> State<'a> {
    fn new(
        name: &'a str,
        text: String,
        observations: &'a [Observation],
        aliases: &'a Aliases,
    ) -> Result<Self, InputError> {
        let document = Document::parse(name, text.as_bytes())?;
        let audit = audit(std::slice::from_ref(&document), observations, aliases);
        Ok(Self { name, text, observations, aliases, document, audit })
    }

    /// What is wrong: contradictions first, then missing locks, then ambiguities.
    fn score(&self) -> (usize, usize, usize) {
        let document = &self.audit.documents[0];
        let count = |verdict| document.with_verdict(verdict).count();
        (count(Verdict::Contradicted), document.missing.len(), count(Verdict::Ambiguous))
    }

    /// How many lines differ.
    fn distance(&self, other: &Self) -> usize {
        let diff = TextDiff::from_lines(&other.text, &self.text);
        diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal).count()
    }

    fn with(&self, text: String) -> Option<Self> {
        Self::new(self.name, text, self.observations, self.aliases).ok()
    }

    /// Every contradicted lock, moved to its best place.
    fn moves(&self) -> Vec<(String, Self)> {
        let mut lines: Vec<u32> = Vec::new();
        for audit in self.audit.documents[0].with_verdict(Verdict::Contradicted) {
            lines.extend([audit.rule.before.site.line, audit.rule.after.site.line]);
        }
        lines.sort_unstable();
        lines.dedup();
        lines.into_iter().filter_map(|line| self.moved(line)).collect()
    }

    fn moved(&self, line: u32) -> Option<(String, Self)> {
        let (group, entry) = Text::find(&self.document, line)?;
        let taken = &self.document.groups[group].entries[entry];
        let [names] = taken.locks.as_slice() else { return None };
        let [name] = names.as_slice() else { return None };
        let (text, line) = Text::new(&self.text).without(&self.document, group, entry)?;
        let lock = self.aliases.of_document(name, self.document.groups[group].scope.as_deref());
        let next = self.with(text)?.placed(lock, &line)?;
        Some((format!("move `{name}`"), next))
    }

    /// The missing locks, each at its place.
    fn additions(&self) -> Vec<(String, Self)> {
        let missing = self.audit.documents[0].missing.iter();
        let added = missing.filter_map(|missing| {
            let about = self.aliases.info(&missing.lock).and_then(|info| info.about.as_ref());
            let about = about.map(|about| format!(" ({about})")).unwrap_or_default();
            let line = Line::new(&self.document, &missing.lock, &missing.name, &about);
            Some((format!("add `{line}`"), self.placed(&missing.lock, &line)?))
        });
        added.collect()
    }

    /// The text with a line for a lock at its best place.
    fn placed(&self, lock: &str, line: &Line) -> Option<Self> {
        let seen = Seen::new(self.observations, self.aliases);
        let place = Search::new(&self.document, &seen, self.aliases, lock).best()?;
        self.with(Text::new(&self.text).with(&self.document, &place, line)?)
    }
}
