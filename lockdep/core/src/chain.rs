//! [`ChainCache`]: acquisition points already proven, in front of everything that costs more.
//!
//! A point has two slots of its own, side by side, at which the fast path looks, and six more in the same line of memory,
//! at which the slower one looks before it asks anybody else: the line is at hand by then. A miss is always allowed (the
//! point is then proven again, or found in a larger set); a hit never lies.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::held::Point;

/// How many slots share a line of memory.
const WAYS: usize = 8;

/// A cache of proven [`Point`]s, over a table that is zero at first and of which more and more is used.
///
/// One thread uses it at a time; the slots are atomic so that another may have them later. `SLOTS` is a power of two, at
/// most 2^32. The part in use is a power of two too: the size of the table being known to the compiler, and the index to
/// be less, the fast path checks no bounds.
#[derive(Clone, Copy, Debug)]
pub struct ChainCache<'a, const SLOTS: usize> {
    slots: &'a [AtomicU64; SLOTS],
    mask: usize,
}

impl<'a, const SLOTS: usize> ChainCache<'a, SLOTS> {
    const SHIFT: u32 = {
        assert!(SLOTS.is_power_of_two() && SLOTS >= WAYS && SLOTS as u64 <= 1 << 32, "whole lines, a power of two");
        u64::BITS - SLOTS.trailing_zeros()
    };

    /// A cache without room for anything, over a table that stays zero.
    pub const fn none(slots: &'a [AtomicU64; SLOTS]) -> Self {
        Self { slots, mask: 0 }
    }

    /// A cache of `used` slots of this table.
    ///
    /// # Panics
    ///
    /// If these are fewer than eight, more than there are, or not a power of two.
    pub const fn over(slots: &'a [AtomicU64; SLOTS], used: usize) -> Self {
        assert!(used >= WAYS && used <= SLOTS && used.is_power_of_two(), "whole lines, a power of two");
        Self { slots, mask: used - 1 }
    }

    /// Returns the whole table.
    pub const fn table(self) -> &'a [AtomicU64; SLOTS] {
        self.slots
    }

    /// Returns how many slots are in use; none if there is no room for anything.
    pub const fn slots(self) -> usize {
        if self.mask == 0 { 0 } else { self.mask + 1 }
    }

    // The high bits of a product are its best.
    #[inline]
    const fn index(self, point: Point) -> usize {
        (point.as_u64() >> Self::SHIFT) as usize & self.mask
    }

    /// Returns whether the point is in one of its own slots. A point is never 0, so an empty slot matches none.
    #[inline]
    pub fn contains(self, point: Point) -> bool {
        let index = self.index(point);
        // Without a branch in between: whichever of the two it is, the way is the same.
        (self.slots[index].load(Relaxed) == point.as_u64()) | (self.slots[index ^ 1].load(Relaxed) == point.as_u64())
    }

    /// Returns the same cache over more of its table. What was remembered moves to where it belongs now.
    ///
    /// # Panics
    ///
    /// As [`over`](Self::over), or if these are fewer than before.
    #[must_use]
    pub fn grown(self, used: usize) -> Self {
        let grown = Self::over(self.slots, used);
        assert!(used >= self.slots(), "a cache does not shrink");
        // A point's new line is its old one, or one that is still empty and that only points of its old one come to.
        for line in self.slots[..self.slots()].chunks(WAYS) {
            let mut points = [0; WAYS];
            points.iter_mut().zip(line).for_each(|(point, slot)| *point = slot.swap(0, Relaxed));
            points.into_iter().filter(|point| *point != 0).for_each(|point| {
                grown.insert(Point::new(point));
            });
        }
        grown
    }

    /// Returns its own slots, the first choice first, and all those of its line.
    fn line(self, point: Point) -> ([&'a AtomicU64; 2], &'a [AtomicU64]) {
        let index = self.index(point);
        let start = index & !(WAYS - 1);
        ([&self.slots[index], &self.slots[index ^ 1]], &self.slots[start..start + WAYS])
    }

    /// Returns whether the point is in its line, and moves it into a slot of its own if so.
    pub fn find(self, point: Point) -> bool {
        let (own, line) = self.line(point);
        if self.contains(point) {
            return true;
        }
        let found = line.iter().find(|slot| slot.load(Relaxed) == point.as_u64());
        found.is_some_and(|slot| {
            slot.store(own[0].swap(point.as_u64(), Relaxed), Relaxed);
            true
        })
    }

    /// Remembers a proven point that is not here, in a slot of its own. If both are taken, what was in the first goes into
    /// another slot of the line, if need be in place of what is there. Returns whether the line had an empty slot.
    pub fn insert(self, point: Point) -> bool {
        let (own, line) = self.line(point);
        let is_empty = |slot: &&AtomicU64| slot.load(Relaxed) == 0;
        if let Some(slot) = own.into_iter().find(is_empty) {
            slot.store(point.as_u64(), Relaxed);
            return true;
        }
        let empty = line.iter().find(is_empty);
        // One of six others, chosen by the bits of the point that its place does not depend on.
        let other = ((self.index(point) | 1) + 1 + point.as_u64() as usize / 2 % (WAYS - 2)) % WAYS;
        empty.unwrap_or(&line[other]).store(own[0].swap(point.as_u64(), Relaxed), Relaxed);
        empty.is_some()
    }

    /// Forgets everything.
    pub fn clear(self) {
        self.slots[..self.slots()].iter().for_each(|slot| slot.store(0, Relaxed));
    }

    /// Checks that every point sits in its line, once.
    ///
    /// # Panics
    ///
    /// If one does not: a bug of this crate.
    pub fn check_invariants(self) {
        for (index, slot) in self.slots[..self.slots()].iter().enumerate() {
            let point = slot.load(Relaxed);
            if point != 0 {
                let point = Point::new(point);
                assert_eq!(self.index(point) / WAYS, index / WAYS, "a point sits in its line");
                let count = self.line(point).1.iter().filter(|slot| slot.load(Relaxed) == point.as_u64()).count();
                assert_eq!(count, 1, "a point sits there once");
            }
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
        fn a_hit_never_lies(sites in prop::collection::vec((0u64..100, any::<bool>(), 0u8..40), 0..300)) {
            let table = [const { AtomicU64::new(0) }; 64];
            let mut cache = ChainCache::over(&table, 16);
            let mut set = HashSet::new();
            prop_assert!(!ChainCache::none(&table).contains(ChainKey::EMPTY.at(1)));
            for (site, insert, grow) in sites {
                let point = ChainKey::EMPTY.at(site);
                let found = cache.find(point);
                prop_assert!(!found || set.contains(&point));
                prop_assert_eq!(found, cache.contains(point), "what is found is at hand from then on");
                if insert && !found {
                    let before = used(&table);
                    let fits = cache.insert(point);
                    set.insert(point);
                    prop_assert!(cache.contains(point));
                    prop_assert_eq!(used(&table), before + usize::from(fits), "nothing is lost while there is room");
                }
                if grow == 0 && cache.slots() < 64 {
                    let remembered = |cache: ChainCache<'_, 64>| set.iter().filter(|point| cache.find(**point)).count();
                    let before = remembered(cache);
                    cache = cache.grown(cache.slots() * 2);
                    prop_assert_eq!(remembered(cache), before, "growing loses nothing");
                }
                cache.check_invariants();
            }
            cache.clear();
            prop_assert_eq!(used(&table), 0);
        }
    }

    fn used(slots: &[AtomicU64]) -> usize {
        slots.iter().filter(|slot| slot.load(Relaxed) != 0).count()
    }

    #[test]
    fn a_half_full_cache_has_lost_next_to_nothing() {
        static TABLE: [AtomicU64; 1 << 17] = [const { AtomicU64::new(0) }; 1 << 17];
        let cache = ChainCache::over(&TABLE, 1 << 17);
        let how = |class| Acquired::new(ClassId::new(class), Mode::Exclusive, false);
        let points = || (0..1 << 16).map(|class| ChainKey::EMPTY.then(how(class)).at(1));
        let fitting = points().filter(|point| cache.insert(*point)).count();
        let lost = points().filter(|point| !cache.find(*point)).count();
        assert!(lost < 2000, "{lost} of 65,536 are lost");
        assert_eq!(fitting + lost, 1 << 16);
    }

    #[test]
    fn the_same_acquisition_at_two_places_is_two_points() {
        let key = ChainKey::EMPTY.then(Acquired::new(ClassId::new(1), Mode::Exclusive, false));
        assert_ne!(key.at(0x1000), key.at(0x1018));
    }

    #[test]
    fn holding_class_0_is_not_holding_nothing() {
        let how = |class| Acquired::new(ClassId::new(class), Mode::Exclusive, false);
        let key = ChainKey::EMPTY.then(how(0));
        assert_ne!(key, ChainKey::EMPTY);
        assert_ne!(key.then(how(7)), ChainKey::EMPTY.then(how(7)));
    }
}
