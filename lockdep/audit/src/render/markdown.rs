//! An audit as Markdown.

use std::fmt::Write;

use crate::{
    Audit, DocumentAudit, Verdict,
    compare::{Conflict, EdgeVerdict, Evidence, FindingAudit, Missing},
    document::Rule,
};

/// Renders an audit.
pub fn markdown(audit: &Audit) -> String {
    let mut out = String::new();
    for document in &audit.documents {
        section(&mut out, document);
    }
    if !audit.conflicts.is_empty() {
        out.push_str("## Documents against each other\n\n");
        audit.conflicts.iter().for_each(|each| conflict(&mut out, each));
        out.push('\n');
    }
    for note in &audit.notes {
        let _ = writeln!(out, "Note: `{}`: {}\n", note.site, note.text);
    }
    out.push_str(if audit.has_findings() { "**The documents need a change.**\n" } else { "Nothing to change.\n" });
    out
}

fn section(out: &mut String, document: &DocumentAudit) {
    let _ = writeln!(out, "## {}\n\n| verdict | rules |\n|---|---:|", document.name);
    for verdict in Verdict::ALL {
        let _ = writeln!(out, "| {verdict} | {} |", document.with_verdict(verdict).count());
    }
    out.push('\n');
    rules(out, "Contradicted", document, Verdict::Contradicted);
    rules(out, "Ambiguous", document, Verdict::Ambiguous);
    if !document.missing.is_empty() {
        out.push_str("### Missing\n\n");
        document.missing.iter().for_each(|each| missing(out, each));
        out.push('\n');
    }
    if !document.conflicts.is_empty() {
        out.push_str("### Against itself\n\n");
        document.conflicts.iter().for_each(|each| conflict(out, each));
        out.push('\n');
    }
    if !document.stale.is_empty() {
        out.push_str("### Stale names\n\n");
        for stale in &document.stale {
            let _ = writeln!(out, "- {} (line {}): {}", code(&stale.name), stale.site.line, stale.remark);
        }
        out.push('\n');
    }
    let certain: Vec<_> = document.findings.iter().filter(|finding| !finding.is_doubtful).collect();
    if !certain.is_empty() {
        out.push_str("### Reports of validators\n\n");
        certain.into_iter().for_each(|each| finding(out, each));
        out.push('\n');
    }
    lines(out, document);
    undocumented(out, document);
}

fn rules(out: &mut String, title: &str, document: &DocumentAudit, verdict: Verdict) {
    if document.with_verdict(verdict).next().is_none() {
        return;
    }
    let _ = writeln!(out, "### {title}\n");
    for audit in document.with_verdict(verdict) {
        let _ = writeln!(out, "- {}", statement(&audit.rule));
        let sides = [("against", &audit.evidence_against), ("for", &audit.evidence_for)];
        for (side, evidence) in sides.into_iter().filter_map(|(side, e)| e.as_ref().map(|e| (side, e))) {
            let _ = writeln!(out, "  - {side}: {}", path(evidence));
        }
    }
    out.push('\n');
}

fn missing(out: &mut String, missing: &Missing) {
    let bound = |bound: &Option<(String, lockdep_core::Site)>| {
        bound.as_ref().map(|(name, site)| format!("{} (line {})", code(name), site.line))
    };
    let place = match (bound(&missing.place.outer), bound(&missing.place.inner)) {
        (Some(outer), Some(inner)) => format!("after {outer}, before {inner}"),
        (Some(outer), None) => format!("after {outer}, innermost"),
        (None, Some(inner)) => format!("before {inner}, outermost"),
        (None, None) => "no place can be told".to_owned(),
    };
    let _ = writeln!(out, "- {}: {place}", code(&missing.lock));
    for evidence in missing.after.iter().take(2).chain(missing.before.iter().take(2)) {
        let _ = writeln!(out, "  - {}", path(evidence));
    }
    if !missing.both_sides.is_empty() {
        let locks: Vec<_> = missing.both_sides.iter().map(|lock| code(lock)).collect();
        let _ = writeln!(out, "  - seen before and after {}", locks.join(", "));
    }
}

fn conflict(out: &mut String, conflict: &Conflict) {
    let scopes = if conflict.is_certain { "" } else { " (the scopes differ)" };
    let file = |rule: &Rule| rule.after.site.file.clone();
    let (first, second) = (&conflict.first, &conflict.second);
    let _ = writeln!(out, "- {}: {}{scopes}", file(first), statement(first));
    let _ = writeln!(out, "  - {}: {}", file(second), statement(second));
    for (which, evidence) in [("first", &conflict.evidence_first), ("second", &conflict.evidence_second)] {
        if let Some(evidence) = evidence {
            let _ = writeln!(out, "  - the {which} was seen: {}", path(evidence));
        }
    }
}

fn finding(out: &mut String, finding: &FindingAudit) {
    let at = finding.at.as_ref().map(|at| format!(" at `{at}`")).unwrap_or_default();
    let _ = writeln!(out, "- {}{at}: {}", finding.title, finding.conclusion);
    for edge in &finding.edges {
        let verdict = match edge.verdict {
            EdgeVerdict::Follows => "follows",
            EdgeVerdict::Breaks => "**breaks**",
            EdgeVerdict::Silent => "not documented",
        };
        let age = if edge.is_new { "new" } else { "known" };
        let _ = writeln!(out, "  - {age} {}: {verdict}", code(&format!("{} -> {}", edge.outer, edge.inner)));
    }
}

fn lines(out: &mut String, document: &DocumentAudit) {
    out.push_str("### The lines\n\n| line | place | lock |\n|---:|---|---|\n");
    for entry in &document.entries {
        let verdict = entry.verdict.map_or("", Verdict::as_str);
        let scope = entry.scope.as_ref().map(|scope| format!(" ({scope})")).unwrap_or_default();
        let indent = "&nbsp;".repeat(2 * entry.depth);
        let _ = writeln!(out, "| {} | {verdict} | {indent}{}{scope} |", entry.site.line, code(&entry.label));
    }
    out.push('\n');
}

fn undocumented(out: &mut String, document: &DocumentAudit) {
    if document.undocumented().next().is_some() {
        out.push_str("### Seen, and not documented\n\n");
        for audit in document.undocumented() {
            let _ = writeln!(out, "- {}", path(&audit.evidence));
        }
        out.push('\n');
    }
    if !document.nestings.is_empty() {
        out.push_str("### Several of one lock held at once\n\n");
        for nesting in &document.nestings {
            let declared = nesting.declared.as_deref().map_or("not documented".to_owned(), |by| format!("by {by}"));
            let _ = writeln!(out, "- {}: {declared}; {}", code(&nesting.lock), path(&nesting.evidence[0]));
        }
        out.push('\n');
    }
}

pub(super) fn statement(rule: &Rule) -> String {
    let scope = rule.scope.as_ref().map(|scope| format!(" [{scope}]")).unwrap_or_default();
    let (before, after) = (&rule.before, &rule.after);
    let (b, a) = (code(&before.name), code(&after.name));
    format!("{b} (line {}) before {a} (line {}){scope}", before.site.line, after.site.line)
}

fn path(evidence: &Evidence) -> String {
    let at: Vec<String> = evidence
        .steps
        .iter()
        .filter_map(|step| step.at.as_ref().or(step.inner_site.as_ref()))
        .map(|site| format!("`{site}`"))
        .collect();
    let doubt = if evidence.is_doubtful { " (the name may be another lock's)" } else { "" };
    let place = if at.is_empty() { String::new() } else { format!(" at {}", at.join(", ")) };
    format!("{}{place}{doubt}", code(&evidence.to_string()))
}

/// A code span, in a table or not.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}
