//! Linking VMAs into the reverse map of anonymous memory.
//!
//! Lock order: `mmap_lock -> fs_reclaim`, then `-> anon_vma->rwsem (write) -> page_table_lock`. Nothing is allocated
//! under the anon_vma lock.

use std::sync::Arc;

use super::vm_fault::{Outcome, VmFault};
use crate::{
    Bug, Invariant,
    machine::Machine,
    mem::{AnonVma, Mm, VmFlags, Vma},
    sched,
};

/// Sees to it that the VMA of a fault has an anon_vma.
#[inline(never)]
pub(crate) fn vmf_anon_prepare(m: &Machine, fault: &VmFault<'_>) -> Result<(), Outcome> {
    anon_prepare(m, fault.mm, &fault.vma, fault.under_vma_lock)
}

/// The same for any VMA. A fault under the VMA lock may only try the mmap lock for that.
pub(crate) fn anon_prepare(m: &Machine, mm: &Mm, vma: &Arc<Vma>, under_vma_lock: bool) -> Result<(), Outcome> {
    let has_one = || vma.anon_vma.lock().is_some();
    if has_one() {
        return Ok(());
    }
    if !under_vma_lock || m.protocol.has(Bug::AnonVmaCheckedEarly) {
        anon_vma_prepare(m, mm, vma);
        return Ok(());
    }
    let allowed = m.protocol.anon_vma_under_vma_lock;
    let Some(_mmap) = allowed.then(|| mm.mmap_lock.try_read()).flatten() else { return Err(Outcome::Retry) };
    anon_vma_prepare(m, mm, vma);
    Ok(())
}

/// Gives the VMA an anon_vma, under the mmap lock.
#[inline(never)]
pub(crate) fn anon_vma_prepare(m: &Machine, mm: &Mm, vma: &Arc<Vma>) {
    if !mm.mmap_lock.is_mine() {
        let text = format!("vma {} gets an anon_vma without the mmap lock", vma.id);
        sched::finding(Invariant::AnonVmaUnprotected, text);
    }
    m.might_reclaim(); // anon_vma_chain_alloc()
    let anon_vma = find_mergeable_anon_vma(mm, vma).unwrap_or_else(|| {
        m.might_reclaim(); // anon_vma_alloc()
        AnonVma::root(m.new_id())
    });
    let _rwsem = anon_vma.rwsem().write();
    let _page_table_lock = mm.page_table_lock.lock();
    let mut mine = vma.anon_vma.lock();
    if mine.is_none() {
        link(vma, &anon_vma);
        let holds = mm.page_table_lock.is_mine();
        sched::must_hold(holds, || format!("vma {} gets an anon_vma without page_table_lock", vma.id));
        *mine = Some(anon_vma.clone());
    }
}

/// Returns the anon_vma of a neighbour that might become one VMA with this one, if only their rights become the same.
fn find_mergeable_anon_vma(mm: &Mm, vma: &Vma) -> Option<Arc<AnonVma>> {
    let range = vma.range();
    let reusable = |other: &Arc<Vma>, is_before: bool| {
        let (first, second) = if is_before { (&**other, vma) } else { (vma, &**other) };
        let (mine, theirs) = (vma.flags(), other.flags());
        let is_alike = VmFlags { read: mine.read, write: mine.write, ..theirs } == mine;
        let follows = first.range().end == second.range().start && first.pgoffs().end == second.pgoffs().start;
        let same_file = vma.file.as_ref().map(|file| file.id) == other.file.as_ref().map(|file| file.id);
        let own = other.anon_vma.lock().clone();
        own.filter(|_| is_alike && follows && same_file && other.anon_vma_chain.lock().len() == 1)
    };
    let before = range.start.checked_sub(1).and_then(|addr| mm.find(addr));
    mm.find(range.end).and_then(|next| reusable(&next, false)).or_else(|| before.and_then(|vma| reusable(&vma, true)))
}

/// Links a VMA into an anon_vma. The caller holds its lock.
fn link(vma: &Arc<Vma>, anon_vma: &Arc<AnonVma>) {
    anon_vma.vmas.lock().insert(vma);
    vma.anon_vma_chain.lock().push(anon_vma.clone());
}

/// Links `to` wherever `from` is linked.
#[inline(never)]
pub(crate) fn clone_chain(m: &Machine, from: &Vma, to: &Arc<Vma>) {
    let chain = from.anon_vma_chain.lock().clone();
    let Some(first) = chain.first() else { return };
    m.might_reclaim(); // anon_vma_chain_alloc()
    let _rwsem = first.rwsem().write();
    chain.iter().for_each(|anon_vma| link(to, anon_vma));
    *to.anon_vma.lock() = from.anon_vma.lock().clone();
}

/// Links a child's VMA wherever the parent's is linked, and gives it an anon_vma of its own.
#[inline(never)]
pub(crate) fn anon_vma_fork(m: &Machine, parent: &Vma, child: &Arc<Vma>) {
    let Some(of_parent) = parent.anon_vma.lock().clone() else { return };
    clone_chain(m, parent, child);
    m.might_reclaim(); // anon_vma_alloc()
    let own = AnonVma::child(m.new_id(), &of_parent);
    let _rwsem = own.rwsem().write();
    link(child, &own);
    *child.anon_vma.lock() = Some(own.clone());
}

/// Takes a VMA out of all its anon_vmas.
#[inline(never)]
pub(crate) fn unlink_anon_vmas(vma: &Vma) {
    let chain = vma.anon_vma_chain.lock().clone();
    let Some(first) = chain.first() else { return };
    let _rwsem = first.rwsem().write();
    chain.iter().for_each(|anon_vma| {
        anon_vma.vmas.lock().remove(vma);
    });
    vma.anon_vma_chain.lock().clear();
    *vma.anon_vma.lock() = None;
}
