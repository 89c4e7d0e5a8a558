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

const UNPLACED: i64 = i64::MIN;

/// A topological order of the nodes placed in it.
#[derive(Debug, Default)]
pub struct Order {
    /// By node.
    rank: Vec<i64>,
    front: i64,
    back: i64,
    /// By node: the last search that met it.
    seen: Vec<u32>,
    search: u32,
    searches: u64,
}

impl Order {
    /// An order of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether the node has a place.
    pub fn is_placed(&self, node: usize) -> bool {
        self.rank.get(node).is_some_and(|rank| *rank != UNPLACED)
    }

    /// Gives a node a place before all others.
    pub fn place_first(&mut self, node: usize) {
        self.front -= 1;
        self.place(node, self.front);
    }

    /// Gives a node a place after all others.
    pub fn place_last(&mut self, node: usize) {
        self.place(node, self.back);
        self.back += 1;
    }

    fn place(&mut self, node: usize, rank: i64) {
        if self.rank.len() <= node {
            self.rank.resize(node + 1, UNPLACED);
            self.seen.resize(node + 1, 0);
        }
        self.rank[node] = rank;
    }

    /// Takes a node out.
    pub fn remove(&mut self, node: usize) {
        self.rank[node] = UNPLACED;
    }

    /// Returns whether `u` comes before `v`.
    pub fn is_before(&self, u: usize, v: usize) -> bool {
        self.rank[u] < self.rank[v]
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
        let (low, high) = (self.rank[v], self.rank[u]);
        if high < low {
            return Ok(());
        }
        self.searches += 1;
        let after = self.reach(v, |rank| rank <= high, |node, visit| edges.successors(node, visit));
        if after.contains(&u) {
            return Err(ClosesCycle);
        }
        let before = self.reach(u, |rank| rank >= low, |node, visit| edges.predecessors(node, visit));
        self.reorder(before, after);
        Ok(())
    }

    /// Collects what a search from `start` meets within the given ranks.
    fn reach(
        &mut self,
        start: usize,
        within: impl Fn(i64) -> bool,
        neighbours: impl Fn(usize, &mut dyn FnMut(usize)),
    ) -> Vec<usize> {
        self.search += 1;
        let Self { rank, seen, search, .. } = self;
        seen[start] = *search;
        let mut met = vec![start];
        let mut next = 0;
        while let Some(&node) = met.get(next) {
            next += 1;
            neighbours(node, &mut |neighbour| {
                if seen[neighbour] != *search && within(rank[neighbour]) {
                    seen[neighbour] = *search;
                    met.push(neighbour);
                }
            });
        }
        met
    }

    fn reorder(&mut self, mut before: Vec<usize>, mut after: Vec<usize>) {
        before.sort_unstable_by_key(|&node| self.rank[node]);
        after.sort_unstable_by_key(|&node| self.rank[node]);
        let nodes = || before.iter().chain(&after);
        let mut ranks: Vec<i64> = nodes().map(|&node| self.rank[node]).collect();
        ranks.sort_unstable();
        for (&node, rank) in nodes().zip(ranks) {
            self.rank[node] = rank;
        }
    }

    /// Checks that no two nodes share a place, and that every edge leads forward.
    ///
    /// # Panics
    ///
    /// If not: a bug of this crate.
    pub fn check_invariants(&self, edges: &impl Edges) {
        let placed = || (0..self.rank.len()).filter(|&node| self.is_placed(node));
        let mut ranks: Vec<i64> = placed().map(|node| self.rank[node]).collect();
        ranks.sort_unstable();
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "a place has one node");
        assert!(ranks.iter().all(|rank| (self.front..self.back).contains(rank)), "places lie between the ends");
        for node in placed() {
            edges.successors(node, |next| assert!(self.is_before(node, next), "an edge leads forward"));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct List(Vec<(usize, usize)>);

    impl Edges for List {
        fn successors(&self, node: usize, visit: impl FnMut(usize)) {
            self.0.iter().filter(|edge| edge.0 == node).map(|edge| edge.1).for_each(visit);
        }

        fn predecessors(&self, node: usize, visit: impl FnMut(usize)) {
            self.0.iter().filter(|edge| edge.1 == node).map(|edge| edge.0).for_each(visit);
        }
    }

    impl List {
        /// The twin: a depth-first search without any order.
        fn leads(&self, from: usize, to: usize) -> bool {
            let mut stack = vec![from];
            let mut seen = vec![from];
            while let Some(node) = stack.pop() {
                if node == to {
                    return true;
                }
                self.successors(node, |next| {
                    if !seen.contains(&next) {
                        seen.push(next);
                        stack.push(next);
                    }
                });
            }
            false
        }
    }

    proptest! {
        #[test]
        fn an_edge_is_refused_exactly_when_it_closes_a_cycle(
            edges in prop::collection::vec((0usize..12, 0usize..12, any::<bool>()), 0..60),
        ) {
            let mut order = Order::new();
            let mut list = List::default();
            for (u, v, first) in edges {
                for node in [u, v] {
                    if !order.is_placed(node) {
                        if first { order.place_first(node) } else { order.place_last(node) }
                    }
                }
                let closes = list.leads(v, u);
                prop_assert_eq!(order.connect(u, v, &list), if closes { Err(ClosesCycle) } else { Ok(()) });
                if !closes {
                    list.0.push((u, v));
                }
                order.check_invariants(&list);
            }
        }
    }
}
