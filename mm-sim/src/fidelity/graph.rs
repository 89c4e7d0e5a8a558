//! What lockdep has learnt, as a graph of locks: classes that a table calls one lock are one.
//!
//! Reachability is that of the classes themselves, whatever leads through classes that the table does not have. Paths
//! through two classes of one lock (the inode locks of two file systems) are none.

use std::collections::{BTreeMap, BTreeSet};

use lockdep_audit::{Aliases, Observation, observe::Ways};

/// A dependency between two locks.
pub(super) type Pair = (String, String);

/// The graph of one observation.
pub(super) struct LockGraph {
    /// The locks of the table of which there is a class.
    pub(super) locks: BTreeSet<String>,
    /// The classes that the table does not have.
    pub(super) others: BTreeSet<String>,
    /// Direct dependencies between locks of the table, with the place that shows the first one.
    pub(super) direct: BTreeMap<Pair, String>,
    /// From lock to lock the classes of a shortest way.
    reach: BTreeMap<Pair, Vec<String>>,
}

impl LockGraph {
    pub(super) fn new(observation: &Observation, table: &Aliases) -> Self {
        let classes = observation.classes();
        let lock_of: Vec<Option<&str>> = (0..classes.len())
            .map(|class| table.of_class(observation, class).0)
            .map(|lock| table.info(lock).is_some_and(|info| !info.is_invisible).then_some(lock))
            .collect();
        let is_known = |class: usize| table.info(table.of_class(observation, class).0).is_some();
        let others = (0..classes.len()).filter(|&class| !is_known(class)).map(|class| classes[class].name.to_string());
        let mut graph = Self {
            locks: lock_of.iter().flatten().map(|lock| (*lock).to_owned()).collect(),
            others: others.collect(),
            direct: BTreeMap::new(),
            reach: BTreeMap::new(),
        };
        for (outer, inner, witness) in observation.dependencies() {
            if let (Some(outer), Some(inner)) = (lock_of[outer], lock_of[inner]) {
                let place = witness.at.as_ref().or(witness.inner_site.as_ref()).map(ToString::to_string);
                graph.direct.entry((outer.to_owned(), inner.to_owned())).or_insert_with(|| place.unwrap_or_default());
            }
        }
        let sorted = observation.sorted();
        let name = |class: usize| classes[class].name.to_string();
        for (class, lock) in lock_of.iter().enumerate() {
            let Some(lock) = lock else { continue };
            let ways = Ways::from(&sorted, class);
            for &inner in ways.met() {
                let Some(lock_of_inner) = lock_of[inner] else { continue };
                let way = || ways.to(inner).into_iter().flatten().map(name).collect();
                graph.reach.entry(((*lock).to_owned(), lock_of_inner.to_owned())).or_insert_with(way);
            }
        }
        graph
    }

    /// Returns the classes of a way from one lock to the other.
    pub(super) fn way(&self, pair: &Pair) -> Option<&[String]> {
        self.reach.get(pair).map(Vec::as_slice)
    }
}
