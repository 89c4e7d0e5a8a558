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
    /// The lock that it means; of a name in an annotation, the line's locks.
    pub lock: String,
    /// What became of it.
    pub remark: String,
}

/// Finds the old names of locks that were seen under a newer one, and what the document's version does not have.
pub(super) fn find(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Stale> {
    let mut stale = Vec::new();
    for (group, entry) in document.entries() {
        let scope = group.scope.as_deref();
        for name in entry.names() {
            let lock = aliases.of_document(name, scope);
            let remark = aliases.stale(name).filter(|_| seen.has(lock) && !seen.has_class(alias::plain(name)));
            if let Some(remark) = remark.or_else(|| gone(document, name, scope, aliases)) {
                let (name, remark) = (name.to_owned(), remark.to_owned());
                stale.push(Stale { name, site: entry.site.clone(), lock: lock.to_owned(), remark });
            }
        }
        for word in words(entry.annotation.as_deref().unwrap_or("")) {
            if let Some(remark) = gone(document, word, scope, aliases) {
                let (name, lock, remark) = (word.to_owned(), entry.label(), remark.to_owned());
                stale.push(Stale { name, site: entry.site.clone(), lock, remark });
            }
        }
    }
    stale
}

fn gone<'a>(document: &Document, name: &str, scope: Option<&str>, aliases: &'a Aliases) -> Option<&'a str> {
    let version = document.version?;
    let is_meant = |gone: &&alias::Gone| {
        let in_scope = gone.scope.is_none() || gone.scope.as_deref() == scope;
        gone.name == alias::plain(name) && in_scope && gone.since <= version
    };
    aliases.gone().iter().find(is_meant).map(|gone| gone.remark.as_str())
}

/// The identifiers of an annotation.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
