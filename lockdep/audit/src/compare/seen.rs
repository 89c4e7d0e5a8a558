//! [`Seen`]: which lock was observed before which.
//!
//! A document's lock is many classes (numbered, nested, one per filesystem), and a search that joined them in the
//! middle of a path would find orders that nobody has ever taken. So a path runs from one class to another through
//! single classes of one observation, and only the two ends are folded into locks. Where kinds are known, the path is
//! strong: a dependency is followed only if its holder blocks the waiter before it. That is a plain path of a graph
//! whose nodes are (class, how it is waited for).

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use lockdep_core::{DependencyKind, HoldKind, Site, WaitKind};
use petgraph::{adj::UnweightedList, graphmap::DiGraphMap};

use super::evidence::{Evidence, Step, Together};
use crate::{
    Aliases, Observation,
    observe::{Ways, Witness},
};

/// What the observations say, by the names of locks.
pub(crate) struct Seen<'a> {
    parts: Vec<Part<'a>>,
}

/// One observation, with its classes sorted into locks.
struct Part<'a> {
    observation: &'a Observation,
    /// The lock of each class, and whether the name alone is not enough to be sure.
    locks: Vec<(&'a str, bool)>,
    by_lock: HashMap<&'a str, Vec<usize>>,
    /// What a search walks on, made by the first one.
    product: OnceCell<UnweightedList<usize>>,
    reach: RefCell<HashMap<usize, Rc<Reach>>>,
}

/// A search from one class.
struct Reach {
    /// The state in which a class was reached first.
    first: HashMap<usize, usize>,
    ways: Ways,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(observations: &'a [Observation], aliases: &'a Aliases) -> Self {
        Self { parts: observations.iter().map(|observation| Part::new(observation, aliases)).collect() }
    }

    /// Whether any class of the lock was seen.
    pub(super) fn has(&self, lock: &str) -> bool {
        self.parts.iter().any(|part| part.by_lock.contains_key(lock))
    }

    /// Whether a class of exactly this name (without number) was seen.
    pub(super) fn has_class(&self, plain: &str) -> bool {
        let is = |base: &str| crate::alias::plain(base) == plain;
        self.parts.iter().any(|part| part.observation.classes().iter().any(|class| is(&class.name.base)))
    }

    /// The shortest evidence that `before` comes before `after`; a certain one if there is one.
    pub(super) fn evidence(&self, before: &str, after: &str) -> Option<Evidence> {
        let found = self.parts.iter().filter_map(|part| part.evidence(before, after));
        found.min_by_key(|evidence| (evidence.is_doubtful, evidence.steps.len()))
    }

    /// The dependencies between the classes of one lock.
    pub(super) fn nestings(&self, lock: &str) -> Vec<Evidence> {
        self.parts.iter().flat_map(|part| part.nestings(lock)).collect()
    }

    /// How locks were held together without a printed dependency, an order first, a trylock last.
    pub(super) fn together(&self, outer: &str, inner: &str) -> Option<Together> {
        let found = self.parts.iter().filter_map(|part| part.together(outer, inner));
        found.min_by_key(|together| together.by_trylock)
    }

    /// Whether two classes of these locks are ordered both ways in one observation.
    pub(super) fn is_circular(&self, a: &str, b: &str) -> bool {
        self.parts.iter().any(|part| part.is_circular(a, b))
    }

    /// The direct dependencies between different locks.
    pub(super) fn direct(&self) -> DiGraphMap<&'a str, ()> {
        let of_part = |part: &'_ Part<'a>| {
            let pairs = part.observation.graph().all_edges().map(|(o, i, _)| (part.locks[o].0, part.locks[i].0));
            pairs.filter(|(outer, inner)| outer != inner).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of_part).collect()
    }
}

impl<'a> Part<'a> {
    fn new(observation: &'a Observation, aliases: &'a Aliases) -> Self {
        let locks: Vec<_> = (0..observation.classes().len())
            .map(|class| {
                let (lock, by_condition) = aliases.of_class(observation, class);
                let is_doubtful = by_condition && !observation.source().has_numbered_names();
                (lock, is_doubtful || observation.lacks_contexts)
            })
            .collect();
        let mut by_lock: HashMap<&str, Vec<usize>> = HashMap::new();
        for (class, (lock, _)) in locks.iter().enumerate() {
            by_lock.entry(lock).or_default().push(class);
        }
        Self { observation, locks, by_lock, product: OnceCell::new(), reach: RefCell::default() }
    }

    fn classes(&self, lock: &str) -> &[usize] {
        self.by_lock.get(lock).map_or(&[], Vec::as_slice)
    }

    fn evidence(&self, before: &str, after: &str) -> Option<Evidence> {
        if before == after {
            return None;
        }
        let (starts, ends) = (self.classes(before), self.classes(after));
        let doubt = |class: usize| self.locks[class].1;
        let direct = pairs(starts, ends).filter_map(|(o, i)| self.observation.witness(o, i).map(|w| (o, i, w)));
        if let Some((outer, inner, witness)) = direct.min_by_key(|&(o, i, _)| doubt(o) || doubt(i)) {
            return Some(self.evidence_of(vec![self.step(outer, inner, witness)], doubt(outer) || doubt(inner)));
        }
        if !self.observation.source().has_numbered_names() {
            return None;
        }
        let paths = pairs(starts, ends).filter_map(|(start, end)| self.reach(start).path(end));
        let path = paths.min_by_key(Vec::len)?;
        let steps = path.windows(2).map(|ends| {
            let witness = self.observation.witness(ends[0], ends[1]).expect("a path runs along dependencies");
            self.step(ends[0], ends[1], witness)
        });
        Some(self.evidence_of(steps.collect(), false))
    }

    fn nestings(&self, lock: &str) -> Vec<Evidence> {
        let classes = self.classes(lock);
        let witnessed = pairs(classes, classes).filter_map(|(o, i)| self.observation.witness(o, i).map(|w| (o, i, w)));
        let doubt = |class: usize| self.locks[class].1;
        witnessed.map(|(o, i, w)| self.evidence_of(vec![self.step(o, i, w)], doubt(o) || doubt(i))).collect()
    }

    fn together(&self, outer: &str, inner: &str) -> Option<Together> {
        let chains = self.observation.chains.as_ref()?;
        let found = pairs(self.classes(outer), self.classes(inner)).filter_map(|(o, i)| {
            let together = chains.together(o, i).filter(|_| self.observation.witness(o, i).is_none())?;
            let name = |class: usize| self.observation.classes()[class].name.to_string();
            let at = Site { file: chains.file.clone(), line: together.line, column: 0 };
            Some(Together {
                outer: name(o),
                inner: name(i),
                at,
                count: together.count,
                by_trylock: together.by_trylock,
            })
        });
        found.min_by_key(|together| (together.by_trylock, std::cmp::Reverse(together.count)))
    }

    fn is_circular(&self, a: &str, b: &str) -> bool {
        let is_before = |outer: usize, inner: usize| match self.observation.source().has_numbered_names() {
            true => self.reach(outer).first.contains_key(&inner),
            false => self.observation.witness(outer, inner).is_some(),
        };
        pairs(self.classes(a), self.classes(b)).any(|(x, y)| is_before(x, y) && is_before(y, x))
    }

    fn step(&self, outer: usize, inner: usize, witness: &Witness) -> Step {
        let name = |class: usize| self.observation.classes()[class].name.to_string();
        Step::new(name(outer), name(inner), witness)
    }

    fn evidence_of(&self, steps: Vec<Step>, is_doubtful: bool) -> Evidence {
        Evidence { observation: self.observation.name().to_owned(), steps, is_doubtful }
    }

    fn reach(&self, start: usize) -> Rc<Reach> {
        let known = self.reach.borrow().get(&start).cloned();
        known.unwrap_or_else(|| {
            let reach = Rc::new(Reach::from(self.product.get_or_init(|| product(self.observation)), start));
            self.reach.borrow_mut().insert(start, Rc::clone(&reach));
            reach
        })
    }
}

impl Reach {
    fn from(product: &UnweightedList<usize>, start: usize) -> Self {
        let ways = Ways::from(product, state(start, None));
        let mut first = HashMap::new();
        for &met in ways.met() {
            first.entry(class_of(met)).or_insert(met);
        }
        Self { first, ways }
    }

    /// The classes from the start to `end`, if it is reached.
    fn path(&self, end: usize) -> Option<Vec<usize>> {
        let way = self.ways.to(*self.first.get(&end)?)?;
        Some(way.into_iter().map(class_of).collect())
    }
}

/// The states of a class: one for each way to wait for it, and one in which a search starts, where nobody waits.
const STATES: usize = WaitKind::ALL.len() + 1;

/// The number of a class in a state.
fn state(class: usize, wait: Option<WaitKind>) -> usize {
    class * STATES + wait.map_or(WaitKind::ALL.len(), |wait| wait as usize)
}

fn class_of(state: usize) -> usize {
    state / STATES
}

/// The strong steps: from a class in a state to what its holder then waits for.
fn product(observation: &Observation) -> UnweightedList<usize> {
    let mut product = UnweightedList::with_capacity(observation.classes().len() * STATES);
    (0..observation.classes().len() * STATES).for_each(|_| _ = product.add_node());
    for (outer, inner, witness) in observation.dependencies() {
        for kind in kinds(witness) {
            let blocked = WaitKind::ALL.into_iter().filter(|wait| kind.hold.blocks(*wait)).map(Some);
            for wait in blocked.chain([None]) {
                product.add_edge(state(outer, wait), state(inner, Some(kind.wait)), ());
            }
        }
    }
    product
}

/// The kinds of a dependency; the strongest where the source does not tell.
fn kinds(witness: &Witness) -> impl Iterator<Item = DependencyKind> + '_ {
    let unknown = DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Normal };
    witness.kinds.iter().copied().chain(witness.kinds.is_empty().then_some(unknown))
}

fn pairs<'b>(outer: &'b [usize], inner: &'b [usize]) -> impl Iterator<Item = (usize, usize)> + 'b {
    outer.iter().flat_map(|&o| inner.iter().map(move |&i| (o, i)))
}
