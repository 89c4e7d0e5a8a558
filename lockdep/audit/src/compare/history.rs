//! [`History`]: a document held against an older version of itself.

use serde::Serialize;

use super::{Conflict, Seen, conflict};
use crate::{Aliases, Document};

/// What changed from one version of a document to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// The older version's file.
    pub older: String,
    /// The newer version's file.
    pub newer: String,
    /// Locks that only the newer version has.
    pub came: Vec<String>,
    /// Locks that only the older version has.
    pub went: Vec<String>,
    /// Locks whose names changed: the lock, the older names, the newer ones.
    pub renamed: Vec<(String, Vec<String>, Vec<String>)>,
    /// Rules that were turned round.
    pub turned: Vec<Conflict>,
}

/// Compares two versions of a document; which lines are true is for the observations to say.
pub(super) fn compare(older: &Document, newer: &Document, seen: &Seen<'_>, aliases: &Aliases) -> History {
    let (old, new) = (locks(older, aliases), locks(newer, aliases));
    let only = |a: &[(String, Vec<String>)], b: &[(String, Vec<String>)]| {
        let missing = a.iter().filter(|(lock, _)| !b.iter().any(|(other, _)| other == lock));
        missing.map(|(lock, _)| lock.clone()).collect::<Vec<_>>()
    };
    let renamed = old.iter().filter_map(|(lock, names)| {
        let (_, newer) = new.iter().find(|(other, _)| other == lock)?;
        (names != newer).then(|| (lock.clone(), names.clone(), newer.clone()))
    });
    History {
        older: older.name.clone(),
        newer: newer.name.clone(),
        came: only(&new, &old),
        went: only(&old, &new),
        renamed: renamed.collect(),
        turned: conflict::find(older, newer, seen, aliases),
    }
}

/// The locks of a document with the names that it has for each.
fn locks(document: &Document, aliases: &Aliases) -> Vec<(String, Vec<String>)> {
    let mut locks: Vec<(String, Vec<String>)> = Vec::new();
    for (group, entry) in document.entries() {
        for name in entry.names() {
            let lock = aliases.of_document(name, group.scope.as_deref());
            match locks.iter_mut().find(|(known, _)| known == lock) {
                Some((_, names)) if names.iter().any(|known| known == name) => {}
                Some((_, names)) => names.push(name.to_owned()),
                None => locks.push((lock.to_owned(), vec![name.to_owned()])),
            }
        }
    }
    locks.iter_mut().for_each(|(_, names)| names.sort_unstable());
    locks
}
