//! Huge pages of anonymous memory.
//!
//! * `fault`: a first touch maps one, a write makes one writable or takes it apart.
//! * `copy`: what a fork does to one.
//! * `khugepaged`: the list of processes that want some, and who goes through it.
//! * `scan`: whether the small pages of a range can become a huge page.
//! * `collapse`, `swapin`: 512 small pages become one huge page, and what is elsewhere of them comes back first.
//!
//! Each has a page table deposited beside it, so that taking it apart needs no memory. [`huge_pmd`](super::huge_pmd) does that.

pub(crate) mod collapse;
pub(crate) mod copy;
pub(crate) mod fault;
pub(crate) mod khugepaged;
pub(crate) mod scan;
mod swapin;

use std::ops::Range;

use crate::{
    machine::Machine,
    mem::{PMD_SIZE, Vma},
};

/// Returns the addresses that the huge page of an address would cover, if the VMA may have one there.
pub(super) fn huge_range(m: &Machine, vma: &Vma, addr: u64) -> Option<Range<u64>> {
    let start = addr / PMD_SIZE * PMD_SIZE;
    let (range, flags) = (vma.range(), vma.flags());
    let asks = flags.huge || m.khugepaged.is_for_all();
    let wants = vma.file.is_none() && asks && !flags.nohuge && !flags.growsdown && vma.uffd().is_none();
    let fits = range.start <= start && start + PMD_SIZE <= range.end;
    (wants && fits).then_some(start..start + PMD_SIZE)
}
