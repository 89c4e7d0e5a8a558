//! `munmap`: takes a range out of the address space.
//!
//! Lock order: `mmap_lock (write) -> vma_lock (marks) -> i_mmap_rwsem -> anon_vma->rwsem` for the splits at the borders;
//! then the VMAs leave the tree, the mmap lock is downgraded (unless a stack may grow into the gap; CVE-2020-29369), and under it the range is zapped (`-> pte_lock`), the VMAs
//! leave the reverse maps (`-> anon_vma->rwsem`, `-> i_mmap_rwsem`, one after the other), and the tables are freed.

use std::{ops::Range, sync::Arc};

use super::{gather::Gather, hugetlb, pgtables, userfaultfd, vma::split::split_at, zap};
use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, MmapWrite, PAGE_SIZE, Vma},
    protocol::StackGrowth,
    sched,
};

/// Unmaps a range of addresses.
#[inline(never)]
pub(crate) fn munmap(m: &Machine, mm: &Arc<Mm>, range: Range<u64>) {
    let _scope = sched::scope("munmap");
    munmap_and_unlock(m, mm.mmap_write_lock(), range);
}

/// Unmaps a range, and goes on as a reader as soon as it may.
#[inline(never)]
pub(crate) fn munmap_and_unlock(m: &Machine, locked: MmapWrite, range: Range<u64>) {
    let mm: &Arc<Mm> = &locked.clone();
    let _changing = userfaultfd::register::begin_change(&mm.find_all(&range));
    let Some(taken) = take_out(m, mm, &range) else { return };
    if may_downgrade(m, mm, &taken) {
        let _read = locked.downgrade();
        taken.unmap(m, mm);
    } else {
        taken.unmap(m, mm);
    }
}

/// Returns whether the gap will stay a gap under the mmap lock in read mode: not if a stack above it may grow into it.
fn may_downgrade(m: &Machine, mm: &Mm, taken: &TakenOut) -> bool {
    let grows = || mm.find_from(taken.range.end).is_some_and(|next| next.flags().growsdown);
    m.protocol.stack_growth == StackGrowth::MmapWriteLock || m.protocol.has(Bug::DowngradeBesideStack) || !grows()
}

/// Unmaps a range for a caller who has the mmap lock in write mode and keeps it.
pub(crate) fn do_munmap(m: &Machine, mm: &Arc<Mm>, range: Range<u64>) {
    if let Some(taken) = take_out(m, mm, &range) {
        taken.unmap(m, mm);
    }
}

/// What has left the VMA tree and is not unmapped yet.
struct TakenOut {
    vmas: Vec<Arc<Vma>>,
    range: Range<u64>,
    /// The range up to the neighbours.
    gap: Range<u64>,
}

/// Takes a range out of the VMA tree. `None` if nothing is mapped there, or a border is inside of a page of hugetlbfs.
fn take_out(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> Option<TakenOut> {
    let borders = [range.start, range.end];
    if !borders.into_iter().all(|border| hugetlb::mmap::may_split(mm, border)) {
        return None;
    }
    borders.into_iter().for_each(|border| split_at(m, mm, border));
    let vmas = mm.find_all(range);
    let mapped = vmas.first()?.range().start..vmas.last()?.range().end;
    m.model.unsettle(mm.id, mapped.start / PAGE_SIZE..mapped.end / PAGE_SIZE);
    vmas.iter().for_each(|vma| detach(mm, vma));
    let gap = mm.gap_around(&mapped);
    Some(TakenOut { vmas, range: mapped, gap })
}

impl TakenOut {
    fn unmap(self, m: &Machine, mm: &Mm) {
        let pages = self.range.start / PAGE_SIZE..self.range.end / PAGE_SIZE;
        unmap_region(m, mm, &self.vmas, self.range, &self.gap);
        self.vmas.iter().for_each(|vma| remove_vma(m, vma));
        m.model.unmap(mm.id, pages);
    }
}

/// Takes a VMA out of the tree, where no new fault finds it; readers that have it have finished.
fn detach(mm: &Mm, vma: &Arc<Vma>) {
    vma.vma_start_write(mm);
    vma.mark_detached(mm);
    if vma.flags().locked {
        mm.account_locked(-(vma.pages() as i64));
    }
    mm.remove(vma);
}

#[inline(never)]
fn unmap_region(m: &Machine, mm: &Mm, vmas: &[Arc<Vma>], range: Range<u64>, gap: &Range<u64>) {
    let mut gather = Gather::default();
    vmas.iter().for_each(|vma| zap::unmap_single_vma(m, mm, vma, vma.range(), &mut gather));
    pgtables::free_pgtables(m, mm, vmas, range, gap, &mut gather);
    gather.finish(m);
}

/// Frees a VMA that is in no tree any more.
pub(crate) fn remove_vma(m: &Machine, vma: &Arc<Vma>) {
    hugetlb::mmap::hugetlb_vm_op_close(m, vma);
    m.free_vma(vma);
}
