//! [`Document`]: a documented lock order, as it stands in a comment or in a declaration.
//!
//! A document is a list of groups (independent partial orders), a group a forest of entries: what is nested under an
//! entry is acquired while the entry's lock is held. The way of a text through the submodules: `source` finds the
//! ordering comment, `line` reads one line of it, `tree` nests the lines by their indentation; `declared` reads chains
//! `a -> b -> c` and `lockdep.order` files; `rule` takes the statements `before -> after` out of the groups.

mod declared;
mod entry;
mod line;
mod rule;
mod source;
mod tree;

pub use entry::{DeclaredMode, Entry, Group, Note, SameClass, Style};
use lockdep_core::Site;
pub use rule::{Rule, Term};

use crate::InputError;

/// A documented lock order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The file, as it was named.
    pub name: String,
    /// How it is written.
    pub style: Style,
    /// The independent partial orders.
    pub groups: Vec<Group>,
    /// Declared rules on several locks of one class.
    pub same_class: Vec<SameClass>,
    /// Patterns of class names that the document has nothing to say about; `*` stands for any text.
    pub ignored: Vec<String>,
    /// The kernel version that it belongs to, where that is known.
    pub version: Option<(u32, u32)>,
    /// What was not understood, or read with a doubt.
    pub notes: Vec<Note>,
}

impl Document {
    /// Reads the lock order in `text`: a source file with an ordering comment or with lines `// Lock order: a -> b`,
    /// the bare comment, a reStructuredText with a section `Lock ordering`, or, if the name ends in `.order`, a declared
    /// order.
    ///
    /// # Errors
    ///
    /// If the text is no text, has the markers of a merge conflict, or has no lock order.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, InputError> {
        let lines = source::lines(name, text)?;
        if name.ends_with(".order") {
            return declared::parse(name, &lines);
        }
        let declarations = source::declarations(&lines);
        let block = source::find(name, &lines)?;
        if declarations.is_empty() && block.is_none() {
            let reason = "no lock-ordering comment (a line \"Lock ordering:\" starts one)";
            return Err(InputError::whole(name, reason));
        }
        let mut document = Self::new(name, Style::Declared);
        for (line, chain) in declarations {
            if let Err(error) = declared::chain(&mut document, line, chain) {
                let site = document.site(line);
                document.notes.push(Note { site, text: format!("not understood: {}", error.reason) });
            }
        }
        if let (None, [], [note, ..]) = (&block, document.groups.as_slice(), document.notes.as_slice()) {
            return Err(InputError::at(name, note.site.line as usize, note.text.clone()));
        }
        if let Some(block) = block {
            let (groups, notes) = tree::build(name, &block);
            if groups.iter().all(|group| group.entries.is_empty()) {
                return Err(InputError::at(name, block.line, "the lock-ordering comment names no lock"));
            }
            document.style = Style::of(&groups);
            document.groups.extend(groups);
            document.notes.extend(notes);
        }
        Ok(document)
    }

    fn new(name: &str, style: Style) -> Self {
        Self {
            name: name.to_owned(),
            style,
            groups: Vec::new(),
            same_class: Vec::new(),
            ignored: Vec::new(),
            version: None,
            notes: Vec::new(),
        }
    }

    /// Returns every statement of the document: for every entry, each lock that is nested below it at any depth.
    /// Groups that only allow a trylock are left out.
    pub fn rules(&self) -> Vec<Rule> {
        self.groups.iter().filter(|group| !group.is_trylock_only).flat_map(rule::of_group).collect()
    }

    /// Returns what may be taken by trylock only.
    pub fn trylock_rules(&self) -> Vec<Rule> {
        self.groups.iter().filter(|group| group.is_trylock_only).flat_map(rule::of_group).collect()
    }

    /// Returns all entries, with their group.
    pub fn entries(&self) -> impl Iterator<Item = (&Group, &Entry)> {
        self.groups.iter().flat_map(|group| group.entries.iter().map(move |entry| (group, entry)))
    }

    /// Returns whether the document means to have every lock of the program, so that an observed dependency that it
    /// does not have is a finding.
    pub fn is_whole(&self) -> bool {
        self.style == Style::Declared && self.name.ends_with(".order")
    }

    /// Returns whether the document has nothing to say about a class.
    pub fn ignores(&self, class: &str) -> bool {
        self.ignored.iter().any(|pattern| matches(pattern, class))
    }

    fn site(&self, line: usize) -> Site {
        Site { file: self.name.clone(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 }
    }
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| matches(rest, &text[at..]))
        }),
    }
}
