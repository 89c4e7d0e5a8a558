//! [`Arcs`]: nodes and dependencies as they are stored, apart from the order so that the one can be read while the other
//! is changed.
//!
//! A node has a list of where its dependencies lead, with what a search wants to know of them, and a list of where
//! dependencies come from. A dependency is found in the first of these: a short list is looked through, and whatever is
//! far from its beginning has an index.

use rustc_hash::FxHashMap;

use super::{
    lists::{List, Lists},
    pool::{Pool, WitnessId},
    product, split,
};
use crate::{
    mode::{DependencyKind, KindSet, WaitKind, WaitSet},
    order::Edges,
};

/// How many dependencies of a node are looked through for one. Few in this crate's tests, so that they use the index.
const NEAR: usize = if cfg!(test) { 2 } else { 64 };

/// A lock.
#[derive(Debug)]
pub(super) struct Node<K> {
    pub(super) key: K,
    /// The product nodes that take part in the order.
    pub(super) entered: WaitSet,
    out: List,
    into: List,
    /// A bit for each target, several targets a bit: most new dependencies are seen to be new without a look at the list.
    targets: u64,
}

/// Returns the bit of a target.
#[inline]
const fn bit(target: u32) -> u64 {
    1 << (target.wrapping_mul(0x9e37_79b1) >> 26)
}

/// Where a dependency leads, and in which kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    pub(super) target: u32,
    /// Its place in the target's list.
    mirror: u32,
    pub(super) first: WitnessId,
    /// In the order.
    pub(super) ordered: KindSet,
    /// Beside it.
    pub(super) parked: KindSet,
}

/// Where a dependency comes from.
#[derive(Clone, Copy, Debug)]
struct Into {
    source: u32,
    ordered: KindSet,
}

/// A dependency: its source, and its place in the source's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArcId {
    pub(super) source: u32,
    place: u32,
}

#[derive(Debug)]
pub(super) struct Arcs<K, W> {
    pub(super) nodes: Vec<Node<K>>,
    outs: Lists<Out>,
    intos: Lists<Into>,
    pub(super) pool: Pool<W>,
    /// The places that are far from the beginning of a list, by source and target.
    far: FxHashMap<(u32, u32), u32>,
    pub(super) len: usize,
    /// How many product nodes of rare waits take part in the order.
    rare: usize,
}

impl<K, W> Default for Arcs<K, W> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            outs: Lists::default(),
            intos: Lists::default(),
            pool: Pool::default(),
            far: FxHashMap::default(),
            len: 0,
            rare: 0,
        }
    }
}

impl<K, W> Arcs<K, W> {
    pub(super) fn add_node(&mut self, key: K) -> u32 {
        let node = u32::try_from(self.nodes.len()).expect("fewer than 2^32 locks");
        let (out, into) = (List::default(), List::default());
        self.nodes.push(Node { key, entered: WaitSet::EMPTY, out, into, targets: 0 });
        node
    }

    pub(super) fn node(&self, node: u32) -> &Node<K> {
        &self.nodes[node as usize]
    }

    /// Says that a product node takes part in the order, or no longer does. Returns whether it did.
    pub(super) fn set_entered(&mut self, node: u32, wait: WaitKind, entered: bool) -> bool {
        let set = &mut self.nodes[node as usize].entered;
        let before = set.contains(wait);
        set.set(wait, entered);
        if wait != WaitKind::Normal {
            self.rare = self.rare + usize::from(entered) - usize::from(before);
        }
        before
    }

    /// Returns where the dependencies of a node lead, the oldest first.
    #[inline]
    pub(super) fn outs(&self, node: u32) -> &[Out] {
        self.outs.get(self.node(node).out)
    }

    /// Returns the dependency between two nodes.
    pub(super) fn find(&self, source: u32, target: u32) -> Option<ArcId> {
        if self.node(source).targets & bit(target) == 0 {
            return None;
        }
        let outs = self.outs(source);
        let near = &outs[..outs.len().min(NEAR)];
        let place = match near.iter().position(|out| out.target == target) {
            Some(place) => place as u32,
            None if outs.len() > NEAR => *self.far.get(&(source, target))?,
            None => return None,
        };
        Some(ArcId { source, place })
    }

    /// Adds a dependency, which has no kind yet, with the first witness.
    pub(super) fn add(&mut self, source: u32, target: u32, kind: DependencyKind, witness: W) -> ArcId {
        let first = self.pool.start((source, target), kind, witness);
        let none = KindSet::EMPTY;
        let into = &mut self.nodes[target as usize].into;
        let mirror = into.len() as u32;
        self.intos.push(into, Into { source, ordered: none });
        let node = &mut self.nodes[source as usize];
        node.targets |= bit(target);
        let place = node.out.len() as u32;
        self.outs.push(&mut node.out, Out { target, mirror, first, ordered: none, parked: none });
        if place as usize >= NEAR {
            self.far.insert((source, target), place);
        }
        self.len += 1;
        ArcId { source, place }
    }

    pub(super) fn get(&self, arc: ArcId) -> &Out {
        &self.outs(arc.source)[arc.place as usize]
    }

    fn get_mut(&mut self, arc: ArcId) -> &mut Out {
        let list = self.node(arc.source).out;
        &mut self.outs.get_mut(list)[arc.place as usize]
    }

    pub(super) fn park(&mut self, arc: ArcId, kind: DependencyKind) {
        self.get_mut(arc).parked.insert(kind);
    }

    /// Takes a dependency into the order in this kind, or out of it.
    pub(super) fn set_ordered(&mut self, arc: ArcId, kind: DependencyKind, is: bool) {
        let out = self.get_mut(arc);
        if is {
            _ = out.ordered.insert(kind)
        } else {
            out.ordered.remove(kind)
        }
        let Out { target, mirror, ordered, .. } = *out;
        let list = self.node(target).into;
        self.intos.get_mut(list)[mirror as usize].ordered = ordered;
    }

    /// Returns whether a dependency in the order leads to this product node.
    pub(super) fn is_led_to(&self, node: u32, wait: WaitKind) -> bool {
        self.intos.get(self.node(node).into).iter().any(|into| into.ordered.waits().contains(wait))
    }

    /// Checks that both lists and the index agree.
    pub(super) fn check_invariants(&self) {
        let sources = || 0..self.nodes.len() as u32;
        assert_eq!(sources().map(|node| self.outs(node).len()).sum::<usize>(), self.len);
        for source in sources() {
            for (place, out) in self.outs(source).iter().enumerate() {
                let into = self.intos.get(self.node(out.target).into)[out.mirror as usize];
                assert_eq!((into.source, into.ordered), (source, out.ordered), "an arc is at both its ends");
                let found = self.find(source, out.target);
                assert_eq!(found, Some(ArcId { source, place: place as u32 }), "an arc is found");
            }
        }
        let rare = |node: &Node<K>| node.entered.iter().filter(|wait| *wait != WaitKind::Normal).count();
        assert_eq!(self.nodes.iter().map(rare).sum::<usize>(), self.rare);
    }
}

impl<K, W> Edges for Arcs<K, W> {
    #[inline]
    fn successors(&self, state: usize, mut visit: impl FnMut(usize)) {
        let (node, wait) = split(state);
        for out in self.outs(node) {
            for wait in out.ordered.waits_after(wait).iter() {
                visit(product(out.target, wait));
            }
        }
    }

    #[inline]
    fn predecessors(&self, state: usize, mut visit: impl FnMut(usize)) {
        let (node, wait) = split(state);
        for into in self.intos.get(self.node(node).into) {
            let blocked = into.ordered.waits_before(wait);
            // Whether a rare one takes part is another look into memory.
            let blocked =
                if self.rare == 0 { blocked.normal() } else { blocked.intersection(self.node(into.source).entered) };
            for wait in blocked.iter() {
                visit(product(into.source, wait));
            }
        }
    }
}

/// The arcs, with the product node `target` as far as it has been fitted into the order.
pub(super) struct Fitting<'a, K, W> {
    pub(super) arcs: &'a Arcs<K, W>,
    pub(super) target: usize,
    pub(super) sources: &'a [usize],
    pub(super) fitted: Vec<usize>,
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
