//! KSM: pages of anonymous memory that are alike become one.
//!
//! * [`scan`]: one round of ksmd.
//! * `merge`: two pages become one, or one becomes like a shared one.
//! * [`advise`]: `MADV_MERGEABLE`, `MADV_UNMERGEABLE`, and breaking what is shared.
//!
//! A shared folio is mapped read-only and is never written to; whoever writes gets a copy. Its place in the reverse map is a
//! list of places in anon_vmas; a fork needs no new one, because the child is in the parent's anon_vma.

pub(crate) mod advise;
mod merge;
pub(crate) mod scan;
