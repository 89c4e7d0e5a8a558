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

use std::{collections::VecDeque, fmt::Debug, hash::Hash};

use petgraph::{
    Direction,
    graph::{DiGraph, EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rustc_hash::FxHashMap;

use crate::{
    mode::{DependencyKind, KindSet, WaitKind},
    order::{ClosesCycle, Edges, Order},
};

const WAITS: usize = WaitKind::ALL.len();
const NORMAL: usize = WaitKind::Normal as usize;

/// A dependency graph over locks named by `K` (classes, or the instances of one class), with witnesses `W` for
/// each dependency in each kind.
#[derive(Debug)]
pub struct DependencyGraph<K, W> {
    arcs: Arcs<K, W>,
    nodes: FxHashMap<K, NodeIndex>,
    by_ends: FxHashMap<(NodeIndex, NodeIndex), EdgeIndex>,
    order: Order,
    parked: usize,
}

/// The storage, apart from the order so that the one can be read while the other is changed.
#[derive(Debug)]
struct Arcs<K, W> {
    graph: DiGraph<Node<K>, Arc<W>>,
}

#[derive(Debug)]
struct Node<K> {
    key: K,
    /// By [`WaitKind`]: whether this product node takes part in the order.
    entered: [bool; WAITS],
}

#[derive(Debug)]
struct Arc<W> {
    /// In the order.
    ordered: KindSet,
    /// Beside it.
    parked: KindSet,
    witnesses: Vec<(DependencyKind, W)>,
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
        Self {
            arcs: Arcs { graph: DiGraph::new() },
            nodes: FxHashMap::default(),
            by_ends: FxHashMap::default(),
            order: Order::new(),
            parked: 0,
        }
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
        let arc = self.arc(u, v);
        let weight = &mut self.arcs.graph[arc];
        if weight.ordered.contains(kind) {
            return Inserted::Known;
        }
        if weight.parked.contains(kind) {
            return Inserted::KnownToClose;
        }
        if weight.witnesses.is_empty() {
            weight.witnesses = vec![(kind, witness)];
        } else {
            weight.witnesses.push((kind, witness));
        }

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
        self.arcs.graph[arc].parked.insert(kind);
        self.parked += 1;
        Inserted::Closes([Step { outer, inner, kind }].into_iter().chain(path).collect())
    }

    fn node(&mut self, key: K) -> NodeIndex {
        let graph = &mut self.arcs.graph;
        *self.nodes.entry(key).or_insert_with(|| graph.add_node(Node { key, entered: [false; WAITS] }))
    }

    fn arc(&mut self, u: NodeIndex, v: NodeIndex) -> EdgeIndex {
        let graph = &mut self.arcs.graph;
        *self.by_ends.entry((u, v)).or_insert_with(|| {
            graph.add_edge(u, v, Arc { ordered: KindSet::EMPTY, parked: KindSet::EMPTY, witnesses: Vec::new() })
        })
    }

    /// Brings a dependency into the order, or leaves the order as it was.
    fn enter_order(
        &mut self,
        u: NodeIndex,
        v: NodeIndex,
        arc: EdgeIndex,
        kind: DependencyKind,
    ) -> Result<(), ClosesCycle> {
        let target = product(v, kind.wait);
        // A fresh source goes to the front and a fresh target to the back: neither has anything on its other side.
        if !std::mem::replace(&mut self.arcs.graph[u].entered[NORMAL], true) {
            self.order.place_first(product(u, WaitKind::Normal));
        }
        if !std::mem::replace(&mut self.arcs.graph[v].entered[NORMAL], true) {
            self.order.place_last(product(v, WaitKind::Normal));
        }
        let sources = self.arcs.states(u).filter(|wait| kind.hold.blocks(*wait)).map(|wait| product(u, wait));
        let sources: Vec<usize> = sources.collect();
        let first_entry = !self.arcs.graph[v].entered[kind.wait as usize];

        // The new arcs are not yet in the storage while the order makes room for them.
        let fits = if first_entry {
            self.place(target, &sources)
        } else {
            sources.iter().try_for_each(|&source| self.order.connect(source, target, &self.arcs))
        };
        match fits {
            Ok(()) => {
                self.arcs.graph[v].entered[kind.wait as usize] = true;
                self.arcs.graph[arc].ordered.insert(kind);
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
    fn leave_order(&mut self, v: NodeIndex, arc: EdgeIndex, kind: DependencyKind) {
        self.arcs.graph[arc].ordered.remove(kind);
        if kind.wait == WaitKind::Normal {
            return;
        }
        let mut incoming = self.arcs.graph.edges_directed(v, Direction::Incoming);
        let still_entered = incoming.any(|edge| edge.weight().ordered.iter().any(|other| other.wait == kind.wait));
        if !still_entered {
            self.arcs.graph[v].entered[kind.wait as usize] = false;
            self.order.remove(product(v, kind.wait));
        }
    }

    /// Returns the shortest strong path from `from`, waited for as `closing` says, to `to`, arriving there in a way that
    /// `closing`'s hold blocks; parked dependencies included.
    fn path(&self, from: NodeIndex, to: NodeIndex, closing: DependencyKind) -> Option<Vec<Step<K>>> {
        self.path_to(from, closing.wait, to, |wait| closing.hold.blocks(wait))
    }

    /// Returns the shortest strong path from `from`, waited for as `wait` says, to `to`, arriving as `arrives` likes it.
    fn path_to(
        &self,
        from: NodeIndex,
        wait: WaitKind,
        to: NodeIndex,
        arrives: impl Fn(WaitKind) -> bool,
    ) -> Option<Vec<Step<K>>> {
        let graph = &self.arcs.graph;
        let start = product(from, wait);
        let mut came_from: FxHashMap<usize, (usize, DependencyKind)> = FxHashMap::default();
        let mut queue = VecDeque::from([start]);
        while let Some(state) = queue.pop_front() {
            let (node, wait) = split(state);
            // Successors come newest first; the order does not matter, but it is always the same.
            for edge in graph.edges(node) {
                let kinds = edge.weight().ordered.union(edge.weight().parked);
                for kind in kinds.iter().filter(|kind| kind.hold.blocks(wait)) {
                    let next = product(edge.target(), kind.wait);
                    if next == start || came_from.contains_key(&next) {
                        continue;
                    }
                    came_from.insert(next, (state, kind));
                    if edge.target() == to && arrives(kind.wait) {
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
        let key = |state| self.arcs.graph[split(state).0].key;
        let mut steps = Vec::new();
        while state != start {
            let (previous, kind) = came_from[&state];
            steps.push(Step { outer: key(previous), inner: key(state), kind });
            state = previous;
        }
        steps.reverse();
        steps
    }

    /// Returns the first witness of a dependency in a kind.
    pub fn witness(&self, outer: K, inner: K, kind: DependencyKind) -> Option<&W> {
        let arc = self.by_ends.get(&(*self.nodes.get(&outer)?, *self.nodes.get(&inner)?))?;
        self.arcs.graph[*arc].witnesses.iter().find(|(seen, _)| *seen == kind).map(|(_, witness)| witness)
    }

    /// Returns all witnesses of a dependency, of every kind.
    pub(crate) fn witnesses_mut(&mut self, outer: K, inner: K) -> Option<&mut Vec<(DependencyKind, W)>> {
        let arc = self.by_ends.get(&(*self.nodes.get(&outer)?, *self.nodes.get(&inner)?))?;
        Some(&mut self.arcs.graph[*arc].witnesses)
    }

    /// Returns the witnesses of a dependency in a kind.
    pub fn witnesses(&self, outer: K, inner: K, kind: DependencyKind) -> impl Iterator<Item = &W> {
        let ends = self.nodes.get(&outer).copied().zip(self.nodes.get(&inner).copied());
        let arc = ends.and_then(|ends| self.by_ends.get(&ends));
        let all = arc.map_or(&[][..], |arc| &self.arcs.graph[*arc].witnesses);
        all.iter().filter(move |(seen, _)| *seen == kind).map(|(_, witness)| witness)
    }

    /// Returns the witnesses of all dependencies in all kinds.
    pub(crate) fn all_witnesses(&self) -> impl Iterator<Item = &W> {
        self.arcs.graph.edge_weights().flat_map(|arc| arc.witnesses.iter().map(|(_, witness)| witness))
    }

    /// Returns every dependency in every kind with each of its witnesses.
    pub(crate) fn witnessed(&self) -> impl Iterator<Item = (Step<K>, &W)> {
        self.arcs.graph.edge_references().flat_map(|edge| {
            let key = |node: NodeIndex| self.arcs.graph[node].key;
            let (outer, inner) = (key(edge.source()), key(edge.target()));
            edge.weight().witnesses.iter().map(move |(kind, witness)| (Step { outer, inner, kind: *kind }, witness))
        })
    }

    /// Returns how many dependencies did not fit the order in which they arrived, so that it had to be searched.
    pub fn searches(&self) -> u64 {
        self.order.searches()
    }

    /// Returns every dependency in every kind, parked ones included, with its first witness, in the order of arrival of the
    /// pairs.
    pub fn dependencies(&self) -> impl Iterator<Item = (Step<K>, &W)> {
        self.arcs.graph.edge_references().flat_map(|edge| {
            let key = |node: NodeIndex| self.arcs.graph[node].key;
            let (outer, inner) = (key(edge.source()), key(edge.target()));
            let all = &edge.weight().witnesses;
            let first = move |(index, (kind, _)): &(usize, &(DependencyKind, W))| {
                !all[..*index].iter().any(|(other, _)| other == kind)
            };
            let firsts = all.iter().enumerate().filter(first);
            firsts.map(move |(_, (kind, witness))| (Step { outer, inner, kind: *kind }, witness))
        })
    }

    /// Returns the locks that take part, in the order of their arrival.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.arcs.graph.node_weights().map(|node| node.key)
    }

    /// Returns how many pairs of locks depend on each other directly.
    pub fn len(&self) -> usize {
        self.arcs.graph.edge_count()
    }

    /// Returns whether there is no dependency.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many locks take part.
    pub fn node_count(&self) -> usize {
        self.arcs.graph.node_count()
    }

    /// Checks that indexes, kinds, entries and the order agree.
    ///
    /// # Panics
    ///
    /// If they do not: a bug of this crate.
    pub fn check_invariants(&self) {
        let graph = &self.arcs.graph;
        assert_eq!(self.nodes.len(), graph.node_count());
        assert_eq!(self.by_ends.len(), graph.edge_count());
        assert!(self.nodes.iter().all(|(key, node)| graph[*node].key == *key), "the index finds the node");
        for (ends, arc) in &self.by_ends {
            assert_eq!(graph.edge_endpoints(*arc), Some(*ends), "the index finds the arc");
            let Arc { ordered, parked, witnesses } = &graph[*arc];
            assert!(ordered.iter().all(|kind| !parked.contains(kind)), "a kind is ordered or parked");
            let seen = |kind| witnesses.iter().any(|(other, _)| *other == kind);
            assert!(ordered.union(*parked).iter().all(seen), "a kind has a witness");
            assert!(witnesses.iter().all(|(kind, _)| ordered.union(*parked).contains(*kind)), "a witness has a kind");
        }
        let parked: usize = graph.edge_weights().map(|arc| arc.parked.iter().count()).sum();
        assert_eq!(self.parked, parked);
        for node in graph.node_indices() {
            for wait in WaitKind::ALL {
                let mut incoming = graph.edges_directed(node, Direction::Incoming);
                let leads_here = incoming.any(|edge| edge.weight().ordered.iter().any(|kind| kind.wait == wait));
                let entered = graph[node].entered[wait as usize];
                assert_eq!(
                    entered,
                    leads_here || wait == WaitKind::Normal,
                    "a rare wait is entered if something leads there"
                );
                assert_eq!(self.order.is_placed(product(node, wait)), entered, "what is entered has a place");
            }
        }
        self.order.check_invariants(&self.arcs);
    }
}

fn product(node: NodeIndex, wait: WaitKind) -> usize {
    node.index() * WAITS + wait as usize
}

fn split(state: usize) -> (NodeIndex, WaitKind) {
    (NodeIndex::new(state / WAITS), WaitKind::from_index(state % WAITS))
}

impl<K, W> Arcs<K, W> {
    /// Returns the ways in which a node is entered.
    fn states(&self, node: NodeIndex) -> impl Iterator<Item = WaitKind> {
        let entered = self.graph[node].entered;
        WaitKind::ALL.into_iter().filter(move |wait| entered[*wait as usize])
    }
}

impl<K, W> Edges for Arcs<K, W> {
    fn successors(&self, state: usize, mut visit: impl FnMut(usize)) {
        let (node, wait) = split(state);
        for edge in self.graph.edges(node) {
            let kinds = edge.weight().ordered.iter().filter(|kind| kind.hold.blocks(wait));
            kinds.for_each(|kind| visit(product(edge.target(), kind.wait)));
        }
    }

    fn predecessors(&self, state: usize, mut visit: impl FnMut(usize)) {
        let (node, wait) = split(state);
        for edge in self.graph.edges_directed(node, Direction::Incoming) {
            for kind in edge.weight().ordered.iter().filter(|kind| kind.wait == wait) {
                let sources = self.states(edge.source()).filter(|wait| kind.hold.blocks(*wait));
                sources.for_each(|wait| visit(product(edge.source(), wait)));
            }
        }
    }
}

/// The arcs, with the node `target` as far as it has been fitted into the order.
struct Fitting<'a, K, W> {
    arcs: &'a Arcs<K, W>,
    target: usize,
    sources: &'a [usize],
    fitted: Vec<usize>,
}

impl<K, W> Edges for Fitting<'_, K, W> {
    fn successors(&self, state: usize, mut visit: impl FnMut(usize)) {
        if state == self.target {
            return self.fitted.iter().copied().for_each(visit);
        }
        self.arcs.successors(state, &mut visit);
        if self.sources.contains(&state) {
            visit(self.target);
        }
    }

    fn predecessors(&self, state: usize, mut visit: impl FnMut(usize)) {
        if state == self.target {
            return self.sources.iter().copied().for_each(visit);
        }
        self.arcs.predecessors(state, &mut visit);
        if self.fitted.contains(&state) {
            visit(self.target);
        }
    }
}

#[cfg(test)]
mod tests;
