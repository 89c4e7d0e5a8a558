//! [`Witness`]: who made a dependency, where, and under which other locks. A dependency keeps a few of them.
//!
//! What a grade needs is variety: other threads, other held sets, other times. A witness that adds none is not kept; one
//! that was made under fewer locks replaces one of the same thread under more. Held sets are numbered, since most
//! witnesses of a program share a few of them.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{
    class::ClassId,
    graph::{WitnessId, Witnesses},
    held::{HeldLock, HeldStack, Point},
    mode::{DependencyKind, HoldKind, Mode},
    request::Request,
    segment::SegmentId,
};

/// How many witnesses a dependency keeps in each kind.
pub const WITNESSES: usize = 8;

/// Who made a dependency, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Where the outer lock had been acquired.
    pub outer: Point,
    /// Where the inner lock was acquired.
    pub inner: Point,
    /// The outer lock.
    pub outer_instance: u64,
    /// The inner lock.
    pub inner_instance: u64,
    /// The mode in which the outer lock was held.
    pub outer_mode: Mode,
    /// The mode in which the inner lock was acquired.
    pub inner_mode: Mode,
    /// Whether the outer lock had been trylocked (or had changed its mode).
    pub outer_trylock: bool,
    /// The thread.
    pub thread: u32,
    /// The span.
    pub span: u32,
    /// What the thread held.
    pub held: HeldSetId,
    /// When it was, as far as spawn and join tell.
    pub segment: SegmentId,
}

impl Witness {
    pub(crate) fn of(outer: HeldLock, request: &Request, held: HeldSetId) -> Self {
        Self {
            outer: outer.point(),
            inner: request.point,
            outer_instance: outer.instance(),
            inner_instance: request.instance,
            outer_mode: outer.mode(),
            inner_mode: request.how.mode(),
            outer_trylock: outer.how().is_trylock(),
            thread: request.thread,
            span: request.span,
            held,
            segment: request.segment,
        }
    }
}

/// What a thread held besides the outer lock, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeldSetId(u32);

impl HeldSetId {
    /// Nothing but the outer lock.
    const ALONE: Self = Self(0);

    fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

/// A lock of a held set: which, what it keeps others from, its class.
type Entry = (u64, HoldKind, ClassId);

/// How many locks a held set may have; a larger one counts as nothing: a grade is then worse than it may deserve, never
/// better.
const ENTRIES_MAX: usize = 64;
/// How many held sets there are before those that no witness has any more are forgotten. Few in this crate's tests, so that
/// they see it.
const SETS_MIN: usize = if cfg!(test) { 8 } else { 1 << 12 };

/// Held sets, numbered from 1. Most acquisitions become no witness, so that their sets are soon nobody's.
#[derive(Debug)]
pub(crate) struct HeldSets {
    sets: Vec<Box<[Entry]>>,
    numbers: FxHashMap<Box<[Entry]>, HeldSetId>,
    /// Numbers that can be given again.
    free: Vec<HeldSetId>,
    /// How many may be in use until the next look at those that are nobody's.
    limit: usize,
}

impl Default for HeldSets {
    fn default() -> Self {
        Self { sets: Vec::new(), numbers: FxHashMap::default(), free: Vec::new(), limit: SETS_MIN }
    }
}

impl HeldSets {
    /// Returns the number of what is held now.
    pub(crate) fn intern(&mut self, held: &HeldStack) -> HeldSetId {
        if held.len() <= 1 || held.len() > ENTRIES_MAX {
            return HeldSetId::ALONE;
        }
        let entry = |lock: HeldLock| (lock.instance(), lock.hold(), lock.class());
        let mut set: SmallVec<[Entry; 8]> = held.iter().map(entry).collect();
        set.sort_unstable_by_key(|entry| entry.0);
        if let Some(&number) = self.numbers.get(&set[..]) {
            return number;
        }
        let set: Box<[Entry]> = set.as_slice().into();
        let number = self.free.pop().unwrap_or_else(|| {
            self.sets.push(Box::default());
            u32::try_from(self.sets.len()).map_or(HeldSetId::ALONE, HeldSetId)
        });
        if let Some(slot) = number.index().and_then(|index| self.sets.get_mut(index)) {
            slot.clone_from(&set);
            self.numbers.insert(set, number);
        }
        number
    }

    /// Returns whether it is time to forget the sets that are nobody's.
    pub(crate) fn is_full(&self) -> bool {
        self.numbers.len() >= self.limit
    }

    /// Forgets all sets but those of these witnesses.
    pub(crate) fn keep<'a>(&mut self, witnesses: impl Iterator<Item = &'a Witness>) {
        let mut used = vec![false; self.sets.len()];
        for index in witnesses.filter_map(|witness| witness.held.index()) {
            used[index] = true;
        }
        let free = &mut self.free;
        self.numbers.retain(|_, number| {
            let kept = number.index().is_some_and(|index| used[index]);
            if !kept {
                free.push(*number);
            }
            kept
        });
        for number in &*free {
            number.index().into_iter().for_each(|index| self.sets[index] = Box::default());
        }
        self.limit = (2 * self.numbers.len()).max(SETS_MIN);
    }

    /// Checks that every set has one number, and every number one set or none.
    ///
    /// # Panics
    ///
    /// If not: a bug of this crate.
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.numbers.len() + self.free.len(), self.sets.len(), "a number is in use or free");
        assert!(self.numbers.iter().all(|(set, number)| self.get(*number) == &**set), "a number leads to its set");
        assert!(self.free.iter().all(|number| self.get(*number).is_empty()), "a free number leads nowhere");
        assert!(self.numbers.len() <= self.limit, "memory is bounded by the witnesses");
    }

    fn get(&self, id: HeldSetId) -> &[Entry] {
        id.index().and_then(|index| self.sets.get(index)).map_or(&[], |set| set)
    }

    /// Returns the class of a lock that is in both sets and that two threads cannot hold at once in these ways.
    pub(crate) fn gate(&self, a: HeldSetId, b: HeldSetId) -> Option<ClassId> {
        let of_b = self.get(b);
        let excludes = |&&(instance, hold, _): &&Entry| {
            let other = of_b.binary_search_by_key(&instance, |entry| entry.0).ok().map(|index| of_b[index].1);
            other.is_some_and(|other| exclude(hold, other))
        };
        self.get(a).iter().find(excludes).map(|entry| entry.2)
    }

    pub(crate) fn contains(&self, id: HeldSetId, entry: (u64, HoldKind)) -> bool {
        self.get(id).iter().any(|held| (held.0, held.1) == entry)
    }

    fn is_subset(&self, small: HeldSetId, large: HeldSetId) -> bool {
        let large = self.get(large);
        self.get(small).iter().all(|entry| large.contains(entry))
    }
}

/// Returns whether two threads cannot hold one lock so at once: unless both read, or one of them may upgrade.
fn exclude(a: HoldKind, b: HoldKind) -> bool {
    let shares = |one, other| one == HoldKind::Shared && other != HoldKind::Exclusive;
    !shares(a, b) && !shares(b, a)
}

/// Where a witness is to go.
enum Room {
    InsteadOf(WitnessId),
    Beside,
}

/// Offers another witness to a dependency that has some. Returns whether it was taken.
pub(crate) fn offer(
    witnesses: &mut Witnesses<'_, Witness>,
    kind: DependencyKind,
    new: Witness,
    sets: &HeldSets,
) -> bool {
    let room = room(witnesses.of_kind(kind), &new, sets);
    match room {
        Some(Room::InsteadOf(old)) => witnesses.replace(old, new),
        Some(Room::Beside) => witnesses.push(kind, new),
        None => {}
    }
    room.is_some()
}

fn room<'a>(
    kept: impl Iterator<Item = (WitnessId, &'a Witness)> + Clone,
    new: &Witness,
    sets: &HeldSets,
) -> Option<Room> {
    let alike = |old: &Witness| old.thread == new.thread && old.segment == new.segment;
    if kept.clone().any(|(_, old)| alike(old) && sets.is_subset(old.held, new.held)) {
        return None;
    }
    let mut worse = kept.clone().filter(|(_, old)| alike(old) && sets.is_subset(new.held, old.held));
    if let Some((worse, _)) = worse.next() {
        return Some(Room::InsteadOf(worse));
    }
    if kept.clone().count() < WITNESSES {
        return Some(Room::Beside);
    }
    let size = |old: &Witness| sets.get(old.held).len();
    let largest = kept.clone().max_by_key(|(_, old)| size(old));
    if let Some((largest, _)) = largest.filter(|(_, old)| size(old) > size(new)) {
        return Some(Room::InsteadOf(largest));
    }
    // As good as any; what is to come is more likely to be concurrent with the latest. The first one stays, since it
    // explains the dependency.
    let oldest = kept.skip(1).min_by_key(|(_, old)| (old.segment, old.thread));
    let worse = oldest.filter(|(_, old)| old.segment < new.segment && size(old) >= size(new));
    worse.map(|(worse, _)| Room::InsteadOf(worse))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acquired, DependencyGraph, WaitKind};

    const KIND: DependencyKind = DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Normal };

    /// One dependency, with this witness.
    fn dependency(first: Witness) -> DependencyGraph<u32, Witness> {
        let mut graph = DependencyGraph::new();
        graph.insert(1, 2, KIND, first);
        graph
    }

    fn add(graph: &mut DependencyGraph<u32, Witness>, new: Witness, sets: &HeldSets) -> bool {
        offer(&mut graph.witnesses_mut(1, 2).unwrap(), KIND, new, sets)
    }

    fn kept(graph: &DependencyGraph<u32, Witness>) -> Vec<Witness> {
        graph.witnesses(1, 2, KIND).copied().collect()
    }

    fn sets(held: &[&[(u64, Mode)]]) -> (HeldSets, Vec<HeldSetId>) {
        let mut sets = HeldSets::default();
        let ids = held.iter().map(|locks| {
            let stack = HeldStack::new();
            for &(instance, mode) in *locks {
                stack.push(Acquired::new(ClassId::new(1), mode, false), instance, Point::new(1));
            }
            sets.intern(&stack)
        });
        let ids = ids.collect();
        (sets, ids)
    }

    fn witness(thread: u32, held: HeldSetId) -> Witness {
        let request = Request::new(Acquired::new(ClassId::new(2), Mode::Exclusive, false), 9, Point::new(1));
        let stack = HeldStack::new();
        stack.push(request.how, 1, Point::new(1));
        Witness::of(stack.get(0).unwrap(), &Request { thread, ..request }, held)
    }

    #[test]
    fn readers_gate_only_against_writers() {
        use Mode::{Exclusive, Shared, Upgradable};
        let (sets, ids) = sets(&[
            &[(1, Exclusive), (8, Shared)],
            &[(2, Shared), (1, Shared)],
            &[(1, Upgradable), (8, Shared)],
            &[(2, Shared), (9, Shared)],
        ]);
        assert_eq!(sets.gate(ids[0], ids[1]), Some(ClassId::new(1)));
        assert_eq!(sets.gate(ids[1], ids[1]), None);
        assert_eq!(sets.gate(ids[2], ids[2]), Some(ClassId::new(1)), "there is one upgradable reader");
        assert_eq!(sets.gate(ids[1], ids[2]), None);
        assert_eq!(sets.gate(ids[1], ids[3]), None);
    }

    #[test]
    fn sets_that_are_nobodys_are_forgotten() {
        use Mode::Exclusive;
        let (mut sets, ids) = sets(&[&[(1, Exclusive), (2, Exclusive)], &[(1, Exclusive), (3, Exclusive)]]);
        sets.keep([witness(1, ids[1])].iter());
        sets.check_invariants();
        assert_eq!(sets.gate(ids[1], ids[1]), Some(ClassId::new(1)));
        assert_eq!(sets.get(ids[0]), &[]);
        let stack = HeldStack::new();
        for lock in 0..1000u64 {
            stack.push(Acquired::new(ClassId::new(1), Exclusive, false), lock, Point::new(1));
            if sets.is_full() {
                sets.keep([witness(1, ids[1])].iter());
            }
            sets.intern(&stack);
            sets.check_invariants();
            if lock % 3 == 0 {
                stack.release(lock);
            }
        }
        assert!(sets.sets.len() <= SETS_MIN, "{}", sets.sets.len());
    }

    #[test]
    fn fewer_locks_replace_more_and_other_threads_join() {
        use Mode::Exclusive;
        let (sets, ids) =
            sets(&[&[(1, Exclusive), (2, Exclusive)], &[(1, Exclusive)], &[(3, Exclusive), (4, Exclusive)]]);
        let mut graph = dependency(witness(1, ids[0]));
        add(&mut graph, witness(1, ids[1]), &sets);
        assert_eq!(kept(&graph), [witness(1, ids[1])]);
        add(&mut graph, witness(1, ids[0]), &sets);
        assert_eq!(kept(&graph).len(), 1, "more of the same says nothing new");
        for thread in 2..20 {
            add(&mut graph, witness(thread, ids[2]), &sets);
        }
        assert_eq!(kept(&graph).len(), WITNESSES);
        add(&mut graph, witness(30, ids[1]), &sets);
        assert!(kept(&graph).iter().any(|kept| kept.thread == 30), "one that is guarded more made room");
        assert_eq!(kept(&graph).len(), WITNESSES);
    }

    #[test]
    fn the_first_witness_stays_and_the_latest_takes_the_place_of_the_oldest() {
        let sets = HeldSets::default();
        let at = |number| Witness { segment: SegmentId::from_u32(number), ..witness(number, HeldSetId::ALONE) };
        let mut graph = dependency(at(1));
        let many = 2 * WITNESSES as u32 + 1;
        assert!((2..=many).all(|number| add(&mut graph, at(number), &sets)));
        let mut numbers: Vec<u32> = kept(&graph).iter().map(|kept| kept.thread).collect();
        assert_eq!(numbers[0], 1);
        numbers.sort_unstable();
        let latest: Vec<u32> = (many + 2 - WITNESSES as u32..=many).collect();
        assert_eq!(numbers[1..], latest);
        assert!(!add(&mut graph, at(latest[0] - 1), &sets), "it would take turns with those that are kept");
    }
}
