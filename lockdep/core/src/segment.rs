//! [`Segments`]: which parts of which threads came before which others, by spawn and join alone.
//!
//! A thread's life is cut into segments where it spawns and where it joins. Each segment knows the one or two that led
//! to it; one came before another if the other leads back to it. Locks make no order here: they could have been taken
//! the other way round. Key type: [`SegmentId`], which grows with time, so a search back never goes below its goal.
//! Cost: 8 bytes a segment; a question costs the segments in between, and is asked only to grade a report.

/// A part of a thread's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(u32);

impl SegmentId {
    /// Of a thread that nobody saw being spawned: before and after nothing.
    pub const UNKNOWN: Self = Self(0);

    /// Returns the number; it grows with time, and is 0 for what is unknown.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The inverse of [`as_u32`](Self::as_u32).
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }
}

/// The segments of a run.
#[derive(Debug, Default)]
pub struct Segments {
    /// By number, from 1: what led to it.
    before: Vec<[SegmentId; 2]>,
}

impl Segments {
    /// No segments.
    pub fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, before: [SegmentId; 2]) -> SegmentId {
        self.before.push(before);
        u32::try_from(self.before.len()).map_or(SegmentId::UNKNOWN, SegmentId)
    }

    /// The first segment of a thread that nobody spawned, such as the main thread.
    pub fn root(&mut self) -> SegmentId {
        self.add([SegmentId::UNKNOWN; 2])
    }

    /// A thread in `parent` spawns another. Returns how the parent goes on and where the child begins.
    pub fn spawn(&mut self, parent: SegmentId) -> (SegmentId, SegmentId) {
        (self.add([parent, SegmentId::UNKNOWN]), self.add([parent, SegmentId::UNKNOWN]))
    }

    /// A thread in `parent` has waited for the end of one whose last segment was `child`. Returns how it goes on.
    pub fn join(&mut self, parent: SegmentId, child: SegmentId) -> SegmentId {
        self.add([parent, child])
    }

    /// Returns whether everything in `first` had happened when `then` began.
    pub fn is_before(&self, first: SegmentId, then: SegmentId) -> bool {
        if first == SegmentId::UNKNOWN {
            return false;
        }
        let mut seen = rustc_hash::FxHashSet::default();
        let mut open = vec![then];
        while let Some(segment) = open.pop() {
            let Some(before) = (segment.0 as usize).checked_sub(1).and_then(|index| self.before.get(index)) else {
                continue;
            };
            for &other in before {
                if other == first {
                    return true;
                }
                if other > first && seen.insert(other) {
                    open.push(other);
                }
            }
        }
        false
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.before.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_joined_comes_before_what_is_spawned_later() {
        let mut segments = Segments::new();
        let main = segments.root();
        let (main, one) = segments.spawn(main);
        let (main, two) = segments.spawn(main);
        assert!(!segments.is_before(one, two) && !segments.is_before(two, one));
        let main = segments.join(main, one);
        let (_, three) = segments.spawn(main);
        assert!(segments.is_before(one, three) && !segments.is_before(two, three));
        assert!(!segments.is_before(three, one) && !segments.is_before(SegmentId::UNKNOWN, three));
    }

    proptest! {
        /// The twin keeps, for each segment, the set of all that came before it.
        #[test]
        fn the_order_is_that_of_full_sets(ops in prop::collection::vec((any::<bool>(), 0usize..8, 0usize..8), 0..40)) {
            let mut segments = Segments::new();
            let root = segments.root();
            let mut sets = std::collections::BTreeMap::from([(root, std::collections::BTreeSet::new())]);
            let mut threads = vec![root];
            for (spawn, a, b) in ops {
                let (a, b) = (a % threads.len(), b % threads.len());
                let mut past = sets[&threads[a]].clone();
                past.insert(threads[a]);
                if spawn {
                    let (on, child) = segments.spawn(threads[a]);
                    sets.extend([(on, past.clone()), (child, past)]);
                    threads[a] = on;
                    threads.push(child);
                } else if a != b {
                    past.extend(sets[&threads[b]].iter().copied());
                    past.insert(threads[b]);
                    let on = segments.join(threads[a], threads[b]);
                    sets.insert(on, past);
                    threads[a] = on;
                }
            }
            for (then, past) in &sets {
                for first in sets.keys() {
                    prop_assert_eq!(segments.is_before(*first, *then), past.contains(first));
                }
            }
        }
    }
}
