//! [`DependencyGraph`]: who was acquired under whom, and whether that can block.
//!
//! A dependency `outer -> inner` carries the kinds in which it was seen. A walk over dependencies can really block (is
//! *strong*) if each lock on it is held in a way that blocks the one who waits for it. So the search runs on the
//! **product graph**, whose nodes are (lock, how it is waited for): a dependency leads from (outer, w) to
//! (inner, its own wait) if its hold blocks w. A strong cycle is a plain cycle of that graph.
//!
//! * The product node of a normal wait takes part from the lock's first dependency, as source or target; those of the
//!   rare waits, from the time when a dependency first leads to them.
//! * An incremental topological [`Order`] of the product graph answers "no cycle" without a search in most cases.
//! * A breadth-first search explains a cycle: the shortest one through the new dependency.
//! * A dependency that closed a cycle is **parked**: kept, but outside the order, so that checking goes on. Once
//!   anything is parked, each new dependency is searched, because a new cycle may pass through a parked one.

mod arcs;
mod lists;
mod pool;

use std::{collections::VecDeque, fmt::Debug, hash::Hash};

use arcs::{ArcId, Arcs, Fitting};
use pool::Entry;
pub(crate) use pool::{WitnessId, Witnesses};
use rustc_hash::FxHashMap;

use crate::{
    mode::{DependencyKind, WaitKind},
    order::{ClosesCycle, Edges, Order, SORTS},
};

/// A dependency graph over locks named by `K` (classes, or the instances of one class), with witnesses `W` for
/// each dependency in each kind.
#[derive(Debug)]
pub struct DependencyGraph<K, W> {
    arcs: Arcs<K, W>,
    nodes: FxHashMap<K, u32>,
    order: Order,
    parked: usize,
}

/// A dependency on the way around a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step<K> {
    /// The lock that was held.
    pub outer: K,
    /// The lock that was acquired.
    pub inner: K,
    /// How.
    pub kind: DependencyKind,
}

/// What an insertion found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted<K> {
    /// The dependency was known in this kind, and closes no cycle.
    Known,
    /// It is new and closes no cycle.
    New,
    /// It is new and closes a cycle: this one, the shortest, beginning with the dependency itself.
    Closes(Vec<Step<K>>),
    /// It was known to close a cycle.
    KnownToClose,
}

impl<K, W> Default for DependencyGraph<K, W> {
    fn default() -> Self {
        Self { arcs: Arcs::default(), nodes: FxHashMap::default(), order: Order::new(), parked: 0 }
    }
}

impl<K: Copy + Eq + Hash + Debug, W: Copy> DependencyGraph<K, W> {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the dependency `outer -> inner` of this kind and tells whether it closes a strong cycle. The witness is
    /// taken only if the dependency is new in this kind.
    ///
    /// # Panics
    ///
    /// If both are the same lock: nesting within one class is judged on the held stack, not here.
    ///
    /// # Complexity
    ///
    /// O(1) if it is known; no search if it fits the order; else see [`Order::connect`].
    pub fn insert(&mut self, outer: K, inner: K, kind: DependencyKind, witness: W) -> Inserted<K> {
        assert_ne!(outer, inner, "a lock does not depend on itself");
        let (u, v) = (self.node(outer), self.node(inner));
        let arc = match self.arcs.find(u, v) {
            None => self.arcs.add(u, v, kind, witness),
            Some(arc) => {
                let known = *self.arcs.get(arc);
                if known.ordered.contains(kind) {
                    return Inserted::Known;
                }
                if known.parked.contains(kind) {
                    return Inserted::KnownToClose;
                }
                self.arcs.pool.append(known.first, kind, witness);
                arc
            }
        };

        let fits = self.enter_order(u, v, arc, kind).is_ok();
        if fits && self.parked == 0 {
            return Inserted::New;
        }
        let Some(path) = self.path(v, u, kind) else {
            debug_assert!(fits, "the order refused a dependency that closes no cycle");
            return Inserted::New;
        };
        if fits {
            self.leave_order(v, arc, kind);
        }
        self.arcs.park(arc, kind);
        self.parked += 1;
        Inserted::Closes([Step { outer, inner, kind }].into_iter().chain(path).collect())
    }

    fn node(&mut self, key: K) -> u32 {
        *self.nodes.entry(key).or_insert_with(|| self.arcs.add_node(key))
    }

    /// Brings a dependency into the order, or leaves the order as it was.
    fn enter_order(&mut self, u: u32, v: u32, arc: ArcId, kind: DependencyKind) -> Result<(), ClosesCycle> {
        let target = product(v, kind.wait);
        // A fresh source goes to the front and a fresh target to the back: neither has anything on its other side.
        if !self.arcs.set_entered(u, WaitKind::Normal, true) {
            self.order.place_first(product(u, WaitKind::Normal));
        }
        if !self.arcs.set_entered(v, WaitKind::Normal, true) {
            self.order.place_last(product(v, WaitKind::Normal));
        }
        let (mut sources, mut count) = ([0; WaitKind::ALL.len()], 0);
        for wait in self.arcs.node(u).entered.iter().filter(|wait| kind.hold.blocks(*wait)) {
            sources[count] = product(u, wait);
            count += 1;
        }
        let sources = &sources[..count];
        let first_entry = !self.arcs.node(v).entered.contains(kind.wait);

        // The new arcs are not yet in the storage while the order makes room for them.
        let fits = if first_entry {
            self.place(target, sources)
        } else {
            sources.iter().try_for_each(|&source| self.order.connect(source, target, &self.arcs))
        };
        match fits {
            Ok(()) => {
                self.arcs.set_entered(v, kind.wait, true);
                self.arcs.set_ordered(arc, kind, true);
            }
            Err(ClosesCycle) if first_entry => self.order.remove(target),
            Err(ClosesCycle) => {}
        }
        fits
    }

    /// Gives the product node of a rare wait its first place: after its sources and before what it leads to.
    fn place(&mut self, target: usize, sources: &[usize]) -> Result<(), ClosesCycle> {
        self.order.place_last(target);
        let mut successors = Vec::new();
        self.arcs.successors(target, |next| successors.push(next));
        // While the target is being fitted in, searches must see the arcs that lead to it, and not those that are not
        // fitted in yet.
        let mut fitting = Fitting { arcs: &self.arcs, target, sources, fitted: Vec::new() };
        for next in successors {
            self.order.connect(target, next, &fitting)?;
            fitting.fitted.push(next);
        }
        Ok(())
    }

    /// Takes back what [`enter_order`](Self::enter_order) did.
    fn leave_order(&mut self, v: u32, arc: ArcId, kind: DependencyKind) {
        self.arcs.set_ordered(arc, kind, false);
        if kind.wait != WaitKind::Normal && !self.arcs.is_led_to(v, kind.wait) {
            self.arcs.set_entered(v, kind.wait, false);
            self.order.remove(product(v, kind.wait));
        }
    }

    /// Returns the shortest strong path from `from`, waited for as `closing` says, to `to`, arriving there in a way that
    /// `closing`'s hold blocks; parked dependencies included.
    fn path(&self, from: u32, to: u32, closing: DependencyKind) -> Option<Vec<Step<K>>> {
        self.path_to(from, closing.wait, to, |wait| closing.hold.blocks(wait))
    }

    /// Returns the shortest strong path from `from`, waited for as `wait` says, to `to`, arriving as `arrives` likes it.
    fn path_to(&self, from: u32, wait: WaitKind, to: u32, arrives: impl Fn(WaitKind) -> bool) -> Option<Vec<Step<K>>> {
        let start = product(from, wait);
        let mut came_from: FxHashMap<usize, (usize, DependencyKind)> = FxHashMap::default();
        let mut queue = VecDeque::from([start]);
        while let Some(state) = queue.pop_front() {
            let (node, wait) = split(state);
            // Successors come newest first; the order does not matter, but it is always the same.
            for out in self.arcs.outs(node).iter().rev() {
                let kinds = out.ordered.union(out.parked);
                for kind in kinds.iter().filter(|kind| kind.hold.blocks(wait)) {
                    let next = product(out.target, kind.wait);
                    if next == start || came_from.contains_key(&next) {
                        continue;
                    }
                    came_from.insert(next, (state, kind));
                    if out.target == to && arrives(kind.wait) {
                        return Some(self.walk_back(next, start, &came_from));
                    }
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// Returns a strong closed walk that begins with the dependency `step` and passes through `via`, or `None` if there
    /// is none. It is as short as two shortest ways make it.
    pub(crate) fn cycle_through(&self, step: Step<K>, via: K) -> Option<Vec<Step<K>>> {
        let [outer, inner, middle] = [step.outer, step.inner, via].map(|key| self.nodes.get(&key).copied());
        let (outer, inner, middle) = (outer?, inner?, middle?);
        WaitKind::ALL.into_iter().find_map(|wait| {
            // Arriving at the middle so that whoever leaves it can block it: the second way begins in that state.
            let there = self.path_to(inner, step.kind.wait, middle, |arrived| arrived == wait)?;
            let back = self.path_to(middle, wait, outer, |arrived| step.kind.hold.blocks(arrived))?;
            Some([step].into_iter().chain(there).chain(back).collect())
        })
    }

    fn walk_back(
        &self,
        mut state: usize,
        start: usize,
        came_from: &FxHashMap<usize, (usize, DependencyKind)>,
    ) -> Vec<Step<K>> {
        let key = |state| self.arcs.node(split(state).0).key;
        let mut steps = Vec::new();
        while state != start {
            let (previous, kind) = came_from[&state];
            steps.push(Step { outer: key(previous), inner: key(state), kind });
            state = previous;
        }
        steps.reverse();
        steps
    }

    /// Returns the first witness of a dependency, in whatever kind.
    fn first(&self, outer: K, inner: K) -> Option<WitnessId> {
        let arc = self.arcs.find(*self.nodes.get(&outer)?, *self.nodes.get(&inner)?)?;
        Some(self.arcs.get(arc).first)
    }

    /// Returns the first witness of a dependency in a kind.
    pub fn witness(&self, outer: K, inner: K, kind: DependencyKind) -> Option<&W> {
        self.witnesses(outer, inner, kind).next()
    }

    /// Returns all witnesses of a dependency, of every kind.
    pub(crate) fn witnesses_mut(&mut self, outer: K, inner: K) -> Option<Witnesses<'_, W>> {
        let first = self.first(outer, inner)?;
        Some(Witnesses { pool: &mut self.arcs.pool, first })
    }

    /// Returns the witnesses of a dependency in a kind.
    pub fn witnesses(&self, outer: K, inner: K, kind: DependencyKind) -> impl Iterator<Item = &W> {
        let all = self.first(outer, inner).into_iter().flat_map(|first| self.arcs.pool.following(first));
        all.filter(move |(_, entry)| entry.kind == kind).map(|(_, entry)| &entry.witness)
    }

    /// Returns the witnesses of all dependencies in all kinds.
    pub(crate) fn all_witnesses(&self) -> impl Iterator<Item = &W> {
        self.arcs.pool.iter().map(|entry| &entry.witness)
    }

    /// Returns every dependency in every kind with each of its witnesses.
    pub(crate) fn witnessed(&self) -> impl Iterator<Item = (Step<K>, &W)> {
        let all = self.arcs.pool.leading().flat_map(|first| self.arcs.pool.following(first));
        all.map(|(_, entry)| (self.step(entry), &entry.witness))
    }

    fn step(&self, entry: &Entry<W>) -> Step<K> {
        let [outer, inner] = <[u32; 2]>::from(entry.ends).map(|node| self.arcs.node(node).key);
        Step { outer, inner, kind: entry.kind }
    }

    /// Returns how many dependencies did not fit the order in which they arrived, so that it had to be searched.
    pub fn searches(&self) -> u64 {
        self.order.searches()
    }

    /// Returns every dependency in every kind, parked ones included, with its first witness, in the order of arrival of the
    /// pairs.
    pub fn dependencies(&self) -> impl Iterator<Item = (Step<K>, &W)> {
        self.arcs.pool.leading().flat_map(|first| {
            let all = self.arcs.pool.following(first);
            let is_first = {
                let all = all.clone();
                move |index: usize, kind| !all.clone().take(index).any(|(_, other)| other.kind == kind)
            };
            let firsts = all.enumerate().filter(move |(index, (_, entry))| is_first(*index, entry.kind));
            firsts.map(|(_, (_, entry))| (self.step(entry), &entry.witness))
        })
    }

    /// Returns the locks that take part, in the order of their arrival.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.arcs.nodes.iter().map(|node| node.key)
    }

    /// Returns how many pairs of locks depend on each other directly.
    pub fn len(&self) -> usize {
        self.arcs.len
    }

    /// Returns whether there is no dependency.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many locks take part.
    pub fn node_count(&self) -> usize {
        self.arcs.nodes.len()
    }

    /// Checks that indexes, kinds, entries and the order agree.
    ///
    /// # Panics
    ///
    /// If they do not: a bug of this crate.
    pub fn check_invariants(&self) {
        self.arcs.check_invariants();
        assert_eq!(self.nodes.len(), self.arcs.nodes.len());
        assert!(self.nodes.iter().all(|(key, node)| self.arcs.node(*node).key == *key), "the index finds the node");
        let mut parked = 0;
        for node in 0..self.arcs.nodes.len() as u32 {
            for out in self.arcs.outs(node) {
                let all: Vec<DependencyKind> = out.ordered.union(out.parked).iter().collect();
                let seen = || self.arcs.pool.following(out.first).map(|(_, entry)| entry);
                assert!(out.ordered.iter().all(|kind| !out.parked.contains(kind)), "a kind is ordered or parked");
                assert!(all.iter().all(|kind| seen().any(|entry| entry.kind == *kind)), "a kind has a witness");
                assert!(seen().all(|entry| all.contains(&entry.kind)), "a witness has a kind");
                assert!(seen().all(|entry| entry.ends == (node, out.target)), "a witness is of its dependency");
                assert!(seen().enumerate().all(|(index, entry)| entry.leads == (index == 0)), "the first one leads");
                parked += out.parked.iter().count();
            }
            for wait in WaitKind::ALL {
                let entered = self.arcs.node(node).entered.contains(wait);
                assert_eq!(
                    entered,
                    self.arcs.is_led_to(node, wait) || wait == WaitKind::Normal,
                    "a rare wait is entered if something leads there"
                );
                assert_eq!(self.order.is_placed(product(node, wait)), entered, "what is entered has a place");
            }
        }
        assert_eq!(self.parked, parked);
        assert_eq!(self.arcs.pool.leading().count(), self.len());
        self.order.check_invariants(&self.arcs);
    }
}

/// The number of a product node: for the order, those of one wait are of one sort.
#[inline]
fn product(node: u32, wait: WaitKind) -> usize {
    node as usize * SORTS + wait as usize
}

#[inline]
fn split(state: usize) -> (u32, WaitKind) {
    ((state / SORTS) as u32, WaitKind::from_index(state % SORTS))
}

#[cfg(test)]
mod tests;
