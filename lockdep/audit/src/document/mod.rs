//! [`Document`]: a documented lock order, as it stands in a comment.
//!
//! A document is a list of groups (independent partial orders), a group a forest of entries: what is nested under an
//! entry is acquired while the entry's lock is held. The way of a text through the submodules: `source` finds the
//! ordering comment, `line` reads one line of it, `tree` nests the lines by their indentation, `rule` takes the
//! statements `before -> after` out of the trees.

mod entry;
mod line;
mod rule;
mod source;
mod tree;

pub use entry::{Entry, Group, Note, Style};
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
    /// What was not understood, or read with a doubt.
    pub notes: Vec<Note>,
}

impl Document {
    /// Reads the lock-ordering comment in `text`: a C file that has one, or the bare comment.
    ///
    /// # Errors
    ///
    /// If the text is no text, has the markers of a merge conflict, or has no lock-ordering comment.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, InputError> {
        let block = source::find(name, text)?;
        let (groups, notes) = tree::build(name, &block);
        if groups.iter().all(|group| group.entries.is_empty()) {
            return Err(InputError::at(name, block.line, "the lock-ordering comment names no lock"));
        }
        let style = Style::of(&groups);
        Ok(Self { name: name.to_owned(), style, groups, notes })
    }

    /// Returns every statement of the document: for every entry, each lock that is nested below it at any depth.
    pub fn rules(&self) -> Vec<Rule> {
        self.groups.iter().flat_map(rule::of_group).collect()
    }

    /// Returns all entries, with their group.
    pub fn entries(&self) -> impl Iterator<Item = (&Group, &Entry)> {
        self.groups.iter().flat_map(|group| group.entries.iter().map(move |entry| (group, entry)))
    }
}
