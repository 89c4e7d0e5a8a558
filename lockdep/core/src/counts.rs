//! [`Counts`]: what a validator has done, for a summary of a run.

/// What a validator has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Acquisitions judged.
    pub judged: u64,
    /// The most locks that were held when one was judged.
    pub deepest: usize,
    /// Dependencies that did not fit the order in which they arrived, and had to be searched for a cycle.
    pub searches: u64,
    /// Dependencies between locks of one class that are remembered.
    pub within_classes: usize,
    /// Usages in contexts that are remembered, and the dependencies that they are held against.
    pub usages: usize,
}
