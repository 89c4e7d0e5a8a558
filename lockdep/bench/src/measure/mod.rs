//! The measures, one a file; each gives sections of the report.

pub mod cold;
pub mod instructions;
pub mod known;
pub mod programs;
pub mod release;
pub mod spread;
pub mod threads;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use lockdep::LockClass;

/// The chart of the first table.
pub const KNOWN_CHART: &str = "known-order.svg";

/// How much time the measures may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Enough to see that everything works.
    Quick,
    /// Enough for figures.
    Full,
}

impl Effort {
    /// Returns how many rounds to make where a full run makes `full`.
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Self::Quick => full.div_ceil(10),
            Self::Full => full,
        }
    }
}

/// Declares classes with names of their own, for the rest of the process.
pub fn classes(count: usize) -> Vec<&'static LockClass> {
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    let name = || &*Box::leak(format!("class {}", NAMES.fetch_add(1, Relaxed)).into_boxed_str());
    (0..count).map(|_| &*Box::leak(Box::new(LockClass::new(name())))).collect()
}
