//! An audit as one HTML page without scripts: the documented lines on the left, and beside them the observed graph as
//! arcs between the lines. What follows the document runs down on the right; what contradicts it runs up, in red.

use std::fmt::Write;

use super::markdown::statement;
use crate::{
    Audit, DocumentAudit, Verdict,
    compare::{DependencyAudit, DependencyVerdict, EntryAudit, Evidence},
};

const ROW: usize = 26;
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fdfdfb;--dim:#6a7482;--good:#2f7d4f;--bad:#c62828;--warn:#a15c00;--line:#d8dce2}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--paper:#14181d;--dim:#98a2b0;--good:#6cc28d;--bad:#ff6f66;--warn:#e0a04a;--line:#343c46}}
body{margin:0 auto;max-width:72rem;padding:1.5rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}h3{font-size:1rem}
code,svg text{font-family:ui-monospace,monospace;font-size:13px}svg{display:block;max-width:100%;height:auto}
svg text{fill:var(--ink)}svg .dim{fill:var(--dim)}svg .contradicted{fill:var(--bad);font-weight:600}
svg .ambiguous{fill:var(--warn)}svg .confirmed{fill:var(--good)}
svg .arc{fill:none;stroke:var(--dim);stroke-opacity:.45}svg .arc:hover{stroke-opacity:1;stroke-width:3}
svg .contradicts{stroke:var(--bad);stroke-width:2.5;stroke-opacity:1}svg .undocumented,svg .doubtful{stroke:var(--warn);stroke-dasharray:4 3;stroke-opacity:1}
svg .tip{fill:var(--dim)}svg .tip.contradicts{fill:var(--bad);stroke:none}svg .tip.undocumented,svg .tip.doubtful{fill:var(--warn);stroke:none}
svg .rule{stroke:var(--line)}.key b{font-weight:600}.key .bad,.key .warn{white-space:nowrap}.warn{color:var(--warn)}
.scroll{overflow-x:auto}li{margin:.3rem 0}.bad{color:var(--bad)}.dim{color:var(--dim)}";

const KEY: &str = "\
<p class=\"dim key\">Left: the documented lines, by number. Right: what was seen, an arrow from the lock that was held to the one \
that was acquired under it. <b>Grey</b> follows the document, <b class=\"bad\">red</b> contradicts it, \
<b class=\"warn\">dashed</b> is not documented, or true of some locks of the name only. Point at an arrow for its evidence.</p>\n";

/// Renders an audit.
pub fn html(audit: &Audit) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>Lock order audit</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>Lock order audit</h1>\n"
    );
    let _ = writeln!(out, "<p class=\"dim\">observed: {}</p>", escape(&audit.observations.join(", ")));
    out.push_str(KEY);
    for document in &audit.documents {
        section(&mut out, document);
    }
    if !audit.conflicts.is_empty() {
        out.push_str("<h2>Documents against each other</h2>\n<ul>\n");
        for conflict in &audit.conflicts {
            let (first, second) = (&conflict.first, &conflict.second);
            let (a, b) = (escape(&first.after.site.file), escape(&second.after.site.file));
            let (x, y) = (spans(&statement(first)), spans(&statement(second)));
            let _ = writeln!(out, "<li>{a}: {x}<br>{b}: {y}</li>");
        }
        out.push_str("</ul>\n");
    }
    let verdict =
        if audit.has_findings() { "<b class=\"bad\">The documents need a change.</b>" } else { "Nothing to change." };
    let _ = writeln!(out, "<p>{verdict}</p>\n</body></html>");
    out
}

fn section(out: &mut String, document: &DocumentAudit) {
    let counts: Vec<String> =
        Verdict::ALL.iter().map(|&verdict| format!("{} {verdict}", document.with_verdict(verdict).count())).collect();
    let _ = writeln!(out, "<h2>{}</h2>\n<p>{}</p>", escape(&document.name), counts.join(", "));
    out.push_str("<div class=\"scroll\">\n");
    graph(out, document);
    out.push_str("</div>\n");
    for (title, verdict) in [("Contradicted", Verdict::Contradicted), ("Ambiguous", Verdict::Ambiguous)] {
        if document.with_verdict(verdict).next().is_some() {
            let _ = writeln!(out, "<h3>{title}</h3>\n<ul>");
            for audit in document.with_verdict(verdict) {
                let _ = write!(out, "<li>{}", spans(&statement(&audit.rule)));
                for (side, evidence) in [("against", &audit.evidence_against), ("for", &audit.evidence_for)] {
                    if let Some(evidence) = evidence {
                        let _ = write!(out, "<br>{side}: {}", steps(evidence));
                    }
                }
                out.push_str("</li>\n");
            }
            out.push_str("</ul>\n");
        }
    }
    if document.against_several().next().is_some() {
        out.push_str("<h3>Against several lines together</h3>\n<ul>\n");
        for audit in document.against_several() {
            let _ = writeln!(out, "<li>{}</li>", steps(&audit.evidence));
        }
        out.push_str("</ul>\n");
    }
    if document.undocumented().next().is_some() {
        let _ = writeln!(out, "<h3>Seen, and not documented</h3>\n<ul>");
        for audit in document.undocumented() {
            let _ = writeln!(out, "<li>{}</li>", steps(&audit.evidence));
        }
        out.push_str("</ul>\n");
    }
    if !document.missing.is_empty() {
        out.push_str("<h3>Missing</h3>\n<ul>\n");
        for missing in &document.missing {
            let bound = |word: &str, bound: &Option<(String, lockdep_core::Site)>| {
                bound.as_ref().map(|(name, site)| format!(" {word} <code>{}</code> (line {})", escape(name), site.line))
            };
            let outer = bound("after", &missing.place.outer).unwrap_or_default();
            let inner = bound("before", &missing.place.inner).unwrap_or_default();
            let _ = writeln!(out, "<li><code>{}</code>{outer}{inner}</li>", escape(&missing.lock));
        }
        out.push_str("</ul>\n");
    }
}

/// The lines, and the arcs between them.
fn graph(out: &mut String, document: &DocumentAudit) {
    let rows = &document.entries;
    let label = |row: &EntryAudit| {
        let scope = row.scope.as_ref().filter(|_| row.depth == 0);
        row.label.clone() + &scope.map(|scope| format!(" [{scope}]")).unwrap_or_default()
    };
    let text_width = rows.iter().map(|row| 150 + 14 * row.depth + 8 * label(row).chars().count()).max().unwrap_or(200);
    let arcs = arcs(document);
    let reach = arcs.iter().map(|arc| arc.from.abs_diff(arc.to)).max().unwrap_or(1);
    let (width, height) = (text_width + 40 + bulge(reach), ROW * (rows.len() + 1));
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-label=\"documented lines and observed dependencies\">"
    );
    for (at, row) in rows.iter().enumerate() {
        let y = ROW * (at + 1);
        if at > 0 && rows[at - 1].group != row.group {
            let (y, end) = (y - ROW * 7 / 10, text_width);
            let _ = writeln!(out, "<path class=\"rule\" d=\"M10 {y} H{end}\"/>");
        }
        let verdict = row.verdict.map_or("", Verdict::as_str);
        let _ = writeln!(
            out,
            "<text class=\"dim\" x=\"34\" y=\"{y}\" text-anchor=\"end\">{}</text><text class=\"{verdict}\" x=\"44\" y=\"{y}\">{verdict}</text><text class=\"{}\" x=\"{}\" y=\"{y}\">{}</text>",
            row.site.line,
            if row.verdict == Some(Verdict::Contradicted) { "contradicted" } else { "" },
            150 + 14 * row.depth,
            escape(&label(row)),
        );
    }
    for arc in &arcs {
        let (y1, y2) = (ROW * (arc.from + 1) - 5, ROW * (arc.to + 1) - 5);
        let (x, class) = (text_width + 8, arc.class);
        let tip = x + 6;
        let side = x + bulge(arc.from.abs_diff(arc.to)) * 4 / 3;
        let _ = writeln!(
            out,
            "<path class=\"arc {class}\" d=\"M{x} {y1} C{side} {y1} {side} {y2} {tip} {y2}\"><title>{}</title></path><path class=\"tip {class}\" d=\"M{x} {y2} l7 -3.5 v7 z\"/>",
            escape(&arc.title)
        );
    }
    out.push_str("</svg>\n");
}

fn bulge(rows: usize) -> usize {
    (20 + 12 * rows).min(360)
}

struct Arc {
    from: usize,
    to: usize,
    class: &'static str,
    title: String,
}

/// What was seen between the lines; a contradiction by way of others is an arc, too.
fn arcs(document: &DocumentAudit) -> Vec<Arc> {
    let row = |lock: &str| document.entries.iter().position(|entry: &EntryAudit| entry.locks.iter().any(|l| l == lock));
    let direct = document.dependencies.iter().filter_map(|audit| {
        let class = match audit.verdict {
            DependencyVerdict::Implied => "implied",
            DependencyVerdict::Contradicts if is_ambiguous(document, audit) => "doubtful",
            DependencyVerdict::Contradicts => "contradicts",
            DependencyVerdict::Undocumented => "undocumented",
        };
        Some(Arc { from: row(&audit.outer)?, to: row(&audit.inner)?, class, title: audit.evidence.to_string() })
    });
    let indirect = document.with_verdict(Verdict::Contradicted).filter_map(|audit| {
        let evidence = audit.evidence_against.as_ref().filter(|evidence| !evidence.is_direct())?;
        Some(Arc {
            from: row(&audit.after)?,
            to: row(&audit.before)?,
            class: "contradicts",
            title: evidence.to_string(),
        })
    });
    direct.chain(indirect).collect()
}

/// Whether the rule against a dependency is true of other classes.
fn is_ambiguous(document: &DocumentAudit, audit: &DependencyAudit) -> bool {
    let mut rules = document.with_verdict(Verdict::Ambiguous);
    rules.any(|rule| rule.before == audit.inner && rule.after == audit.outer)
}

fn steps(evidence: &Evidence) -> String {
    let step = |step: &crate::compare::Step| {
        let at = step
            .at
            .as_ref()
            .or(step.inner_site.as_ref())
            .map(|at| format!(" <span class=\"dim\">{}</span>", escape(&at.to_string())));
        format!("<code>{}</code>{}", escape(&step.to_string()), at.unwrap_or_default())
    };
    evidence.steps.iter().map(step).collect::<Vec<_>>().join("; ")
}

/// Markdown's code spans as HTML.
fn spans(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) }).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
