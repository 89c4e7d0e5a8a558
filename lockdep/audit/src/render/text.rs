//! An audit as text of at most 100 columns.

use std::fmt::Write;

use crate::{
    Audit, DocumentAudit, Verdict,
    compare::{Conflict, EdgeVerdict, Evidence, FindingAudit, History, Missing, Step, Together},
    document::Rule,
};

const WIDTH: usize = 100;

/// Renders an audit, ending in a line feed.
pub fn text(audit: &Audit) -> String {
    let mut out = Text::default();
    for document in &audit.documents {
        out.document(document);
    }
    out.conflicts("documents against each other", &audit.conflicts);
    audit.histories.iter().for_each(|history| out.history(history));
    for note in &audit.notes {
        out.line(0, &format!("note: {}: {}", note.site, note.text));
    }
    out.line(0, if audit.has_findings() { "the documents need a change" } else { "nothing to change" });
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// A line, broken at blanks where it is too long.
    fn line(&mut self, indent: usize, text: &str) {
        let mut column = 0;
        for (at, word) in text.split(' ').enumerate() {
            let width = word.chars().count();
            if at == 0 {
                self.0.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else if column + 1 + width > WIDTH {
                self.0.push('\n');
                self.0.extend(std::iter::repeat_n(' ', indent + 4));
                column = indent + 4;
            } else {
                self.0.push(' ');
                column += 1;
            }
            self.0.push_str(word);
            column += width;
        }
        self.0.push('\n');
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }

    fn document(&mut self, document: &DocumentAudit) {
        self.line(0, &summary(document));
        self.blank();
        self.rules("contradicted", document, Verdict::Contradicted);
        self.rules("ambiguous", document, Verdict::Ambiguous);
        if !document.missing.is_empty() {
            self.line(0, "missing");
            document.missing.iter().for_each(|missing| self.missing(missing));
            self.blank();
        }
        self.conflicts("the document against itself", &document.conflicts);
        self.stale(document);
        self.findings(document);
        self.table(document);
        self.instead(document);
        self.against_several(document);
        self.undocumented(document);
        self.trylocks(document);
        self.unnamed(document);
        for note in &document.notes {
            self.line(0, &format!("note: {}: {}", note.site, note.text));
        }
    }

    fn rules(&mut self, title: &str, document: &DocumentAudit, verdict: Verdict) {
        let mut rules = document.with_verdict(verdict).peekable();
        if rules.peek().is_none() {
            return;
        }
        self.line(0, title);
        for audit in rules {
            let only = if audit.is_trylock_only { ": by trylock only, and it was waited for" } else { "" };
            self.line(2, &format!("{}{only}", statement(&audit.rule)));
            if let Some(evidence) = &audit.evidence_against {
                let what = if audit.is_trylock_only { "seen" } else { "seen the other way round" };
                self.evidence(what, evidence);
            }
            if let Some(evidence) = audit.evidence_for.as_ref() {
                self.evidence("seen as documented", evidence);
            }
        }
        self.blank();
    }

    fn findings(&mut self, document: &DocumentAudit) {
        let (doubtful, certain): (Vec<_>, Vec<_>) = document.findings.iter().partition(|finding| finding.is_doubtful);
        if document.findings.is_empty() {
            return;
        }
        self.line(0, "what validators have reported, held against the document");
        for finding in certain {
            self.finding(finding);
        }
        if !doubtful.is_empty() {
            let text = "circles of names that may each stand for several classes; the first three";
            self.line(2, &format!("{} {text}:", doubtful.len()));
            for finding in doubtful.iter().take(3) {
                self.line(4, &ring(finding));
            }
        }
        self.blank();
    }

    fn finding(&mut self, finding: &FindingAudit) {
        let at = finding.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        let thread = finding.thread.as_ref().map(|thread| format!(" ({thread})")).unwrap_or_default();
        self.line(2, &format!("{at}{}{thread}", finding.title));
        if finding.edges.is_empty() && !finding.classes.is_empty() {
            self.line(4, &format!("about {}", finding.classes.join(", ")));
        }
        for edge in &finding.edges {
            let word = if edge.is_new { "new  " } else { "known" };
            let verdict = match (edge.verdict, &edge.rule) {
                (EdgeVerdict::Follows, Some(rule)) => format!("follows: {}", statement(rule)),
                (EdgeVerdict::Breaks, Some(rule)) => format!("breaks: {}", statement(rule)),
                (EdgeVerdict::Follows, None) => "follows the document".to_owned(),
                (EdgeVerdict::Breaks, None) => "breaks the document".to_owned(),
                (EdgeVerdict::Silent, _) => "the document does not say".to_owned(),
            };
            self.line(4, &format!("{word} {} -> {}", edge.outer, edge.inner));
            self.line(10, &verdict);
            self.stack(10, edge.stack.iter().map(String::as_str));
        }
        self.line(4, &format!("=> {}", finding.conclusion));
    }

    fn evidence(&mut self, what: &str, evidence: &Evidence) {
        let doubt = if evidence.is_doubtful { ", though the name may be another lock's" } else { "" };
        if let [step] = evidence.steps.as_slice() {
            self.line(4, &format!("{what}{doubt}: {step}"));
            self.line(6, &source(step, &evidence.observation));
            self.stack(6, step.stack.iter().map(|frame| frame.function.as_str()));
            return;
        }
        self.line(4, &format!("{what}{doubt}, by way of others: whoever follows the rule closes a circle"));
        for step in &evidence.steps {
            self.line(6, &step.to_string());
            self.line(8, &source(step, &evidence.observation));
            self.stack(8, step.stack.iter().map(|frame| frame.function.as_str()));
        }
    }

    /// The first functions of a stack that are not the locking itself.
    fn stack<'a>(&mut self, indent: usize, functions: impl Iterator<Item = &'a str>) {
        let functions: Vec<_> = functions.filter(|function| !is_locking(function)).take(4).collect();
        if !functions.is_empty() {
            self.line(indent, &format!("in {}", functions.join(" < ")));
        }
    }

    fn missing(&mut self, missing: &Missing) {
        let mut text = format!("{} belongs", missing.lock);
        match (&missing.place.outer, &missing.place.inner) {
            (Some((outer, o)), Some((inner, i))) => {
                let _ = write!(text, " after {outer} (line {}) and before {inner} (line {})", o.line, i.line);
            }
            (Some((outer, site)), None) => _ = write!(text, " after {outer} (line {}), innermost", site.line),
            (None, Some((inner, site))) => _ = write!(text, " before {inner} (line {}), outermost", site.line),
            (None, None) => text.push_str(" somewhere: it was seen on both sides of all its neighbours"),
        }
        if missing.name != missing.lock {
            let _ = write!(text, ", as `{}`", missing.name);
        }
        self.line(2, &text);
        for evidence in missing.after.iter().take(3).chain(missing.before.iter().take(3)) {
            self.evidence("seen", evidence);
        }
        if !missing.both_sides.is_empty() {
            let locks = missing.both_sides.join(", ");
            self.line(4, &format!("no place is right for all: it was seen before and after {locks}"));
        }
    }

    fn conflicts(&mut self, title: &str, conflicts: &[Conflict]) {
        if conflicts.is_empty() {
            return;
        }
        self.line(0, title);
        for conflict in conflicts {
            let certain = if conflict.is_certain { "" } else { " (the scopes differ)" };
            let files = |rule: &Rule| rule.after.site.file.clone();
            self.line(2, &format!("{}: {}{certain}", files(&conflict.first), statement(&conflict.first)));
            self.line(2, &format!("{}: {}", files(&conflict.second), statement(&conflict.second)));
            match (&conflict.evidence_first, &conflict.evidence_second) {
                (Some(evidence), None) => self.evidence("the first was seen", evidence),
                (None, Some(evidence)) => self.evidence("the second was seen", evidence),
                (None, None) => self.line(4, "neither was seen"),
                (Some(first), Some(second)) => {
                    self.evidence("the first was seen", first);
                    self.evidence("the second was seen", second);
                }
            }
        }
        self.blank();
    }

    fn history(&mut self, history: &History) {
        self.line(0, &format!("{} since {}", history.newer, history.older));
        for (word, locks) in [("came", &history.came), ("went", &history.went)] {
            if !locks.is_empty() {
                self.line(2, &format!("{word}: {}", locks.join(", ")));
            }
        }
        for (lock, older, newer) in &history.renamed {
            self.line(2, &format!("renamed: {lock} from {} to {}", older.join(", "), newer.join(", ")));
        }
        self.blank();
        self.conflicts("turned round", &history.turned);
    }

    fn unnamed(&mut self, document: &DocumentAudit) {
        if document.unnamed.is_empty() {
            return;
        }
        self.line(0, "seen beside documented locks, and not named at all");
        for unnamed in &document.unnamed {
            let chains: Vec<String> = unnamed.evidence.iter().map(|evidence| evidence.to_string()).collect();
            self.line(2, &format!("{}: {}", unnamed.lock, chains.join(", ")));
        }
        self.blank();
    }

    fn stale(&mut self, document: &DocumentAudit) {
        if document.stale.is_empty() {
            return;
        }
        self.line(0, "stale names");
        for stale in &document.stale {
            self.line(2, &format!("{} (line {}): {}", stale.name, stale.site.line, stale.remark));
        }
        self.blank();
    }

    fn table(&mut self, document: &DocumentAudit) {
        self.line(0, "the document, and what is known of each line's place");
        let mut group = 0;
        for entry in &document.entries {
            if entry.group != group {
                group = entry.group;
                self.line(2, &entry.scope.as_ref().map_or("--".to_owned(), |scope| format!("-- {scope}")));
            }
            let verdict = entry.verdict.map_or("", Verdict::as_str);
            let line = entry.site.line;
            self.line(2, &format!("{line:>5}  {verdict:<12}  {}{}", "  ".repeat(entry.depth), entry.label));
        }
        self.blank();
    }

    fn against_several(&mut self, document: &DocumentAudit) {
        let mut dependencies = document.against_several().peekable();
        if dependencies.peek().is_some() {
            self.line(0, "seen against what follows from several rules together");
            for audit in dependencies {
                self.evidence("seen", &audit.evidence);
            }
            self.blank();
        }
    }

    fn undocumented(&mut self, document: &DocumentAudit) {
        let mut dependencies = document.undocumented().peekable();
        if dependencies.peek().is_some() {
            self.line(
                0,
                if document.is_whole {
                    "seen, and not declared"
                } else {
                    "seen between documented locks, and not documented"
                },
            );
            for audit in dependencies {
                let below = audit.below.as_ref().map(|site| format!(": would belong below line {}", site.line));
                self.line(2, &format!("{} -> {}{}", audit.outer, audit.inner, below.unwrap_or_default()));
                self.line(6, &source(&audit.evidence.steps[0], &audit.evidence.observation));
            }
            self.blank();
        }
        if !document.nestings.is_empty() {
            self.line(0, "several of one lock held at once");
            for nesting in &document.nestings {
                let declared = nesting.declared.as_ref().map_or("not documented".to_owned(), |by| format!("by {by}"));
                let steps: Vec<String> = nesting.evidence.iter().map(Evidence::to_string).collect();
                self.line(2, &format!("{} ({declared}): {}", nesting.lock, shortened(&steps)));
            }
            self.blank();
        }
    }

    fn instead(&mut self, document: &DocumentAudit) {
        let beside: Vec<_> =
            document.rules.iter().filter_map(|audit| Some((&audit.rule, audit.instead.as_ref()?))).collect();
        if beside.is_empty() {
            return;
        }
        self.line(0, "never seen below the line above, but directly below one further out");
        for (rule, (outer, evidence)) in beside {
            let (before, after, line) = (&rule.before.name, &rule.after.name, rule.after.site.line);
            self.line(2, &format!("{after} (line {line}) below {outer}, not below {before}: {evidence}"));
        }
        self.blank();
    }

    fn trylocks(&mut self, document: &DocumentAudit) {
        let reversed = document.rules.iter().filter(|audit| audit.verdict == Verdict::Confirmed);
        let mut seen: Vec<&Together> = reversed.filter_map(|audit| audit.together_reversed.as_ref()).collect();
        seen.dedup();
        if seen.is_empty() {
            return;
        }
        self.line(0, "held against the document by trylock, which is no contradiction");
        for together in seen.into_iter().filter(|together| together.by_trylock) {
            let Together { outer, inner, at, count, .. } = together;
            self.line(2, &format!("{outer}, then {inner}: {count} sequences, the first at {at}"));
        }
        self.blank();
    }
}

/// Where a step was seen.
fn source(step: &Step, observation: &str) -> String {
    let place = match (&step.at, &step.outer_site, &step.inner_site) {
        (Some(at), _, _) => at.to_string(),
        (None, Some(outer), Some(inner)) => format!("{outer}, then {inner}"),
        (None, _, Some(inner)) => inner.to_string(),
        _ => observation.to_owned(),
    };
    let thread = step.thread.as_ref().map(|thread| format!(" ({thread})")).unwrap_or_default();
    let count = step.count.filter(|&count| count > 1).map(|count| format!(", {count} times")).unwrap_or_default();
    format!("{place}{thread}{count}")
}

/// The first few of a list.
fn shortened(list: &[String]) -> String {
    match list {
        [a, b, c, _, rest @ ..] => format!("{a}, {b}, {c} and {} more", rest.len() + 1),
        short => short.join(", "),
    }
}

fn summary(document: &DocumentAudit) -> String {
    let counts = Verdict::ALL.map(|verdict| (document.with_verdict(verdict).count(), verdict.as_str()));
    let rules: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let missing = match document.missing.len() {
        0 => String::new(),
        1 => "; 1 lock missing".to_owned(),
        n => format!("; {n} locks missing"),
    };
    let share =
        (document.with_verdict(Verdict::Confirmed).count() * 100).checked_div(document.rules.len()).unwrap_or(0);
    let all = document.rules.len();
    let word = if all == 1 { "rule" } else { "rules" };
    format!("{}: {all} {word}: {}, so {share}% confirmed{missing}", document.name, rules.join(", "))
}

fn statement(rule: &Rule) -> String {
    let scope = rule.scope.as_ref().map(|scope| format!(" [{scope}]")).unwrap_or_default();
    let term = |term: &crate::document::Term| format!("{} (line {})", term.name, term.site.line);
    format!("{} before {}{scope}", term(&rule.before), term(&rule.after))
}

fn ring(finding: &FindingAudit) -> String {
    let at = finding.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
    let classes =
        finding.edges.iter().map(|edge| edge.outer.as_str()).chain(finding.edges.first().map(|e| e.outer.as_str()));
    format!("{at}{}", classes.collect::<Vec<_>>().join(" -> "))
}

/// Whether a kernel function is part of the locking itself.
fn is_locking(function: &str) -> bool {
    const PARTS: [&str; 12] = [
        "lock_acquire",
        "__lock_acquire",
        "check_prev_add",
        "down_read",
        "down_write",
        "mutex_lock",
        "__mutex_lock",
        "mutex_lock_nested",
        "_raw_spin_lock",
        "_raw_spin_lock_irqsave",
        "_raw_spin_lock_irq",
        "_raw_spin_lock_bh",
    ];
    PARTS.contains(&function)
}
