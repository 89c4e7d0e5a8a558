//! The tables of lock statistics: counters in a few shards, so that threads seldom meet, added up when somebody reads them.

use lockdep_core::LockStats;
use parking_lot::Mutex;

use super::budget;

const SHARDS: usize = 16;

/// The tables of a session.
#[derive(Debug, Default)]
pub(super) struct Tables([Mutex<LockStats>; SHARDS]);

impl Tables {
    /// Returns the table that the thread of this number counts in.
    pub(super) fn of(&self, thread: u32) -> &Mutex<LockStats> {
        &self.0[thread as usize % SHARDS]
    }

    /// Returns everything counted.
    pub(super) fn sum(&self) -> LockStats {
        let mut sum = LockStats::new();
        self.0.iter().for_each(|table| sum.merge(&table.lock()));
        sum
    }

    /// Forgets everything. Returns how many bytes that were.
    pub(super) fn clear(&self) -> usize {
        let clear = |table: &Mutex<LockStats>| {
            let mut table = table.lock();
            let classes = table.len();
            table.clear();
            classes * budget::STATISTICS
        };
        self.0.iter().map(clear).sum()
    }
}
