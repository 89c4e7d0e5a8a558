//! [`Aliases`]: which name in a document and which class in a dump mean the same lock.
//!
//! The table is a text file (`builtin.txt` explains its lines); a user's file extends or overrides it. A name that no
//! table has stands for itself, without a leading `&` or `->`.

mod parse;

use std::collections::HashMap;

use crate::{
    InputError,
    observe::{ClassName, Observation},
};

/// What the table knows of a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockInfo {
    /// What the audit calls it.
    pub name: String,
    /// Whether validators do not track it.
    pub is_invisible: bool,
    /// Whether a document on memory management should have it.
    pub is_core: bool,
    /// How an ordering comment names it, where that is not `name`.
    pub insert: Option<String>,
    /// What a line for it says in parentheses.
    pub about: Option<String>,
}

/// A condition on a class whose name alone says too little.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    /// It was held when a class of this name was acquired.
    Before(String),
    /// It was acquired while a class of this name was held.
    After(String),
}

/// A class that a name or a condition ties to a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    lock: usize,
    condition: Condition,
}

/// What documents say that is not so any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The name of a lock, or of a function.
    pub name: String,
    /// The scope in which a lock is not taken any more; `None` for everywhere.
    pub scope: Option<String>,
    /// The first kernel version without it.
    pub since: (u32, u32),
    /// What became of it.
    pub remark: String,
}

/// The table of names.
///
/// ```
/// use lockdep_audit::Aliases;
///
/// let aliases = Aliases::builtin();
/// assert_eq!(aliases.of_document("mmap_sem", None), "mm->mmap_lock");
/// assert_eq!(aliases.of_document("vma_lock", Some("hugetlbfs")), "hugetlb vma_lock");
/// assert_eq!(aliases.of_document("my_lock", None), "my_lock");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    locks: Vec<LockInfo>,
    documents: HashMap<(Option<String>, String), usize>,
    stale: HashMap<String, String>,
    gone: Vec<Gone>,
    classes: HashMap<String, Vec<Pattern>>,
}

impl Aliases {
    /// A table without a line.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The locks of Linux memory management, by the names of all kernel versions.
    ///
    /// # Panics
    ///
    /// If the built-in table has a bad line: a bug of this crate.
    pub fn builtin() -> Self {
        let mut aliases = Self::empty();
        aliases.extend("builtin.txt", include_str!("builtin.txt")).expect("the built-in table is read by the tests");
        aliases
    }

    /// Adds the lines of a table. A lock that is there already gets more names; a name that is there already moves.
    ///
    /// # Errors
    ///
    /// If a line is none of the known ones.
    pub fn extend(&mut self, file: &str, text: &str) -> Result<(), InputError> {
        parse::extend(self, file, text)
    }

    /// Returns the lock that a document means.
    pub fn of_document<'a>(&'a self, name: &'a str, scope: Option<&str>) -> &'a str {
        let name = plain(name);
        let scoped = scope.and_then(|scope| self.documents.get(&(Some(scope.to_owned()), name.to_owned())));
        let index = scoped.or_else(|| self.documents.get(&(None, name.to_owned())));
        let by_class = || self.classes.get(name)?.iter().find(|p| p.condition == Condition::Always).map(|p| &p.lock);
        index.or_else(by_class).map_or(name, |&index| &self.locks[index].name)
    }

    /// Returns why a document should not use this name any more.
    pub fn stale(&self, name: &str) -> Option<&str> {
        self.stale.get(plain(name)).map(String::as_str)
    }

    /// Returns what documents say that is not so any more.
    pub fn gone(&self) -> &[Gone] {
        &self.gone
    }

    /// Returns the lock that a class is of. The second value tells whether the name alone would not have done.
    pub fn of_class<'a>(&'a self, observation: &'a Observation, class: usize) -> (&'a str, bool) {
        let name = &observation.classes()[class].name;
        let patterns = self.classes.get(plain(&name.base)).map_or(&[][..], Vec::as_slice);
        let hit = patterns.iter().find(|pattern| is_met(&pattern.condition, observation, class));
        match hit {
            Some(pattern) => (&self.locks[pattern.lock].name, pattern.condition != Condition::Always),
            None => (plain(&name.base), false),
        }
    }

    /// Returns what the table knows of a lock, by the name that the audit gives it.
    pub fn info(&self, lock: &str) -> Option<&LockInfo> {
        self.locks.iter().find(|info| info.name == lock)
    }

    /// Returns all locks of the table.
    pub fn locks(&self) -> &[LockInfo] {
        &self.locks
    }
}

/// A name without the signs that never matter: `&`, `->`, and the wrapping `&(&...)->rlock` of old kernels.
pub(crate) fn plain(name: &str) -> &str {
    let name = name.trim().trim_start_matches("->").trim();
    let name = name.strip_prefix("&(&").and_then(|rest| rest.strip_suffix(")->rlock")).unwrap_or(name);
    name.strip_prefix('&').unwrap_or(name)
}

fn is_met(condition: &Condition, observation: &Observation, class: usize) -> bool {
    let is = |other: usize, name: &str| {
        let ClassName { base, .. } = &observation.classes()[other].name;
        plain(base) == name
    };
    match condition {
        Condition::Always => true,
        Condition::Before(name) => observation.inner(class).any(|(other, _)| is(other, name)),
        Condition::After(name) => observation.outer(class).any(|(other, _)| is(other, name)),
    }
}
