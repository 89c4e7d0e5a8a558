//! `UFFDIO_WRITEPROTECT`: user code wants to hear of writes to pages, or no more.
//!
//! Lock order: `mmap_lock (read) -> map_changing_lock (read) -> mmu_notifier_invalidate_range_start`, `-> pte_lock`. The
//! TLBs are flushed before the locks are dropped.

use std::{ops::Range, sync::Arc};

use super::fill::Filled;
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE, Userfaultfd},
    op::mmu_notifier,
    sched,
};

/// Protects the pages of a range that are there from writes, or lets them be written again.
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
        let _told = mmu_notifier::invalidate_range_start(m, mm, range);
        mm.walk(m, &vma, range.clone(), &mut |slot, addr, entry| {
            if entry.is_page() {
                ctx.check_fill(addr);
                slot.update(|entry| entry.writable(entry.is_writable() && !protect).uffd_wp(protect));
            }
        });
        m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE);
    }
    if !protect {
        ctx.wake(range);
    }
    Filled::Done
}
