//! [`Order`]: a topological order that is kept while edges come in.
//!
//! Pearce and Kelly, *A dynamic topological sort algorithm for directed acyclic graphs*, JEA 11 (2006). Every node has a
//! rank; an edge that leads from a lower to a higher rank costs nothing. For any other edge `u -> v`:
//!
//! 1. collect what `v` leads to, as far as the rank of `u`; if that meets `u`, the edge would close a cycle;
//! 2. collect what leads to `u`, as far down as the rank of `v`;
//! 3. hand the ranks of both sets out again, those before `u` first.
//!
//! The cost of an edge is that of the two sets, times the logarithm for sorting. A node without predecessors goes to the
//! front and one without successors to the back, so that neither a chain learnt head first nor one learnt tail first
//! ever needs a search. Searches are iterative. The order knows no edges: a [`Edges`] tells it the neighbours.

/// What a graph tells an [`Order`]: the neighbours of its nodes. Only placed nodes may be named.
pub trait Edges {
    /// Calls `visit` with each node that an edge from `node` leads to.
    fn successors(&self, node: usize, visit: impl FnMut(usize));
    /// Calls `visit` with each node that an edge to `node` comes from.
    fn predecessors(&self, node: usize, visit: impl FnMut(usize));
}

/// An edge would close a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosesCycle;

/// Nodes whose numbers are alike modulo this are of one sort. A sort that has no nodes takes no memory.
pub const SORTS: usize = 4;

const UNPLACED: i32 = i32::MIN;

/// What is known of a node.
#[derive(Clone, Copy, Debug)]
struct Place {
    rank: i32,
    /// The last search that met it.
    seen: u32,
}

const NOWHERE: Place = Place { rank: UNPLACED, seen: 0 };

/// A topological order of the nodes placed in it.
#[derive(Debug, Default)]
pub struct Order {
    /// By sort and number: a search looks at rank and mark together, and mostly at nodes of one sort.
    places: [Vec<Place>; SORTS],
    front: i32,
    back: i32,
    search: u32,
    searches: u64,
    /// What searches met, and its ranks: kept for their memory.
    after: Vec<Met>,
    before: Vec<Met>,
    ranks: Vec<i32>,
}

/// A node that a search met, after its rank at that time.
type Met = (i32, usize);

impl Order {
    /// An order of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    #[inline]
    fn get(&self, node: usize) -> Place {
        self.places[node % SORTS].get(node / SORTS).copied().unwrap_or(NOWHERE)
    }

    /// Returns whether the node has a place.
    pub fn is_placed(&self, node: usize) -> bool {
        self.get(node).rank != UNPLACED
    }

    /// Gives a node a place before all others.
    ///
    /// # Panics
    ///
    /// If there are 2^31 nodes.
    pub fn place_first(&mut self, node: usize) {
        self.front = self.front.checked_sub(1).filter(|rank| *rank != UNPLACED).expect("fewer than 2^31 nodes");
        self.place(node, self.front);
    }

    /// Gives a node a place after all others.
    ///
    /// # Panics
    ///
    /// If there are 2^31 nodes.
    pub fn place_last(&mut self, node: usize) {
        self.place(node, self.back);
        self.back = self.back.checked_add(1).expect("fewer than 2^31 nodes");
    }

    fn place(&mut self, node: usize, rank: i32) {
        let places = &mut self.places[node % SORTS];
        let index = node / SORTS;
        if places.len() <= index {
            places.resize(index + 1, NOWHERE);
        }
        places[index].rank = rank;
    }

    /// Takes a node out.
    pub fn remove(&mut self, node: usize) {
        self.place(node, UNPLACED);
    }

    /// Returns whether `u` comes before `v`.
    pub fn is_before(&self, u: usize, v: usize) -> bool {
        self.get(u).rank < self.get(v).rank
    }

    /// Returns how often it took a search to make one node come before another.
    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// Makes `u` come before `v`.
    ///
    /// # Errors
    ///
    /// If `v` leads to `u`. The order is then as before.
    ///
    /// # Complexity
    ///
    /// O(1) if it does already; else as in the module's head.
    pub fn connect(&mut self, u: usize, v: usize, edges: &impl Edges) -> Result<(), ClosesCycle> {
        if u == v {
            return Err(ClosesCycle);
        }
        let (low, high) = (self.get(v).rank, self.get(u).rank);
        if high < low {
            return Ok(());
        }
        self.searches += 1;
        let mut after = std::mem::take(&mut self.after);
        self.reach(v, &mut after, |rank| rank <= high, |node, marker| edges.successors(node, |next| marker.meet(next)));
        let closes = self.get(u).seen == self.search;
        if !closes {
            let mut before = std::mem::take(&mut self.before);
            let within = |rank| rank >= low;
            self.reach(u, &mut before, within, |node, marker| edges.predecessors(node, |next| marker.meet(next)));
            self.reorder(&mut before, &mut after);
            self.before = before;
        }
        self.after = after;
        if closes { Err(ClosesCycle) } else { Ok(()) }
    }

    /// Collects what a search from `start` meets within the given ranks.
    #[inline]
    fn reach<F: Fn(i32) -> bool>(
        &mut self,
        start: usize,
        met: &mut Vec<Met>,
        within: F,
        neighbours: impl Fn(usize, &mut Marker<'_, F>),
    ) {
        self.search += 1;
        met.clear();
        let mut marker = Marker { places: &mut self.places, search: self.search, met, within };
        marker.meet(start);
        let mut next = 0;
        while let Some(&(_, node)) = marker.met.get(next) {
            next += 1;
            neighbours(node, &mut marker);
        }
    }

    fn reorder(&mut self, before: &mut [Met], after: &mut [Met]) {
        before.sort_unstable();
        after.sort_unstable();
        let nodes = || before.iter().chain(&*after);
        self.ranks.clear();
        self.ranks.extend(nodes().map(|(rank, _)| *rank));
        self.ranks.sort_unstable();
        for (&(_, node), &rank) in nodes().zip(&self.ranks) {
            self.places[node % SORTS][node / SORTS].rank = rank;
        }
    }

    /// Checks that no two nodes share a place, and that every edge leads forward.
    ///
    /// # Panics
    ///
    /// If not: a bug of this crate.
    pub fn check_invariants(&self, edges: &impl Edges) {
        let numbers = || 0..SORTS * self.places.iter().map(Vec::len).max().unwrap_or(0);
        let placed = || numbers().filter(|&node| self.is_placed(node));
        let mut ranks: Vec<i32> = placed().map(|node| self.get(node).rank).collect();
        ranks.sort_unstable();
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "a place has one node");
        assert!(ranks.iter().all(|rank| (self.front..self.back).contains(rank)), "places lie between the ends");
        for node in placed() {
            edges.successors(node, |next| assert!(self.is_before(node, next), "an edge leads forward"));
        }
    }
}

/// Marks what a search meets.
struct Marker<'a, F> {
    places: &'a mut [Vec<Place>; SORTS],
    search: u32,
    met: &'a mut Vec<Met>,
    within: F,
}

impl<F: Fn(i32) -> bool> Marker<'_, F> {
    #[inline]
    fn meet(&mut self, node: usize) {
        let place = &mut self.places[node % SORTS][node / SORTS];
        if place.seen != self.search && (self.within)(place.rank) {
            place.seen = self.search;
            self.met.push((place.rank, node));
        }
    }
}

#[cfg(test)]
mod tests {
    use petgraph::{
        Incoming,
        algo::{is_cyclic_directed, toposort},
        graph::{DiGraph, NodeIndex},
    };
    use proptest::prelude::*;

    use super::*;

    /// The twin: a plain graph, edges as often as they come, without any order.
    struct Plain(DiGraph<(), (), usize>);

    impl Edges for Plain {
        fn successors(&self, node: usize, visit: impl FnMut(usize)) {
            self.0.neighbors(node.into()).map(NodeIndex::index).for_each(visit);
        }

        fn predecessors(&self, node: usize, visit: impl FnMut(usize)) {
            self.0.neighbors_directed(node.into(), Incoming).map(NodeIndex::index).for_each(visit);
        }
    }

    proptest! {
        #[test]
        fn an_edge_is_refused_exactly_when_it_closes_a_cycle(
            edges in prop::collection::vec((0usize..12, 0usize..12, any::<bool>()), 0..60),
        ) {
            let mut order = Order::new();
            let mut plain = Plain(DiGraph::default());
            (0..12).for_each(|_| _ = plain.0.add_node(()));
            for (u, v, first) in edges {
                for node in [u, v] {
                    if !order.is_placed(node) {
                        if first { order.place_first(node) } else { order.place_last(node) }
                    }
                }
                let connected = order.connect(u, v, &plain);
                let edge = plain.0.add_edge(u.into(), v.into(), ());
                let closes = is_cyclic_directed(&plain.0);
                prop_assert_eq!(connected, if closes { Err(ClosesCycle) } else { Ok(()) });
                if closes {
                    plain.0.remove_edge(edge);
                }
                order.check_invariants(&plain);
            }
            prop_assert!(toposort(&plain.0, None).is_ok());
        }
    }
}
