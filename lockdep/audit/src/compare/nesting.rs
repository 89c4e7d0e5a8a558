//! [`Nesting`]: several locks of one documented lock's classes, held at once.

use serde::Serialize;

use super::{Evidence, Seen};
use crate::{Aliases, Document};

/// Locks of one sort that were seen nested in each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nesting {
    /// The lock.
    pub lock: String,
    /// What orders its instances, where the document declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// The dependencies between its classes.
    pub evidence: Vec<Evidence>,
}

/// Finds the nestings of a document's locks.
pub(super) fn find(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Nesting> {
    let mut nestings: Vec<Nesting> = Vec::new();
    for (group, entry) in document.entries() {
        for name in entry.names() {
            let lock = aliases.of_document(name, group.scope.as_deref());
            if nestings.iter().any(|nesting| nesting.lock == lock) {
                continue;
            }
            let evidence = seen.nestings(lock);
            if !evidence.is_empty() {
                let same_class = document.same_class.iter().find(|rule| aliases.of_document(&rule.name, None) == lock);
                let declared = same_class.map(|rule| rule.by.clone());
                nestings.push(Nesting { lock: lock.to_owned(), declared, evidence });
            }
        }
    }
    nestings
}
