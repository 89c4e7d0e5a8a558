//! Edits of a document's text, line by line, in its own style.

use crate::{
    Document,
    compare::Place,
    document::{Entry, Group, Style},
};

/// The columns by which a level is indented.
const STEP: usize = 2;

/// A text as lines, with their ends.
pub(super) struct Text<'a> {
    lines: Vec<&'a str>,
}

/// The text of a new entry, without prefix and indentation; several lines where its annotation runs on.
pub(super) struct Line(Vec<String>);

impl Line {
    /// A line for a lock, named as the document's style does.
    pub(super) fn new(document: &Document, lock: &str, name: &str, about: &str) -> Self {
        Self(vec![match document.style {
            Style::Arrows => format!("->{}{about}", lock.rsplit("->").next().unwrap_or(lock)),
            Style::Indented | Style::Declared => format!("{name}{about}"),
        }])
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.first().map_or("", String::as_str))
    }
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lines: text.split_inclusive('\n').collect() }
    }

    /// The entry on a line, by group and index. Declared chains have several on one, and are not edited.
    pub(super) fn find(document: &Document, line: u32) -> Option<(usize, usize)> {
        let groups = document.groups.iter().enumerate();
        let mut found = groups.flat_map(|(at, group)| {
            let entries = group.entries.iter().enumerate();
            entries.filter(move |(_, entry)| entry.site.line == line).map(move |(entry, _)| (at, entry))
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The text without an entry, whose children move out, and the entry's own lines.
    pub(super) fn without(&self, document: &Document, group: usize, entry: usize) -> Option<(String, Line)> {
        let group = &document.groups[group];
        let taken = &group.entries[entry];
        let below = descendants(group, entry);
        let shift = below.first().map_or(0, |&child| group.entries[child].indent.saturating_sub(taken.indent));
        let own = self.range(taken)?;
        let line =
            self.lines[own.clone()].iter().map(|line| split(line, taken.indent).map(|(_, text)| text.to_owned()));
        let line = Line(line.collect::<Option<_>>()?);
        let mut out = String::new();
        for (at, text) in self.lines.iter().enumerate() {
            let is_below =
                below.iter().any(|&child| self.range(&group.entries[child]).is_some_and(|r| r.contains(&at)));
            match (own.contains(&at), is_below) {
                (true, _) => {}
                (_, true) => out.push_str(&outdented(text, shift)?),
                _ => out.push_str(text),
            }
        }
        Some((out, line))
    }

    /// The text with a new entry.
    pub(super) fn with(&self, document: &Document, place: &Place, line: &Line) -> Option<String> {
        let group = &document.groups[place.group];
        let children: Vec<usize> = match place.parent {
            Some(parent) => descendants(group, parent),
            None => (0..group.entries.len()).collect(),
        };
        let model = place.parent.map_or(&group.entries[0], |parent| &group.entries[parent]);
        let first_child = children.first().map(|&child| group.entries[child].indent);
        let indent = match place.parent {
            // A gap of two steps has room for the line.
            Some(_) if place.adopts => first_child.map_or(model.indent + STEP, |child| child.min(model.indent + STEP)),
            Some(_) => first_child.unwrap_or(model.indent + STEP),
            None => model.indent,
        };
        let range = self.range(model)?;
        let at = if place.parent.is_some() { range.end } else { range.start };
        let (prefix, _) = split(self.lines[range.start], model.indent)?;
        let new = line.0.iter().map(|text| format!("{prefix}{}{}\n", " ".repeat(indent), text.trim_end()));
        let shifted = if place.adopts { shifted(group, place.parent, indent) } else { Vec::new() };
        let mut out = String::new();
        for (index, text) in self.lines.iter().enumerate() {
            if index == at {
                out.extend(new.clone());
            }
            let is_shifted =
                shifted.iter().any(|&child| self.range(&group.entries[child]).is_some_and(|r| r.contains(&index)));
            match is_shifted {
                true => out.push_str(&indented(text, prefix)),
                false => out.push_str(text),
            }
        }
        if at == self.lines.len() {
            out.extend(new);
        }
        Some(out)
    }

    /// The indices of an entry's lines.
    fn range(&self, entry: &Entry) -> Option<std::ops::Range<usize>> {
        let (first, last) = (entry.site.line as usize, entry.last_line as usize);
        (1..=self.lines.len()).contains(&last).then(|| first - 1..last)
    }
}

/// Splits a line behind the comment's prefix and `indent` columns.
fn split(line: &str, indent: usize) -> Option<(&str, &str)> {
    let star = line.find('*').filter(|&at| line[..at].trim().is_empty()).map_or(0, |at| at + 1);
    let text = line[star..].find(|c: char| !c.is_whitespace()).unwrap_or(0);
    Some((&line[..star], line.get(star + text.min(indent)..)?))
}

/// A line one step further in.
fn indented(line: &str, prefix: &str) -> String {
    match line.strip_prefix(prefix) {
        Some(rest) if !rest.trim().is_empty() => format!("{prefix}{}{rest}", " ".repeat(STEP)),
        _ => line.to_owned(),
    }
}

/// A line `shift` columns further out.
fn outdented(line: &str, shift: usize) -> Option<String> {
    let (prefix, rest) = split(line, 0)?;
    let blanks = rest.len() - rest.trim_start_matches(' ').len();
    Some(format!("{prefix}{}", &rest[shift.min(blanks)..]))
}

/// Everything nested in an entry, in the order of the text.
fn descendants(group: &Group, entry: usize) -> Vec<usize> {
    (0..group.entries.len()).filter(|&at| group.ancestors(at).any(|outer| outer == entry)).collect()
}

/// The entries below a new one at `indent` that must move in. Where the text has a gap, what is below stays.
fn shifted(group: &Group, parent: Option<usize>, indent: usize) -> Vec<usize> {
    let mut shifted: Vec<usize> = Vec::new();
    for (at, entry) in group.entries.iter().enumerate() {
        let outer = match entry.parent {
            outer if outer == parent => indent,
            Some(outer) if shifted.contains(&outer) => group.entries[outer].indent + STEP,
            _ => continue,
        };
        if entry.indent < outer + STEP {
            shifted.push(at);
        }
    }
    shifted
}
