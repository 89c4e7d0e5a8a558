//! What a VMA of hugetlbfs is given when it is made, copied or cut, and what is taken from it at its end.
//!
//! Lock order: `mmap_lock (write) -> vma_lock (mark)` for the flags, then `-> i_rwsem (write)` of the file, which has a class
//! of its own because every other file has it the other way around; under it the reservation.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    reserve::{huge_pages, hugetlb_reserve_pages},
    share,
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, PAGE_SIZE, PMD_SIZE, PUD_SIZE, Vma},
    model::Backing,
    op::mmap::access_of,
    sched,
};

/// Makes a new VMA one of hugetlbfs. Returns whether the pages could be promised. The caller has the mmap lock.
#[inline(never)]
pub(crate) fn hugetlbfs_file_mmap(m: &Machine, mm: &Mm, vma: &Arc<Vma>) -> bool {
    let _scope = sched::scope("hugetlbfs_file_mmap");
    let Some(file) = &vma.file else { return false };
    vma.vma_start_write(mm); // vm_flags_set(VM_HUGETLB)
    vma.check_write_locked("becomes one of hugetlbfs");
    let _i_rwsem = file.i_rwsem.write();
    let done = hugetlb_reserve_pages(m, file, vma);
    let end = vma.pgoffs().end;
    if done && vma.flags().write && file.size() < end {
        // Who may write may write all of it: the file grows.
        m.model.end_truncate(file.id, end);
        file.set_size(end);
    }
    done
}

/// A VMA was made after another one, by a cut or for a move: it shares the promises, and has a lock of its own.
#[inline(never)]
pub(crate) fn hugetlb_vm_op_open(m: &Machine, like: &Vma, vma: &Arc<Vma>) {
    if !like.is_hugetlb() {
        return;
    }
    m.might_reclaim(); // hugetlb_vma_lock_alloc()
    vma.hugetlb_vma_lock_alloc(&m.protocol);
    *vma.hugetlb.resv_map.lock() = like.hugetlb.resv_map.lock().clone();
    vma.hugetlb.was_robbed.store(like.hugetlb.was_robbed.load(Relaxed), Relaxed);
}

/// A child has a copy of the VMA: what was promised to the parent is not promised to the child.
#[inline(never)]
pub(crate) fn hugetlb_dup_vma_private(m: &Machine, vma: &Vma, copy: &Arc<Vma>) {
    if vma.is_hugetlb() {
        m.might_reclaim(); // hugetlb_vma_lock_alloc()
        copy.hugetlb_vma_lock_alloc(&m.protocol);
        copy.hugetlb.was_robbed.store(vma.hugetlb.was_robbed.load(Relaxed), Relaxed);
    }
}

/// The pages of a private mapping have moved to another one, and the promises with them. From 6.7 on their lock is that of the
/// page tables too: who cuts the file has tried it through this VMA, under i_mmap, and looks at the VMA again to unlock it.
#[inline(never)]
pub(crate) fn clear_vma_resv(vma: &Vma) {
    let has_one = vma.hugetlb.resv_map.lock().is_some();
    let Some(file) = vma.file.as_ref().filter(|_| has_one) else { return };
    let _i_mmap = file.mapping.i_mmap_rwsem.write();
    let holds = file.mapping.i_mmap_rwsem.is_mine_to_write();
    sched::must_hold(holds, || format!("vma {} loses its reservations, and the lock that goes with them", vma.id));
    vma.hugetlb.resv_map.lock().take();
}

/// A mapping has moved, and its old place is still there, with empty page tables. Before it is unmapped somebody may share
/// them, and fill them, so that user code sees the file there: nothing is certain about the old place.
pub(crate) fn linger(m: &Machine, mm: &Mm, vma: &Vma) {
    if let Some(file) = vma.file.as_ref().filter(|file| file.hugetlb.is_some()) {
        let (range, flags) = (vma.range(), vma.flags());
        let backing = Backing::Hugetlb { file: file.id, index: vma.pgoffs().start, shared: flags.shared };
        let pages = range.start / PAGE_SIZE..range.end / PAGE_SIZE;
        m.model.map(mm.id, pages, backing, access_of(flags));
    }
}

/// A VMA ends: what it was promised and has not used is taken back. Nobody finds it any more.
#[inline(never)]
pub(crate) fn hugetlb_vm_op_close(m: &Machine, vma: &Vma) {
    if !vma.is_hugetlb() {
        return;
    }
    let _scope = sched::scope("hugetlb_vm_op_close");
    vma.hugetlb_vma_lock_free();
    if let Some(map) = vma.hugetlb.resv_map.lock().take() {
        let pages = huge_pages(vma);
        let used = map.count(pages.clone());
        m.hugetlb.unreserve(pages.end - pages.start - used);
    }
}

/// Returns whether the VMA at `addr` can be cut there: one of hugetlbfs only between huge pages.
pub(crate) fn may_split(mm: &Mm, addr: u64) -> bool {
    addr.is_multiple_of(PMD_SIZE) || mm.find(addr).is_none_or(|vma| !vma.is_hugetlb())
}

/// A VMA is about to be cut at `addr`: a table that is shared would be covered by neither half. The caller has write-locked
/// the VMA, and i_mmap: nobody may share it anew before the borders have moved.
#[inline(never)]
pub(crate) fn hugetlb_split(m: &Machine, mm: &Mm, vma: &Arc<Vma>, addr: u64) {
    let start = addr / PUD_SIZE * PUD_SIZE;
    let range = vma.range();
    if vma.is_hugetlb() && addr != start && range.start <= start && start + PUD_SIZE <= range.end {
        share::unshare_pmds(m, mm, vma, start..start + PUD_SIZE);
    }
}

/// The same as it was before June 2025: before the VMA is write-locked, under locks that are dropped before the cut.
#[inline(never)]
pub(crate) fn hugetlb_vm_op_split(m: &Machine, mm: &Mm, vma: &Arc<Vma>, addr: u64) {
    if m.protocol.has(Bug::UnsharedBeforeSplit)
        && let Some(file) = vma.file.as_ref().filter(|file| file.hugetlb.is_some())
    {
        let _vma_lock = vma.hugetlb_vma_lock_write(&m.protocol);
        let _i_mmap = file.mapping.i_mmap_rwsem.write();
        hugetlb_split(m, mm, vma, addr);
    }
}
