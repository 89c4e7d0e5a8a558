//! How often and how long the locks of a stress run were waited for and held, as lockdep's statistics have it.

use std::fmt;

use lockdep::ClassStats;
use serde::Serialize;

/// Locks that the table shows: those with the longest waits.
const SHOWN: usize = 16;

/// The use of the locks of one class, by readers or by writers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LockUse {
    /// The class.
    pub class: String,
    /// Whether it is the readers' use.
    pub readers: bool,
    /// How often it was acquired.
    pub acquired: u64,
    /// How often it was waited for.
    pub waits: u64,
    /// The wait on average, in nanoseconds.
    pub wait_ns_avg: u64,
    /// The longest wait, in nanoseconds.
    pub wait_ns_max: u64,
    /// The hold on average, in nanoseconds.
    pub hold_ns_avg: u64,
    /// The longest hold, in nanoseconds.
    pub hold_ns_max: u64,
}

impl LockUse {
    pub(super) fn of(stats: &ClassStats) -> Self {
        Self {
            class: stats.class.clone(),
            readers: stats.readers,
            acquired: stats.acquisitions,
            waits: stats.wait.count,
            wait_ns_avg: stats.wait.ns_avg(),
            wait_ns_max: stats.wait.ns_max,
            hold_ns_avg: stats.hold.ns_avg(),
            hold_ns_max: stats.hold.ns_max,
        }
    }
}

/// The locks with the longest waits, for people. Times are in microseconds.
pub(super) struct Table<'l>(pub(super) &'l [LockUse]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = ["acquired", "waits", "avg us", "max us", "hold avg", "hold max"];
        let [acquired, waits, avg, max, hold_avg, hold_max] = title;
        writeln!(f, "{:<38}{acquired:>10}{waits:>9}{avg:>9}{max:>10}{hold_avg:>10}{hold_max:>10}", "lock")?;
        for lock in self.0.iter().take(SHOWN) {
            let name = if lock.readers { format!("{} (readers)", lock.class) } else { lock.class.clone() };
            let [avg, max, hold_avg, hold_max] =
                [lock.wait_ns_avg, lock.wait_ns_max, lock.hold_ns_avg, lock.hold_ns_max].map(|ns| ns as f64 / 1000.0);
            let LockUse { acquired, waits, .. } = lock;
            writeln!(f, "{name:<38}{acquired:>10}{waits:>9}{avg:>9.1}{max:>10.1}{hold_avg:>10.1}{hold_max:>10.1}")?;
        }
        Ok(())
    }
}
