//! `split_vma`: one VMA becomes two.
//!
//! Lock order: `mmap_lock (write) -> fs_reclaim` and `-> anon_vma->rwsem` for the new VMA and its links, then
//! `-> vma_lock (marks of both)`, and `vma_prepare`.

use std::sync::Arc;

use super::vma_prepare;
use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, Vma},
    op::{anon_vma, huge_pmd, hugetlb},
    sched,
};

/// Cuts a VMA in two at `addr`, which is inside of it. Returns the new one, from `addr` on.
#[inline(never)]
pub(crate) fn split_vma(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64) -> Arc<Vma> {
    let _scope = sched::scope("split_vma");
    m.might_reclaim(); // vm_area_dup()
    let (range, pgoff) = (vma.range(), vma.pgoffs().start);
    let tail = vma.like(m.new_id(), mm, addr..range.end, vma.pgoff_of(addr));
    hugetlb::mmap::hugetlb_vm_op_split(m, mm, vma, addr);
    anon_vma::clone_chain(m, vma, &tail);
    hugetlb::mmap::hugetlb_vm_op_open(m, vma, &tail);
    vma.vma_start_write(mm);
    tail.vma_start_write(mm);
    let prepared = vma_prepare(vma, None);
    huge_pmd::vma_adjust_trans_huge(m, mm, vma, addr);
    if !m.protocol.has(Bug::UnsharedBeforeSplit) {
        hugetlb::mmap::hugetlb_split(m, mm, vma, addr);
    }
    vma.set_range(range.start..addr, pgoff);
    hugetlb::share::check_covered(m, mm, vma, addr);
    prepared.link_file(&tail);
    mm.insert(&tail);
    prepared.complete();
    tail
}

/// Cuts the VMA that `addr` is inside of, if there is one.
pub(crate) fn split_at(m: &Machine, mm: &Arc<Mm>, addr: u64) {
    if let Some(vma) = mm.find(addr).filter(|vma| vma.range().start < addr) {
        split_vma(m, mm, &vma, addr);
    }
}
