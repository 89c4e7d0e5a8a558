//! [`Unnamed`]: an observed lock of the document's subject that the document does not name.
//!
//! Not a [`Missing`](super::Missing) one: nobody says that the document must have it, so it is told and is no finding.

use serde::Serialize;

use super::{
    Evidence, Seen,
    dependency::Closure,
    missing::{SIDES, is_about},
};
use crate::{Aliases, Document};

/// A lock that was seen beside documented ones and that the document does not name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unnamed {
    /// The lock.
    pub lock: String,
    /// A documented lock that it was acquired under, and one that was acquired under it, as far as there are any.
    pub evidence: Vec<Evidence>,
}

pub(super) fn find(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Unnamed> {
    let closure = Closure::of(document, aliases);
    if !is_about(&closure, aliases) {
        return Vec::new();
    }
    let direct = seen.direct();
    let unnamed = aliases.locks().iter().filter(|info| !info.is_core && !closure.has(&info.name));
    let found = unnamed.filter_map(|info| {
        let lock = info.name.as_str();
        // One on each side: the first by name.
        let [outer, inner] = SIDES.map(|side| direct.neighbors_directed(lock, side).filter(|l| closure.has(l)).min());
        let outer = outer.and_then(|outer| seen.evidence(outer, lock));
        let inner = inner.and_then(|inner| seen.evidence(lock, inner));
        let evidence: Vec<Evidence> = outer.into_iter().chain(inner).collect();
        (!evidence.is_empty()).then(|| Unnamed { lock: lock.to_owned(), evidence })
    });
    found.collect()
}
