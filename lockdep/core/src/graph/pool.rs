//! [`Pool`]: the witnesses of all dependencies, in the order in which they came; those of one dependency are linked.
//!
//! Searches do not look at witnesses, so they are kept apart from what searches look at. Nearly every dependency has one
//! or a few. What is full is never moved: a large graph would copy all of them again and again.

use std::num::NonZeroU32;

use crate::mode::DependencyKind;

/// How many witnesses are kept side by side.
const CHUNK: usize = 1 << 9;

/// A witness, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WitnessId(NonZeroU32);

impl WitnessId {
    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A witness, with the dependency that it is of.
#[derive(Debug)]
pub(super) struct Entry<W> {
    pub(super) witness: W,
    /// The nodes.
    pub(super) ends: (u32, u32),
    next: Option<WitnessId>,
    pub(super) kind: DependencyKind,
    /// Whether it is the first of its dependency.
    pub(super) leads: bool,
}

#[derive(Debug)]
pub(super) struct Pool<W> {
    chunks: Vec<Vec<Entry<W>>>,
}

impl<W> Default for Pool<W> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<W> Pool<W> {
    fn get(&self, id: WitnessId) -> &Entry<W> {
        &self.chunks[id.index() / CHUNK][id.index() % CHUNK]
    }

    pub(super) fn get_mut(&mut self, id: WitnessId) -> &mut Entry<W> {
        &mut self.chunks[id.index() / CHUNK][id.index() % CHUNK]
    }

    fn add(&mut self, entry: Entry<W>) -> WitnessId {
        // The first chunk grows as it must: most graphs are small.
        match self.chunks.last() {
            None => self.chunks.push(Vec::new()),
            Some(last) if last.len() == CHUNK => self.chunks.push(Vec::with_capacity(CHUNK)),
            Some(_) => {}
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let last = self.chunks.last_mut().expect("there is one");
        last.push(entry);
        let number = u32::try_from(full + last.len()).ok().and_then(NonZeroU32::new);
        WitnessId(number.expect("fewer than 2^32 witnesses"))
    }

    /// Adds the first witness of a dependency.
    pub(super) fn start(&mut self, ends: (u32, u32), kind: DependencyKind, witness: W) -> WitnessId {
        self.add(Entry { witness, ends, next: None, kind, leads: true })
    }

    /// Adds another witness of the dependency that has `first`.
    pub(super) fn append(&mut self, first: WitnessId, kind: DependencyKind, witness: W) {
        let last = self.following(first).last().map_or(first, |(id, _)| id);
        let ends = self.get(first).ends;
        let new = self.add(Entry { witness, ends, next: None, kind, leads: false });
        self.get_mut(last).next = Some(new);
    }

    /// Returns the witnesses from this one on.
    pub(super) fn following(&self, first: WitnessId) -> impl Iterator<Item = (WitnessId, &Entry<W>)> + Clone {
        let with_entry = |id: WitnessId| (id, self.get(id));
        std::iter::successors(Some(with_entry(first)), move |(_, entry)| entry.next.map(with_entry))
    }

    /// Returns all of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<W>> {
        self.chunks.iter().flatten()
    }

    /// Returns the first witness of each dependency, in the order of the dependencies.
    pub(super) fn leading(&self) -> impl Iterator<Item = WitnessId> {
        let entries = self.iter().zip(1..);
        entries.filter(|(entry, _)| entry.leads).filter_map(|(_, number)| NonZeroU32::new(number).map(WitnessId))
    }
}

/// The witnesses of one dependency.
#[derive(Debug)]
pub(crate) struct Witnesses<'a, W> {
    pub(super) pool: &'a mut Pool<W>,
    pub(super) first: WitnessId,
}

impl<W> Witnesses<'_, W> {
    /// Returns those of a kind, the oldest first.
    pub(crate) fn of_kind(&self, kind: DependencyKind) -> impl Iterator<Item = (WitnessId, &W)> + Clone {
        let all = self.pool.following(self.first);
        all.filter(move |(_, entry)| entry.kind == kind).map(|(id, entry)| (id, &entry.witness))
    }

    /// Puts a witness in the place of another of its kind.
    pub(crate) fn replace(&mut self, old: WitnessId, new: W) {
        self.pool.get_mut(old).witness = new;
    }

    /// Adds a witness.
    pub(crate) fn push(&mut self, kind: DependencyKind, witness: W) {
        self.pool.append(self.first, kind, witness);
    }
}
