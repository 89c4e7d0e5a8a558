//! `vma_merge`: neighbours that are of one sort become one VMA.
//!
//! Lock order: `mmap_lock (write) -> vma_lock (marks of both)`, `-> fs_reclaim` and `-> anon_vma->rwsem` if one of them gets
//! the other's links, `vma_prepare`, and once that is complete `-> anon_vma->rwsem` to unlink the one that is gone.

use std::{ops::Range, sync::Arc};

use super::vma_prepare;
use crate::{
    machine::Machine,
    mem::{AnonVma, Inode, Mm, PAGE_SIZE, VmFlags, Vma},
    op::anon_vma,
    sched,
};

/// Joins a VMA with the neighbours that are of the same sort. Returns the one that is left.
#[inline(never)]
pub(crate) fn vma_merge(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>) -> Arc<Vma> {
    let range = vma.range();
    let before = range.start.checked_sub(1).and_then(|addr| mm.find(addr)).filter(|before| can_merge(before, vma));
    let first = before.map_or_else(
        || vma.clone(),
        |before| {
            swallow(m, mm, &before, vma);
            before
        },
    );
    if let Some(next) = mm.find(range.end).filter(|next| can_merge(&first, next)) {
        swallow(m, mm, &first, &next);
    }
    first
}

/// Lets the VMA that ends where `range` starts, or starts where it ends, cover the range too, if one of them is of this
/// sort (`vma_expand`). Returns it. Nothing is mapped in the range.
#[inline(never)]
pub(crate) fn vma_expand(
    m: &Machine,
    mm: &Arc<Mm>,
    range: &Range<u64>,
    pgoff: u64,
    flags: VmFlags,
    file: Option<&Arc<Inode>>,
) -> Option<Arc<Vma>> {
    let is_plain = |vma: &Vma| vma.policy().is_none() && vma.uffd().is_none();
    let is_alike = |vma: &Arc<Vma>| vma.flags() == flags && is_plain(vma) && same_file(vma.file.as_ref(), file);
    let pages = (range.end - range.start) / PAGE_SIZE;
    let before = range.start.checked_sub(1).and_then(|addr| mm.find(addr));
    if let Some(before) = before.filter(|before| is_alike(before) && before.pgoffs().end == pgoff) {
        set_borders(mm, &before, before.range().start..range.end, before.pgoffs().start);
        return Some(vma_merge(m, mm, &before));
    }
    let after = mm.find(range.end).filter(|after| is_alike(after) && after.pgoffs().start == pgoff + pages)?;
    set_borders(mm, &after, range.start..after.range().end, pgoff);
    Some(after)
}

/// Lets the VMA in front of `range` cover it too, for pages that are about to be moved there from a VMA of the same sort.
/// Returns it. Nothing is mapped in the range.
///
/// Both must be linked into the same anon_vma. Untouched anonymous memory is of no offset yet, and is not joined.
#[inline(never)]
pub(crate) fn vma_expand_for_move(
    m: &Machine,
    mm: &Arc<Mm>,
    vma: &Arc<Vma>,
    range: &Range<u64>,
    pgoff: u64,
) -> Option<Arc<Vma>> {
    let before = range.start.checked_sub(1).and_then(|addr| mm.find(addr))?;
    let is_touched = vma.file.is_some() || vma.anon_vma.lock().is_some();
    let fits = before.id != vma.id
        && !vma.is_hugetlb()
        && before.range().end == range.start
        && before.pgoffs().end == pgoff
        && before.flags() == vma.flags()
        && same_file(before.file.as_ref(), vma.file.as_ref())
        && [&before, vma].into_iter().all(|vma| vma.policy().is_none() && vma.uffd().is_none())
        && (vma.anon_vma.lock().is_none() || before.anon_vma.lock().is_some())
        && have_mergeable_anon_vmas(&before, vma);
    (is_touched && fits).then(|| {
        set_borders(mm, &before, before.range().start..range.end, before.pgoffs().start);
        vma_merge(m, mm, &before)
    })
}

/// Moves the borders of one VMA, into free addresses or out of its own.
#[inline(never)]
pub(crate) fn set_borders(mm: &Arc<Mm>, vma: &Arc<Vma>, range: Range<u64>, pgoff: u64) {
    let _scope = sched::scope("vma_expand");
    vma.vma_start_write(mm);
    let prepared = vma_prepare(vma, None);
    if range.start != vma.range().start {
        mm.remove(vma);
    }
    vma.set_range(range, pgoff);
    mm.insert(vma);
    prepared.complete();
}

/// Lets a VMA have the addresses of the one behind it, which is gone then.
#[inline(never)]
fn swallow(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, gone: &Arc<Vma>) {
    let _scope = sched::scope("vma_merge");
    vma.vma_start_write(mm);
    gone.vma_start_write(mm);
    if vma.anon_vma.lock().is_none() {
        anon_vma::clone_chain(m, gone, vma);
    }
    let prepared = vma_prepare(vma, None);
    mm.remove(gone);
    gone.mark_detached(mm);
    vma.set_range(vma.range().start..gone.range().end, vma.pgoffs().start);
    prepared.unlink_file(gone);
    prepared.complete();
    anon_vma::unlink_anon_vmas(gone);
    gone.replace_policy(None);
}

/// Returns whether two neighbours, in this order, may become one.
fn can_merge(vma: &Arc<Vma>, next: &Arc<Vma>) -> bool {
    vma.id != next.id
        && !vma.is_hugetlb()
        && vma.range().end == next.range().start
        && vma.flags() == next.flags()
        && same_file(vma.file.as_ref(), next.file.as_ref())
        && vma.pgoffs().end == next.pgoffs().start
        && vma.policy().map(|policy| policy.node) == next.policy().map(|policy| policy.node)
        && have_mergeable_anon_vmas(vma, next)
        && same_uffd(vma, next)
}

fn same_uffd(vma: &Vma, next: &Vma) -> bool {
    match (vma.uffd(), next.uffd()) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(&one, &other),
        _ => false,
    }
}

fn same_file(one: Option<&Arc<Inode>>, other: Option<&Arc<Inode>>) -> bool {
    one.map(|file| file.id) == other.map(|file| file.id)
}

/// Returns whether one of two VMAs can stand for both in the reverse map of anonymous memory. A chain of more than one link
/// comes from a fork, and who gets it would have to take part in that family.
pub(crate) fn have_mergeable_anon_vmas(vma: &Vma, next: &Vma) -> bool {
    let is_plain = |vma: &Vma| vma.anon_vma_chain.lock().len() == 1;
    let of = |vma: &Vma| -> Option<Arc<AnonVma>> { vma.anon_vma.lock().clone() };
    match (of(vma), of(next)) {
        (None, None) => true,
        (Some(_), None) => is_plain(vma),
        (None, Some(_)) => is_plain(next),
        (Some(one), Some(other)) => Arc::ptr_eq(&one, &other),
    }
}
