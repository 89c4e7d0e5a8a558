//! `UFFDIO_REGISTER`, `UFFDIO_UNREGISTER` and the end of a userfaultfd.
//!
//! Lock order: `mmap_lock (write)`, per VMA `vma_modify` (`-> i_mmap_rwsem -> anon_vma->rwsem`) and `-> vma_lock (mark)`. Who is
//! told of writes shares no page tables with other processes: those of hugetlbfs are given up,
//! `-> hugetlb vma_lock (write) -> hugetlbfs i_mmap_rwsem (write) -> pmd_lock`.
//! `munmap` and `mremap` say that mappings change: `mmap_lock (write) -> map_changing_lock (write)`.

use std::{ops::Range, sync::Arc};

use super::protect::uffd_wp_range;
use crate::{
    PMD_SIZE,
    machine::Machine,
    mem::{MapChange, Mm, Userfaultfd, VmFlags, Vma},
    op::{hugetlb, vma::modify},
    sched,
};

/// What user code wants to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Modes {
    pub(crate) missing: bool,
    pub(crate) wp: bool,
}

/// Registers the mappings of a range that may be, and have no userfaultfd yet. Returns whether there are any.
#[inline(never)]
pub(crate) fn register(m: &Machine, mm: &Arc<Mm>, ctx: &Arc<Userfaultfd>, range: &Range<u64>, modes: Modes) -> bool {
    let _scope = sched::scope("userfaultfd_register");
    let _mmap = mm.mmap_write_lock();
    if ctx.is_closed() {
        return false;
    }
    let is_free = |vma: &Arc<Vma>| is_suitable(vma, range) && vma.uffd().is_none();
    let vmas: Vec<_> = mm.find_all(range).into_iter().filter(is_free).collect();
    for vma in &vmas {
        set_ctx(m, mm, vma, range, Some(ctx), modes);
    }
    !vmas.is_empty()
}

/// Private mappings without a file or of shared memory, and those of hugetlbfs if only whole huge pages are in the range.
fn is_suitable(vma: &Vma, range: &Range<u64>) -> bool {
    let part = part_of(vma, range);
    let is_whole = part.start.is_multiple_of(PMD_SIZE) && part.end.is_multiple_of(PMD_SIZE);
    let is_of_disk = vma.file.as_ref().is_some_and(|file| !file.is_shmem());
    if vma.is_hugetlb() { is_whole } else { !vma.flags().shared && !is_of_disk }
}

fn part_of(vma: &Vma, range: &Range<u64>) -> Range<u64> {
    vma.range().start.max(range.start)..vma.range().end.min(range.end)
}

/// Ends it for a range.
#[inline(never)]
pub(crate) fn unregister(m: &Machine, mm: &Arc<Mm>, ctx: &Arc<Userfaultfd>, range: &Range<u64>) {
    let _scope = sched::scope("userfaultfd_unregister");
    {
        let _mmap = mm.mmap_write_lock();
        let is_ours = |vma: &Arc<Vma>| vma.uffd().is_some_and(|other| Arc::ptr_eq(&other, ctx));
        for vma in mm.find_all(range).into_iter().filter(|vma| is_ours(vma) && is_suitable(vma, range)) {
            if vma.flags().uffd_wp {
                // Only what protects needs memory.
                let _done = uffd_wp_range(m, mm, &vma, &part_of(&vma, range), false);
            }
            set_ctx(m, mm, &vma, range, None, Modes { missing: false, wp: false });
        }
    }
    ctx.wake(range);
}

/// Ends it altogether (`userfaultfd_release`).
#[inline(never)]
pub(crate) fn release(m: &Machine, mm: &Arc<Mm>, ctx: &Arc<Userfaultfd>) {
    let _scope = sched::scope("userfaultfd_release");
    ctx.close();
    unregister(m, mm, ctx, &(0..u64::MAX / 2));
}

fn set_ctx(
    m: &Machine,
    mm: &Arc<Mm>,
    vma: &Arc<Vma>,
    range: &Range<u64>,
    ctx: Option<&Arc<Userfaultfd>>,
    modes: Modes,
) {
    let part = part_of(vma, range);
    if part.is_empty() {
        return;
    }
    let part = modify::cut_out(m, mm, vma, &part);
    part.vma_start_write(mm);
    part.set_flags(VmFlags { uffd_missing: modes.missing, uffd_wp: modes.wp, ..part.flags() });
    part.set_uffd(ctx.cloned());
    if part.flags().wants_own_tables() {
        hugetlb::uffd_wp::hugetlb_unshare_all_pmds(m, mm, &part);
    }
    crate::op::vma::merge::vma_merge(m, mm, &part);
}

/// Says to the userfaultfds of some VMAs that their mappings change, until the result is dropped. The caller has the mmap
/// lock in write mode.
#[inline(never)]
pub(crate) fn begin_change(vmas: &[Arc<Vma>]) -> Vec<MapChange> {
    let mut all: Vec<Arc<Userfaultfd>> = Vec::new();
    for ctx in vmas.iter().filter_map(|vma| vma.uffd()) {
        if !all.iter().any(|other| Arc::ptr_eq(other, &ctx)) {
            all.push(ctx);
        }
    }
    all.iter().map(|ctx| ctx.begin_change()).collect()
}
