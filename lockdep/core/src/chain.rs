//! [`ChainCache`]: acquisition points already proven, in front of everything that costs more.
//!
//! Direct-mapped: a point has one slot, which the last one that was inserted there owns. A miss is always allowed (the
//! slow way then proves the point again, or finds it in a larger set); a hit never lies.

use std::cell::Cell;

use crate::held::Point;

/// A direct-mapped cache of proven [`Point`]s; `SLOTS` must be a power of two.
#[derive(Debug)]
pub struct ChainCache<const SLOTS: usize> {
    slots: [Cell<u64>; SLOTS],
}

impl<const SLOTS: usize> Default for ChainCache<SLOTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SLOTS: usize> ChainCache<SLOTS> {
    const SHIFT: u32 = {
        assert!(SLOTS.is_power_of_two() && SLOTS > 1, "a power of two");
        64 - SLOTS.trailing_zeros()
    };

    /// An empty cache, all zeros, so that a thread-local one costs nothing until it is touched.
    pub const fn new() -> Self {
        Self { slots: [const { Cell::new(0) }; SLOTS] }
    }

    // The high bits of a product are its best.
    const fn slot(point: Point) -> usize {
        (point.as_u64() >> Self::SHIFT) as usize
    }

    /// Returns whether the point is known to be proven. A point is never 0, so an empty slot matches none.
    #[inline]
    pub fn contains(&self, point: Point) -> bool {
        self.slots[Self::slot(point)].get() == point.as_u64()
    }

    /// Remembers a proven point.
    pub fn insert(&self, point: Point) {
        self.slots[Self::slot(point)].set(point.as_u64());
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.slots.iter().for_each(|slot| slot.set(0));
    }

    /// Checks that every point sits in its slot.
    ///
    /// # Panics
    ///
    /// If one does not: a bug of this crate.
    pub fn check_invariants(&self) {
        let points = self.slots.iter().map(Cell::get).enumerate();
        for (slot, point) in points.filter(|(_, point)| *point != 0) {
            assert_eq!(Self::slot(Point::new(point)), slot, "a point sits in its slot");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        class::ClassId,
        held::{Acquired, ChainKey},
        mode::Mode,
    };

    proptest! {
        /// The twin is a set: what the cache contains, the set contains; what was inserted last is in both.
        #[test]
        fn a_hit_never_lies(sites in prop::collection::vec((0u64..60, any::<bool>()), 0..200)) {
            let cache = ChainCache::<16>::new();
            let mut set = HashSet::new();
            for (site, insert) in sites {
                let point = ChainKey::EMPTY.at(site);
                if insert {
                    cache.insert(point);
                    set.insert(point);
                    prop_assert!(cache.contains(point));
                }
                prop_assert!(!cache.contains(point) || set.contains(&point));
                cache.check_invariants();
            }
            cache.clear();
            prop_assert!(set.iter().all(|point| !cache.contains(*point)));
        }
    }

    #[test]
    fn no_acquisition_is_invisible_to_the_key() {
        let first_class = Acquired::new(ClassId::new(0), Mode::Exclusive, false);
        let keys = [0, 1, 2, 3].map(|depth| (0..depth).fold(ChainKey::EMPTY, |key, _| key.then(first_class)));
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 4, "each depth has a key of its own");
    }
}
