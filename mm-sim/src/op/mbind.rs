//! `mbind`: where the memory of a range is to come from.
//!
//! Lock order: `mmap_lock (write)`, per VMA `vma_modify` and `-> vma_lock (mark)` before the policy is replaced: a page fault
//! that holds the VMA lock uses the old one without a reference (6c21e066f925). Then `-> pte_lock` to find pages that are in the
//! wrong place.

use std::{ops::Range, sync::Arc};

use super::vma::{merge, modify};
use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, Policy, Vma},
    sched,
};

/// Sets the memory node of a range. Returns how many pages of it are there already, which stay where they are; `None` if
/// part of the range is not mapped.
#[inline(never)]
pub(crate) fn mbind(m: &Machine, mm: &Arc<Mm>, range: Range<u64>, node: u8) -> Option<u64> {
    let _scope = sched::scope("mbind");
    let _mmap = mm.mmap_write_lock();
    let misplaced = queue_pages_range(m, mm, &range);
    let mut addr = range.start;
    while addr < range.end {
        let vma = mm.find(addr)?;
        let part = addr..vma.range().end.min(range.end);
        mbind_range(m, mm, &vma, &part, node);
        addr = part.end;
    }
    Some(misplaced)
}

/// Counts the pages of a range; whoever walks page tables in write mode write-locks the VMAs first (49b0638502da).
#[inline(never)]
fn queue_pages_range(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> u64 {
    let mut found = 0;
    for vma in mm.find_all(range) {
        if !m.protocol.has(Bug::PolicyWithoutVmaLock) {
            vma.vma_start_write(mm);
        }
        let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
        mm.walk(m, &vma, part, &mut |_, _, entry| found += u64::from(entry.is_page()));
    }
    found
}

#[inline(never)]
fn mbind_range(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, part: &Range<u64>, node: u8) {
    if vma.policy().is_some_and(|policy| policy.node == node) {
        return;
    }
    let part = modify::cut_out(m, mm, vma, part);
    vma_replace_policy(m, mm, &part, node);
    merge::vma_merge(m, mm, &part);
}

#[inline(never)]
fn vma_replace_policy(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, node: u8) {
    m.might_reclaim(); // mpol_dup()
    if !m.protocol.has(Bug::PolicyWithoutVmaLock) {
        vma.vma_start_write(mm);
    }
    vma.replace_policy(Some(Arc::new(Policy::new(node))));
}
