//! [`Stale`]: a documented name that the observed program does not have any more.

use lockdep_core::Site;
use serde::Serialize;

use super::Seen;
use crate::{Aliases, Document, alias};

/// A name that has changed, or that names nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// The name as the document writes it.
    pub name: String,
    /// The line that has it.
    pub site: Site,
    /// The lock that it means.
    pub lock: String,
    /// What became of it.
    pub remark: String,
}

/// Finds the old names of locks that were seen under a newer one.
pub(super) fn find(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Stale> {
    let mut stale = Vec::new();
    for (group, entry) in document.entries() {
        for name in entry.names() {
            let lock = aliases.of_document(name, group.scope.as_deref());
            let Some(remark) = aliases.stale(name) else { continue };
            if seen.has(lock) && !seen.has_class(alias::plain(name)) {
                let (name, remark) = (name.to_owned(), remark.to_owned());
                stale.push(Stale { name, site: entry.site.clone(), lock: lock.to_owned(), remark });
            }
        }
    }
    stale
}
