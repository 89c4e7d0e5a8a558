//! What a document is made of: [`Group`], [`Entry`], [`Note`].

use lockdep_core::Site;
use serde::Serialize;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Nesting by indentation, bare names, as in `mm/rmap.c`.
    Indented,
    /// Nesting by indentation, most names with a leading `->`, as in `mm/filemap.c`.
    Arrows,
    /// Chains `a -> b -> c`, one a line: a `lockdep.order` file, or comments in sources.
    Declared,
}

impl Style {
    /// The style that most entries of the first group follow. (`mm/rmap.c` has a single arrow, in its second group.)
    pub(super) fn of(groups: &[Group]) -> Self {
        let entries = groups.iter().flat_map(|group| &group.entries);
        let (arrows, all) = entries.fold((0, 0), |(arrows, all), entry| (arrows + usize::from(entry.arrow), all + 1));
        if arrows * 2 > all { Self::Arrows } else { Self::Indented }
    }
}

/// How a declared rule says a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeclaredMode {
    /// By a reader.
    Read,
    /// By a writer.
    Write,
}

/// A declared rule on several locks of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SameClass {
    /// The lock's name.
    pub name: String,
    /// What orders its instances: `address`, `key`, `nesting`.
    pub by: String,
    /// Where it is declared.
    pub site: Site,
}

/// An independent partial order: the lines up to a blank one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The heading, where there is one (`hugetlbfs PageHuge() take locks in this order:`).
    pub title: Option<String>,
    /// Where the group applies (`hugetlbfs`, `memory_failure`); `None` for everywhere.
    pub scope: Option<String>,
    /// Whether the inner locks may be taken under the outer ones by trylock only: the group says what must not block.
    pub is_trylock_only: bool,
    /// The entries in the order of the text; parents come before their children.
    pub entries: Vec<Entry>,
}

impl Group {
    /// Returns the entries around an entry, the nearest first.
    pub fn ancestors(&self, entry: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.entries[entry].parent, |&at| self.entries[at].parent)
    }
}

/// A line of a group: one lock, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The locks as they are written. Each of the outer list is meant (`a,b`); an inner list has alternatives (`a or b`).
    pub locks: Vec<Vec<String>>,
    /// The text in parentheses behind the names, joined where it runs over several lines.
    pub annotation: Option<String>,
    /// How the lock is held, where the rule is only about that.
    pub mode: Option<DeclaredMode>,
    /// Whether the name has a leading `->`.
    pub arrow: bool,
    /// The columns before the name, counted behind the comment's `*`.
    pub indent: usize,
    /// The entry that this one is nested in, as an index into the group.
    pub parent: Option<usize>,
    /// The first line.
    pub site: Site,
    /// The number of the last line; the same as the first, or greater where the annotation runs on.
    pub last_line: u32,
}

impl Entry {
    /// Returns all names of the entry.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.locks.iter().flatten().map(String::as_str)
    }

    /// Returns the names as the document writes them.
    pub fn label(&self) -> String {
        self.locks.iter().map(|names| names.join(" or ")).collect::<Vec<_>>().join(", ")
    }
}

/// Something that was not understood, or is remarkable, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Where.
    pub site: Site,
    /// What.
    pub text: String,
}
