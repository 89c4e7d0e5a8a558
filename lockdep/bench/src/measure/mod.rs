//! The measures, one a file; each gives sections of the report.

pub mod known;
pub mod programs;

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
