//! Nests the lines of an ordering comment by their indentation.
//!
//! The nesting is found with a stack of indentations, never by dividing: real comments have jumps, and groups that
//! start at different columns. A blank line or a heading ends a group.

use lockdep_core::Site;

use super::{
    entry::{Entry, Group, Note},
    line::{self, EntryLine, Line},
    source::Block,
};

/// Builds the groups of a comment. What is not understood becomes a note.
pub(super) fn build(name: &str, block: &Block<'_>) -> (Vec<Group>, Vec<Note>) {
    let mut builder = Builder { name, groups: Vec::new(), notes: Vec::new(), current: None };
    let mut lines = block.lines.iter().copied().peekable();
    while let Some((number, text)) = lines.next() {
        match line::read(text) {
            Line::Blank => builder.end_group(),
            Line::Heading(title) => builder.start_group(title),
            Line::Prose => builder.note(number, format!("not understood: {}", text.trim())),
            Line::Entry(mut entry) => {
                let mut last = number;
                while line::open_parentheses(&entry.tail) > 0 {
                    let Some(&(next, more)) = lines.peek().filter(|(_, more)| !more.trim().is_empty()) else { break };
                    entry.tail.push(' ');
                    entry.tail.push_str(more.trim());
                    last = next;
                    lines.next();
                }
                builder.entry(entry, number, last);
            }
        }
    }
    builder.end_group();
    (builder.groups, builder.notes)
}

struct Builder<'a> {
    name: &'a str,
    groups: Vec<Group>,
    notes: Vec<Note>,
    current: Option<Group>,
}

impl Builder<'_> {
    fn site(&self, line: usize) -> Site {
        Site { file: self.name.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 }
    }

    fn note(&mut self, line: usize, text: String) {
        let site = self.site(line);
        self.notes.push(Note { site, text });
    }

    fn end_group(&mut self) {
        if let Some(mut group) = self.current.take_if(|group| !group.entries.is_empty()) {
            group.scope = scope(&group);
            self.groups.push(group);
        }
    }

    fn start_group(&mut self, title: String) {
        self.end_group();
        self.current = Some(Group { title: Some(title), ..Group::default() });
    }

    fn entry(&mut self, entry: EntryLine, line: usize, last: usize) {
        let site = self.site(line);
        let annotation = line::annotation(&entry.tail).unwrap_or_else(|| {
            self.note(line, format!("not understood behind the name: {}", entry.tail));
            None
        });
        let group = self.current.get_or_insert_default();
        let parent = parent(group, entry.indent);
        let EntryLine { indent, arrow, locks, .. } = entry;
        let last_line = u32::try_from(last).unwrap_or(u32::MAX);
        group.entries.push(Entry { locks, annotation, arrow, indent, parent, site, last_line, mode: None });
    }
}

/// The entry that one at column `indent` is nested in: the nearest one before it that starts further left.
fn parent(group: &Group, indent: usize) -> Option<usize> {
    let last = group.entries.len().checked_sub(1)?;
    let mut path = std::iter::once(last).chain(group.ancestors(last));
    path.find(|&at| group.entries[at].indent < indent)
}

/// Where a group applies: a heading's first word, or `memory_failure`, which stands in the root's annotation.
fn scope(group: &Group) -> Option<String> {
    if let Some(title) = &group.title {
        return title.split_whitespace().next().map(str::to_owned);
    }
    let annotation = group.entries[0].annotation.as_deref()?;
    annotation.contains("memory_failure").then(|| "memory_failure".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn shape(text: &str) -> Vec<String> {
        let block = source::find("f", &source::lines("f", text.as_bytes()).unwrap()).unwrap().unwrap();
        let (groups, notes) = build("f", &block);
        let entries = groups.iter().flat_map(|group| {
            group.entries.iter().enumerate().map(move |(at, entry)| {
                let depth = group.ancestors(at).count();
                let scope = group.scope.as_deref().map(|scope| format!(" @{scope}")).unwrap_or_default();
                format!("{}{}{scope}", ">".repeat(depth), entry.label())
            })
        });
        entries.chain(notes.iter().map(|note| format!("{}: {}", note.site, note.text))).collect()
    }

    #[test]
    fn jumps_groups_scopes_and_runs_of_annotation() {
        let text = "/*\n * Lock ordering in mm:\n *\n * a\n *   b (in x,\n *          in y)\n *       c (jump of four)\n *   d\n *\n\
                    * e,f   (memory_failure, x)\n *   ->g\n *\n * hugetlbfs pages take locks in this order:\n *         h\n *           i\n */";
        assert_eq!(
            shape(text),
            ["a", ">b", ">>c", ">d", "e, f @memory_failure", ">g @memory_failure", "h @hugetlbfs", ">i @hugetlbfs"]
        );
    }

    #[test]
    fn prose_is_a_note_and_ends_nothing() {
        let text =
            "Lock ordering:\n\na_lock\n  the b lock is special; see elsewhere.\n  c_lock (x) y\n    d_lock (open\n";
        assert_eq!(
            shape(text),
            [
                "a_lock",
                ">c_lock",
                ">>d_lock",
                "f:4: not understood: the b lock is special; see elsewhere.",
                "f:5: not understood behind the name: (x) y",
                "f:6: not understood behind the name: (open"
            ]
        );
    }
}
