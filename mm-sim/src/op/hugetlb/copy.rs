//! `fork` of hugetlbfs: the private pages of the parent are shared with the child until somebody writes.
//!
//! Lock order: both mmap locks `-> fs_reclaim` for the tables of the child, `-> pmd_lock of the child -> pmd_lock of the parent
//! (nested)`. The pages of a shared mapping are left to the child's page faults: the kernel copies them only for a
//! userfaultfd that goes along with forks, which none does here.

use std::sync::Arc;

use super::share::{check_entry_locked, hugetlb_walk};
use crate::{
    machine::Machine,
    mem::{Absent, Mm, OutOfMemory, PMD_SIZE, Vma},
    op::mmu_notifier,
    sched,
};

/// Copies the entries of a private mapping. Both mmap locks are held; the parent's TLBs are flushed at the end of the fork.
#[inline(never)]
pub(crate) fn copy_hugetlb_page_range(
    m: &Machine,
    (parent, vma): (&Mm, &Arc<Vma>),
    child: &Mm,
) -> Result<(), OutOfMemory> {
    let _scope = sched::scope("copy_hugetlb_page_range");
    let range = vma.range();
    let _told = mmu_notifier::invalidate_range_start(m, parent, &range);
    for addr in (range.start..range.end).step_by(PMD_SIZE as usize) {
        let Some(src) = hugetlb_walk(m, parent, vma, addr).filter(|src| !src.load().is_none()) else { continue };
        let dst = child.pmd_alloc(m, addr)?;
        let _dst_ptl = dst.table.lock.lock();
        let _src_ptl = src.table.lock.lock_nested(1);
        let entry = src.load();
        check_entry_locked(&src);
        check_entry_locked(&dst);
        let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else {
            // A page that is broken is so for the child too; nobody is told of what the child writes.
            if entry.as_absent() != Some(Absent::Marker) {
                dst.store(entry);
            }
            continue;
        };
        folio.map();
        src.update(|entry| entry.writable(false));
        dst.store(entry.writable(false).clean().uffd_wp(false));
    }
    Ok(())
}
