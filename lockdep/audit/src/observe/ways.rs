//! [`Ways`]: the shortest ways from one node of a graph to all that it leads to.

use std::{collections::HashMap, iter};

use petgraph::visit::{Bfs, IntoNeighbors, Visitable};
use rustc_hash::FxBuildHasher;

/// The shortest ways from a node, by a breadth-first search. Which one of equally short ways it is, follows from the
/// order of the graph's neighbours.
#[derive(Clone, Debug)]
pub struct Ways {
    met: Vec<usize>,
    before: HashMap<usize, usize, FxBuildHasher>,
}

impl Ways {
    /// Searches all that `start` leads to.
    pub fn from<G>(graph: G, start: usize) -> Self
    where
        G: IntoNeighbors<NodeId = usize> + Visitable,
    {
        let mut ways = Self { met: Vec::new(), before: HashMap::default() };
        let mut search = Bfs::new(graph, start);
        let mut waiting = search.stack.len();
        while let Some(node) = search.next(graph) {
            // The node has left the queue, and what was met from it has joined at the end.
            for &next in search.stack.range(waiting - 1..) {
                ways.met.push(next);
                ways.before.insert(next, node);
            }
            waiting = search.stack.len();
        }
        ways
    }

    /// Returns the nodes that the start leads to, the nearest first.
    pub fn met(&self) -> &[usize] {
        &self.met
    }

    /// Returns the nodes from the start to `end`, which was met.
    pub fn to(&self, end: usize) -> Option<Vec<usize>> {
        self.before.get(&end)?;
        let mut way: Vec<usize> = iter::successors(Some(end), |node| self.before.get(node).copied()).collect();
        way.reverse();
        Some(way)
    }
}

#[cfg(test)]
mod tests {
    use petgraph::adj::UnweightedList;

    use super::*;

    #[test]
    fn ways_are_the_shortest_and_begin_with_the_first_neighbour() {
        let mut graph = UnweightedList::<usize>::new();
        (0..7).for_each(|_| _ = graph.add_node());
        for (outer, inner) in [(0, 2), (0, 1), (1, 3), (2, 3), (3, 4), (4, 0), (0, 5), (6, 0)] {
            graph.add_edge(outer, inner, ());
        }
        let ways = Ways::from(&graph, 0);
        assert_eq!(ways.met(), [2, 1, 5, 3, 4]);
        assert_eq!(ways.to(4), Some(vec![0, 2, 3, 4]));
        assert_eq!(ways.to(5), Some(vec![0, 5]));
        assert_eq!((ways.to(6), ways.to(0)), (None, None), "nothing leads to the one, and the other is the start");
    }
}
