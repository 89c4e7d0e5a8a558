//! Changing VMAs: cutting, joining, new borders, new flags.
//!
//! * `prepare`: the locks of the reverse maps, for as long as borders change.
//! * `split`, `merge`: one VMA becomes two, or two become one.
//! * `modify`: new flags for a part of a VMA, which cuts it first, or joins it with a neighbour that is of the same sort now.

pub(crate) mod merge;
pub(crate) mod modify;
mod prepare;
pub(crate) mod split;

pub(crate) use prepare::vma_prepare;
