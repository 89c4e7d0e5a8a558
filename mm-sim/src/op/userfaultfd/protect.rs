//! `UFFDIO_WRITEPROTECT`: user code wants to hear of writes to pages, or no more.
//!
//! Lock order: `mmap_lock (read) -> map_changing_lock (read) -> mmu_notifier_invalidate_range_start`, `-> pte_lock`. The
//! TLBs are flushed before the locks are dropped. Who registers no more has it undone, under `mmap_lock (write)`. For hugetlbfs
//! see there.

use std::{ops::Range, sync::Arc};

use super::fill::Filled;
use crate::{
    machine::Machine,
    mem::{Mm, OutOfMemory, PAGE_SIZE, PMD_SIZE, Userfaultfd, Vma},
    op::{hugetlb, mmu_notifier},
    sched,
};

/// Protects the pages of a range that are there from writes, or lets them be written again and wakes who waits to.
#[inline(never)]
pub(crate) fn mwriteprotect_range(
    m: &Machine,
    mm: &Arc<Mm>,
    ctx: &Arc<Userfaultfd>,
    range: &Range<u64>,
    protect: bool,
) -> Filled {
    let _scope = sched::scope("mwriteprotect_range");
    {
        let _mmap = mm.mmap_lock.read();
        let _changing = ctx.map_changing_lock.read();
        if ctx.is_changing() {
            return Filled::Again;
        }
        let Some(vma) = mm.find(range.start).filter(|vma| vma.flags().uffd_wp && range.end <= vma.range().end) else {
            return Filled::No;
        };
        if vma.is_hugetlb() && !(range.start.is_multiple_of(PMD_SIZE) && range.end.is_multiple_of(PMD_SIZE)) {
            return Filled::No;
        }
        (range.start..range.end).step_by(PAGE_SIZE as usize).for_each(|addr| ctx.check_fill(addr));
        if uffd_wp_range(m, mm, &vma, range, protect).is_err() {
            return Filled::Again;
        }
    }
    if !protect {
        ctx.wake(range);
    }
    Filled::Done
}

/// The same for a range of a VMA.
#[inline(never)]
pub(super) fn uffd_wp_range(
    m: &Machine,
    mm: &Arc<Mm>,
    vma: &Arc<Vma>,
    range: &Range<u64>,
    protect: bool,
) -> Result<(), OutOfMemory> {
    if vma.is_hugetlb() {
        return hugetlb::uffd_wp::hugetlb_uffd_wp_range(m, mm, vma, range, protect);
    }
    let _told = mmu_notifier::invalidate_range_start(m, mm, range);
    mm.walk(m, vma, range.clone(), &mut |slot, _, entry| {
        if entry.is_page() {
            slot.update(|entry| entry.writable(entry.is_writable() && !protect).uffd_wp(protect));
        }
    });
    m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE);
    Ok(())
}
