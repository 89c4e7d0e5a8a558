//! [`Missing`]: an observed lock that a document should have, and where it belongs.
//!
//! The place is found by trying all: below every entry of the unscoped groups, with the entry's children moved below
//! the new line or left beside it. The place with the fewest rules against the observations wins, then one with rules
//! for it on both sides, then the one with the most of them, then the one with
//! the fewest of which nothing is known, then the outermost.

use std::collections::{BTreeSet, HashMap};

use lockdep_core::Site;
use petgraph::Direction;
use serde::Serialize;

use super::{Evidence, Seen, dependency::Closure};
use crate::{Aliases, Document, document::Group};

/// A lock that was seen together with documented ones and that the document lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The lock.
    pub lock: String,
    /// How a line of the document would name it.
    pub name: String,
    /// Where it belongs.
    pub place: Place,
    /// Dependencies from documented locks to it, the nearest to its place first.
    pub after: Vec<Evidence>,
    /// Dependencies from it to documented locks, the nearest to its place first.
    pub before: Vec<Evidence>,
    /// Documented locks that were seen on both sides of it, so that no place can be right for them.
    pub both_sides: Vec<String>,
}

/// A place for a new line of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The group's index.
    pub group: usize,
    /// The entry that it would be nested in; `None` for a root.
    pub parent: Option<usize>,
    /// Whether what is nested in that entry now would be nested in the new one.
    pub adopts: bool,
    /// The name and line of the nearest documented lock outside that was seen outside of it.
    pub outer: Option<(String, Site)>,
    /// The name and line of the nearest documented lock inside that was seen inside of it.
    pub inner: Option<(String, Site)>,
}

/// How many locks of the table a document has to name to be about their subject.
const SUBJECT_MIN: usize = 3;

/// Where the neighbours of a lock are: outside of it, and inside.
pub(super) const SIDES: [Direction; 2] = [Direction::Incoming, Direction::Outgoing];

pub(super) fn find(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<Missing> {
    let closure = Closure::of(document, aliases);
    let direct = seen.direct();
    let lacks = |lock: &str| !closure.has(lock) && aliases.info(lock).is_some_and(|info| info.is_core);
    // A lock counts whose neighbours are documented, or ought to be: what is found must not depend on what is added first.
    let is_missing = |lock: &str| {
        let near = SIDES.into_iter().flat_map(|side| direct.neighbors_directed(lock, side));
        let near: BTreeSet<&str> = near.filter(|other| closure.has(other) || lacks(other)).collect();
        near.len() >= 2 && near.iter().any(|other| closure.has(other))
    };
    if !is_about(&closure, aliases) {
        return Vec::new();
    }
    let missing = aliases.locks().iter().filter(|info| lacks(&info.name) && is_missing(&info.name));
    missing.filter_map(|info| Search::new(document, seen, aliases, &info.name).missing(info)).collect()
}

/// Returns whether a document is about the subject of the table.
pub(super) fn is_about(closure: &Closure<'_>, aliases: &Aliases) -> bool {
    aliases.locks().iter().filter(|info| closure.has(&info.name)).count() >= SUBJECT_MIN
}

/// The search for the place of one lock.
pub(crate) struct Search<'a> {
    document: &'a Document,
    aliases: &'a Aliases,
    /// For each documented lock the evidence that it comes before the new one, and after it.
    sides: HashMap<String, (Option<Evidence>, Option<Evidence>)>,
}

/// How good a place is; the least is the best: rules against, not enclosed by rules for it, rules for it (those that
/// were seen directly count twice), rules of which nothing is known, depth.
type Score = (usize, bool, std::cmp::Reverse<usize>, usize, usize);

#[derive(Default)]
struct Tally {
    good: usize,
    bad: usize,
    unknown: usize,
}

impl<'a> Search<'a> {
    pub(crate) fn new(document: &'a Document, seen: &Seen<'_>, aliases: &'a Aliases, lock: &str) -> Self {
        let mut sides = HashMap::new();
        for (group, entry) in document.entries() {
            for name in entry.names() {
                let other = aliases.of_document(name, group.scope.as_deref());
                let evidence = || (seen.evidence(other, lock), seen.evidence(lock, other));
                sides.entry(other.to_owned()).or_insert_with(evidence);
            }
        }
        Self { document, aliases, sides }
    }

    fn missing(self, info: &crate::alias::LockInfo) -> Option<Missing> {
        let place = self.best()?;
        let group = &self.document.groups[place.group];
        let (outside, inside) = surroundings(group, place.parent, place.adopts);
        let direct = |evidence: &Option<Evidence>| evidence.clone().filter(Evidence::is_direct);
        let after = self.locks(group, &outside).filter_map(|lock| direct(&self.sides[lock].0)).collect();
        let before = self.locks(group, &inside).filter_map(|lock| direct(&self.sides[lock].1)).collect();
        let both = self.sides.iter().filter(|(_, sides)| sides.0.is_some() && sides.1.is_some());
        let mut both_sides: Vec<String> = both.map(|(lock, _)| lock.clone()).collect();
        both_sides.sort_unstable();
        let name = info.insert.clone().unwrap_or_else(|| info.name.clone());
        Some(Missing { lock: info.name.clone(), name, place, after, before, both_sides })
    }

    /// The best place, if the document has an unscoped group.
    pub(crate) fn best(&self) -> Option<Place> {
        let groups = self.document.groups.iter().enumerate().filter(|(_, group)| group.scope.is_none());
        let places = groups.flat_map(|(at, group)| {
            let parents = std::iter::once(None).chain((0..group.entries.len()).map(Some));
            parents.flat_map(move |parent| [true, false].map(|adopts| (at, parent, adopts)))
        });
        let (group, parent, adopts) = places.min_by_key(|&(at, parent, adopts)| self.score(at, parent, adopts))?;
        Some(self.place(group, parent, adopts))
    }

    fn score(&self, at: usize, parent: Option<usize>, adopts: bool) -> Score {
        let group = &self.document.groups[at];
        let (outside, inside) = surroundings(group, parent, adopts);
        let (outer, inner) = (self.tally(group, &outside, true), self.tally(group, &inside, false));
        let is_enclosed = outer.good > 0 && inner.good > 0;
        let good = std::cmp::Reverse(outer.good + inner.good);
        (outer.bad + inner.bad, !is_enclosed, good, outer.unknown + inner.unknown, outside.len())
    }

    /// Counts what is known of a lock's order to those of some entries, which are outside of it, or inside.
    fn tally(&self, group: &Group, entries: &[usize], is_outside: bool) -> Tally {
        let mut tally = Tally::default();
        for lock in self.locks(group, entries) {
            let (before, after) = &self.sides[lock];
            let (wanted, other) = if is_outside { (before, after) } else { (after, before) };
            match (wanted, other) {
                (Some(evidence), None) => tally.good += if evidence.is_direct() { 2 } else { 1 },
                (None, Some(_)) => tally.bad += 1,
                (None, None) => tally.unknown += 1,
                (Some(_), Some(_)) => {}
            }
        }
        tally
    }

    fn place(&self, at: usize, parent: Option<usize>, adopts: bool) -> Place {
        let group = &self.document.groups[at];
        let (outside, inside) = surroundings(group, parent, adopts);
        let nearest = |entries: &[usize], is_seen: fn(&(Option<Evidence>, Option<Evidence>)) -> bool| {
            let has = |entry: &&usize| self.locks(group, &[**entry]).any(|lock| is_seen(&self.sides[lock]));
            entries.iter().find(has).map(|&entry| (group.entries[entry].label(), group.entries[entry].site.clone()))
        };
        let outer = nearest(&outside, |sides| sides.0.is_some() && sides.1.is_none());
        let inner = nearest(&inside, |sides| sides.1.is_some() && sides.0.is_none());
        Place { group: at, parent, adopts, outer, inner }
    }

    /// The locks of some entries.
    fn locks<'b>(&'b self, group: &'b Group, entries: &'b [usize]) -> impl Iterator<Item = &'b str> {
        let names = entries.iter().flat_map(|&entry| group.entries[entry].names());
        names.map(|name| self.aliases.of_document(name, group.scope.as_deref()))
    }
}

/// The entries around and below a place, the nearest first.
fn surroundings(group: &Group, parent: Option<usize>, adopts: bool) -> (Vec<usize>, Vec<usize>) {
    let outside = parent.into_iter().chain(parent.into_iter().flat_map(|at| group.ancestors(at))).collect();
    let is_below = |&entry: &usize| parent.is_none_or(|parent| group.ancestors(entry).any(|at| at == parent));
    let inside = if adopts { (0..group.entries.len()).filter(is_below).collect() } else { Vec::new() };
    (outside, inside)
}
