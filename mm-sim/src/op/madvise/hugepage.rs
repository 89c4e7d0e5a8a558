//! `MADV_HUGEPAGE` and `MADV_NOHUGEPAGE`: whether a range is to have huge pages.
//!
//! Lock order: `mmap_lock (write)`, per VMA `vma_modify`, and `-> khugepaged_mm_lock` to put the process on khugepaged's list.

use std::{ops::Range, sync::Arc};

use crate::{
    machine::Machine,
    mem::{Mm, VmFlags},
    op::{thp::khugepaged, vma::modify},
};

/// Asks for huge pages, or for none.
#[inline(never)]
pub(super) fn set(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>, huge: bool) -> bool {
    let _mmap = mm.mmap_write_lock();
    let mut addr = range.start;
    while addr < range.end {
        let Some(vma) = mm.find(addr) else { return false };
        let part = addr..vma.range().end.min(range.end);
        let old = vma.flags();
        let new = VmFlags { huge, nohuge: !huge, ..old };
        if new != old && !vma.is_hugetlb() {
            modify::vma_modify_flags(m, mm, &vma, &part, new);
        }
        addr = part.end;
    }
    if huge {
        khugepaged::enter(m, mm);
    }
    true
}
