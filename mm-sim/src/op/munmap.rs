//! `munmap`: takes a range out of the address space.
//!
//! Lock order: `mmap_lock (write) -> vma_lock (marks) -> i_mmap_rwsem -> anon_vma->rwsem` for the splits at the borders;
//! then the VMAs leave the tree, the mmap lock is downgraded, and under it the range is zapped (`-> pte_lock`), the VMAs
//! leave the reverse maps (`-> anon_vma->rwsem`, `-> i_mmap_rwsem`, one after the other), and the tables are freed.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{anon_vma, pgtables};
use crate::{
    machine::Machine,
    mem::{Gather, Mm, PAGE_SIZE, Vma},
    sched,
};

/// Unmaps a range of addresses.
#[inline(never)]
pub(crate) fn munmap(m: &Machine, mm: &Arc<Mm>, range: Range<u64>) {
    let _scope = sched::scope("munmap");
    let locked = mm.mmap_write_lock();
    let Some(taken) = take_out(m, mm, &range) else { return };
    let _read = locked.downgrade();
    taken.unmap(m, mm);
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

/// Takes a range out of the VMA tree. `None` if nothing is mapped there.
fn take_out(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> Option<TakenOut> {
    for border in [range.start, range.end] {
        if let Some(vma) = mm.find(border).filter(|vma| vma.range().start < border) {
            split_vma(m, mm, &vma, border);
        }
    }
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
        m.model.unmap(mm.id, pages);
    }
}

/// Takes a VMA out of the tree, where no new fault finds it; readers that have it have finished.
fn detach(mm: &Mm, vma: &Arc<Vma>) {
    vma.vma_start_write(mm);
    vma.mark_detached(mm);
    mm.remove(vma);
}

#[inline(never)]
fn unmap_region(m: &Machine, mm: &Mm, vmas: &[Arc<Vma>], range: Range<u64>, gap: &Range<u64>) {
    let mut gather = Gather::default();
    vmas.iter().for_each(|vma| gather.zap_all(m, mm, vma, vma.range()));
    pgtables::free_pgtables(m, mm, vmas, range, gap, &mut gather);
    gather.finish(m);
}

/// Cuts a VMA in two at `addr`.
#[inline(never)]
pub(crate) fn split_vma(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64) {
    let _scope = sched::scope("split_vma");
    m.might_reclaim(); // vm_area_dup()
    let (range, pgoff) = (vma.range(), vma.pgoffs().start);
    let tail = Vma::new(m.new_id(), mm, addr..range.end, vma.pgoff_of(addr), vma.flags, vma.file.clone());
    anon_vma::clone_chain(m, vma, &tail);
    vma.vma_start_write(mm);
    tail.vma_start_write(mm);
    let file = vma.file.as_ref().map(|file| &file.mapping);
    let _i_mmap = file.map(|mapping| mapping.i_mmap_rwsem.write());
    let chain = vma.anon_vma_chain.lock().clone();
    let _anon = chain.first().map(|anon_vma| anon_vma.rwsem().write());
    let relink = |link: bool| {
        file.iter().map(|mapping| &mapping.i_mmap).chain(chain.iter().map(|anon_vma| &anon_vma.vmas)).for_each(
            |tree| {
                if link {
                    tree.lock().insert(vma);
                } else {
                    tree.lock().remove(vma);
                }
            },
        );
    };
    relink(false);
    vma.set_range(range.start..addr, pgoff);
    relink(true);
    if let Some(mapping) = file {
        mapping.i_mmap.lock().insert(&tail);
        tail.is_file_linked.store(true, Relaxed);
    }
    mm.insert(&tail);
}
