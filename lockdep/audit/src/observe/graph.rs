//! [`Observation`] and what it is made of.

use std::collections::HashMap;

use lockdep_core::{DependencyKind, Frame, Site};
use petgraph::{Direction, adj::UnweightedList, graphmap::DiGraphMap};
use rustc_hash::FxBuildHasher;
use serde::Serialize;

use super::{ClassName, chains::Chains, finding::Finding};
use crate::document::Note;

/// What kind of file an observation comes from, and so what it can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A lockdep journal, or a trace of events.
    Journal,
    /// `/proc/lockdep`: dependencies without their kinds.
    ProcLockdep,
    /// `/proc/lockdep_chains`: held sequences, trylocks included.
    ProcLockdepChains,
    /// ftrace text of the `lock:*` events: names without numbers.
    Trace,
    /// `perf script` of the same events: interrupt contexts show in the stacks only.
    Perf,
    /// A kernel log with reports of lockdep.
    Log,
}

impl Source {
    /// Returns whether a class's name is its own, so that dependencies may be strung together.
    pub fn has_numbered_names(self) -> bool {
        !matches!(self, Self::Trace | Self::Perf)
    }
}

/// A class that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: ClassName,
    /// How often its locks were acquired, where the source says so.
    pub acquisitions: Option<u64>,
    /// The key that a kernel's dump gives it.
    pub key: Option<Key>,
}

/// The key of a class, hashed anew at each boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub value: u64,
    /// Where it stands.
    pub at: Site,
}

impl Class {
    fn new(name: &str) -> Self {
        Self { name: ClassName::parse(name), acquisitions: None, key: None }
    }
}

/// How a dependency is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The line of the observed file that has it.
    pub at: Option<Site>,
    /// How the one was held and the other waited for; empty where the source does not tell.
    pub kinds: Vec<DependencyKind>,
    /// The thread that did it.
    pub thread: Option<String>,
    /// Where the outer lock had been acquired.
    pub outer_site: Option<Site>,
    /// Where the inner lock was acquired.
    pub inner_site: Option<Site>,
    /// The stack that acquired the inner lock.
    pub stack: Vec<Frame>,
    /// How often it was seen, where the source counts.
    pub count: Option<u64>,
}

/// Dependencies between classes, by their numbers.
pub type Dependencies = DiGraphMap<usize, Witness, FxBuildHasher>;

/// The classes and dependencies of one run or boot.
#[derive(Clone, Debug)]
pub struct Observation {
    name: String,
    source: Source,
    classes: Vec<Class>,
    by_name: HashMap<String, usize>,
    graph: Dependencies,
    /// The held sequences, where the source has them.
    pub chains: Option<Chains>,
    /// What a validator has reported.
    pub findings: Vec<Finding>,
    /// Whether interrupts cannot be told from the threads that they interrupt, so that each dependency is doubtful.
    pub lacks_contexts: bool,
    /// What is remarkable about the source.
    pub notes: Vec<Note>,
}

impl Observation {
    /// An observation of nothing, by its file's name.
    pub fn new(name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
            classes: Vec::new(),
            by_name: HashMap::new(),
            graph: Dependencies::default(),
            chains: None,
            findings: Vec::new(),
            lacks_contexts: false,
            notes: Vec::new(),
        }
    }

    /// Returns the file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what kind of file it was.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Returns the classes.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Returns the number of a class, which is new or not.
    pub fn add_class(&mut self, name: &str) -> usize {
        if let Some(&known) = self.by_name.get(name) {
            return known;
        }
        let class = self.classes.len();
        self.classes.push(Class::new(name));
        self.by_name.insert(name.to_owned(), class);
        self.graph.add_node(class)
    }

    /// Adds what another dump knows of a class.
    pub(super) fn update_class(&mut self, class: usize, other: &Class) {
        let known = &mut self.classes[class];
        known.acquisitions = known.acquisitions.or(other.acquisitions);
        known.key = known.key.take().or_else(|| other.key.clone());
    }

    /// Records how often a class was acquired.
    pub(super) fn set_acquisitions(&mut self, class: usize, acquisitions: Option<u64>) {
        self.classes[class].acquisitions = acquisitions;
    }

    /// Records the key of a class, the first time.
    pub(super) fn set_key(&mut self, class: usize, value: u64, at: Site) {
        self.classes[class].key.get_or_insert(Key { value, at });
    }

    /// Adds another file's name. What has dependencies is the source.
    pub(super) fn rename(&mut self, other: &str, source: Source) {
        self.name = format!("{}, {other}", self.name);
        if self.source == Source::ProcLockdepChains {
            self.source = source;
        }
    }

    /// Records that `outer` was held when `inner` was acquired. The first witness is kept; kinds and counts add up.
    pub fn add_dependency(&mut self, outer: usize, inner: usize, witness: Witness) {
        if let Some(known) = self.graph.edge_weight_mut(outer, inner) {
            let new: Vec<_> = witness.kinds.into_iter().filter(|kind| !known.kinds.contains(kind)).collect();
            known.kinds.extend(new);
            known.count = known.count.zip(witness.count).map(|(a, b)| a + b);
            return;
        }
        self.graph.add_edge(outer, inner, witness);
    }

    /// Returns the dependencies as a graph. Its neighbours are in the order of their arrival.
    pub fn graph(&self) -> &Dependencies {
        &self.graph
    }

    /// Returns the classes that were acquired while `class` was held, with their witnesses.
    pub fn inner(&self, class: usize) -> impl Iterator<Item = (usize, &Witness)> {
        self.graph.edges(class).map(|(_, inner, witness)| (inner, witness))
    }

    /// Returns the classes that were held when `class` was acquired, with their witnesses.
    pub fn outer(&self, class: usize) -> impl Iterator<Item = (usize, &Witness)> {
        self.graph.edges_directed(class, Direction::Incoming).map(|(outer, _, witness)| (outer, witness))
    }

    /// Returns the witness of a dependency.
    pub fn witness(&self, outer: usize, inner: usize) -> Option<&Witness> {
        self.graph.edge_weight(outer, inner)
    }

    /// Returns all dependencies, in the order of the classes' numbers.
    pub fn dependencies(&self) -> impl Iterator<Item = (usize, usize, &Witness)> {
        let mut all: Vec<_> = self.graph.all_edges().collect();
        all.sort_unstable_by_key(|&(outer, inner, _)| (outer, inner));
        all.into_iter()
    }

    /// Returns what each class leads to, in the order of the classes' numbers, so that of equally short ways a search
    /// always finds the same one.
    pub fn sorted(&self) -> UnweightedList<usize> {
        let mut list = UnweightedList::with_capacity(self.classes.len());
        self.classes.iter().for_each(|_| _ = list.add_node());
        for (outer, inner, _) in self.dependencies() {
            list.add_edge(outer, inner, ());
        }
        list
    }
}
