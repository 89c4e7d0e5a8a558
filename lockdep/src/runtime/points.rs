//! [`Points`]: what a session knows of acquisition points, and which of them are proven.
//!
//! A thread asks here before it takes the validator's lock, and remembers the answer in a cache of its own. Proving and
//! doubting are done under the validator's lock; asking is not. So a doubt must reach the caches, too:
//!
//! 1. every point is marked as not proven;
//! 2. the number of doubts is raised, and then the [`Attention`](super::attention::Attention) of all threads;
//! 3. a thread that attends and finds the number raised empties its cache. Whatever it asks from then on, it asks after 1.

use std::sync::atomic::Ordering::{Acquire, Release};

use lockdep_core::{Point, SegmentId};

use super::sync::{AtomicU32, Map};

/// The points of a session, and where each comes from.
#[derive(Debug)]
pub(super) struct Points<T> {
    table: Map<u64, Known<T>>,
    doubts: AtomicU32,
}

/// What is known of a point.
#[derive(Clone, Copy, Debug)]
struct Known<T> {
    origin: T,
    /// The latest segment that has proven it; 0 if none has.
    latest: u32,
    /// The segments that have proven it, by the low bits of their numbers. Each adds its own witnesses.
    witnessed: u64,
}

impl<T> Known<T> {
    const fn new(origin: T) -> Self {
        Self { origin, latest: 0, witnessed: 0 }
    }

    /// Returns whether it is proven and this segment has witnessed it. A segment later than all others has not; an
    /// earlier one may be taken for another whose number has the same low bits.
    const fn is_witnessed_by(&self, segment: SegmentId) -> bool {
        let number = segment.as_u32();
        number <= self.latest && self.witnessed & (1 << (number % 64)) != 0
    }
}

impl<T> Default for Points<T> {
    fn default() -> Self {
        Self { table: Map::default(), doubts: AtomicU32::new(0) }
    }
}

impl<T: Copy> Points<T> {
    /// Returns where a point comes from, if it is known.
    pub(super) fn origin(&self, point: Point) -> Option<T> {
        self.table.read(&point.as_u64(), |known| known.origin)
    }

    /// Returns whether a point is proven and this segment has witnessed it, or `None` if it is not known.
    pub(super) fn is_proven(&self, point: Point, segment: SegmentId) -> Option<bool> {
        self.table.read(&point.as_u64(), |known| known.is_witnessed_by(segment))
    }

    /// Remembers where a point comes from; if somebody did before, what that was.
    pub(super) fn meet(&self, point: Point, origin: T) {
        self.table.update(point.as_u64(), || Known::new(origin), |_| ());
    }

    /// Remembers that a point is proven, and that this segment has witnessed it. Call it with the validator locked.
    pub(super) fn prove(&self, point: Point, segment: SegmentId, origin: T) {
        let number = segment.as_u32();
        self.table.update(
            point.as_u64(),
            || Known::new(origin),
            |known| {
                known.latest = known.latest.max(number);
                known.witnessed |= 1 << (number % 64);
            },
        );
    }

    /// Nothing counts as proven any more. Call it with the validator locked, and raise everybody's attention after it.
    pub(super) fn doubt(&self) {
        self.table.update_all(|known| (known.latest, known.witnessed) = (0, 0));
        self.doubts.fetch_add(1, Release);
    }

    /// Returns how often everything that was proven has been called into doubt.
    pub(super) fn doubts(&self) -> u32 {
        self.doubts.load(Acquire)
    }

    /// Returns how many points are known.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
