//! `mremap`: moves a mapping and its pages to another place.
//!
//! Lock order: `mmap_lock (write)`, `munmap` of what is at the new place, `-> vma_lock (mark of the old VMA)`, `-> fs_reclaim` and
//! `-> vma_lock (mark) -> i_mmap_rwsem` for the new one, or `vma_expand` of the one in front of the new place; then
//! `move_page_tables`.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{anon_vma, hugetlb, mmap, move_page_tables::move_page_tables, munmap, userfaultfd, vma::merge};
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE, PMD_SIZE, VmFlags, Vma},
    sched,
};

/// What becomes of the old place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Nothing is mapped there any more.
    Nothing,
    /// The mapping stays, empty (`MREMAP_DONTUNMAP`; anonymous memory only).
    Empty,
}

/// Moves what is mapped at `old` to `to`, where nothing else is mapped afterwards (`MREMAP_FIXED`), or to a free place.
/// Returns the new address, or `None` if `old` is not within one mapping that may be moved so.
#[inline(never)]
pub(crate) fn mremap(m: &Machine, mm: &Arc<Mm>, old: Range<u64>, to: Option<u64>, leave: Leave) -> Option<u64> {
    let _scope = sched::scope("mremap");
    let _mmap = mm.mmap_write_lock();
    let find = || mm.find(old.start).filter(|vma| old.start < old.end && old.end <= vma.range().end);
    let mut changing: Vec<_> = find().into_iter().collect();
    let new = to.map(|to| to..to + (old.end - old.start));
    if let Some(new) = &new {
        let overlaps = new.start < old.end && old.start < new.end;
        if overlaps || changing.iter().any(|vma| vma.is_hugetlb()) {
            return None;
        }
        changing.extend(mm.find_all(new));
    }
    let _changing = userfaultfd::register::begin_change(&changing);
    new.into_iter().for_each(|new| munmap::do_munmap(m, mm, new));
    // What was cut off of it has changed it.
    let vma = find()?;
    if leave == Leave::Empty && (vma.file.is_some() || vma.range() != old) {
        return None;
    }
    if vma.is_hugetlb() && (leave == Leave::Empty || vma.range() != old) {
        // The promises of a private mapping go along with it, all or none.
        return None;
    }
    move_vma(m, mm, &vma, old, to, leave)
}

#[inline(never)]
fn move_vma(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, old: Range<u64>, to: Option<u64>, leave: Leave) -> Option<u64> {
    vma.vma_start_write(mm);
    let pages = old.start / PAGE_SIZE..old.end / PAGE_SIZE;
    let start = to.unwrap_or_else(|| free_place(mm, vma, &old));
    let new = start..start + (old.end - old.start);
    m.model.begin_relocate(mm.id, pages.clone(), new.start / PAGE_SIZE);
    let (copy, need_rmap_locks) = copy_vma(m, mm, vma, &old, &new);
    let moved = move_page_tables(m, mm, (vma, old.clone()), (&copy, new.start), need_rmap_locks);
    hugetlb::mmap::clear_vma_resv(if moved.is_ok() { vma } else { &copy });
    if moved.is_err() {
        // What has been moved goes back; that needs no new table. Walks go the other way now, and could miss it.
        let _moved = move_page_tables(m, mm, (&copy, new.clone()), (vma, old.start), true);
        m.model.cancel_relocate(mm.id, pages.clone(), new.start / PAGE_SIZE);
        munmap::do_munmap(m, mm, new);
        m.model.settle(mm.id, pages);
        return None;
    }
    m.model.relocate(mm.id, pages, new.start / PAGE_SIZE, leave == Leave::Empty);
    hugetlb::mmap::linger(m, mm, vma);
    m.stats.moves.add(1);
    match leave {
        Leave::Nothing => munmap::do_munmap(m, mm, old),
        Leave::Empty => leave_empty(mm, vma),
    }
    Some(new.start)
}

/// What is left of a VMA when its pages have gone elsewhere.
fn leave_empty(mm: &Mm, vma: &Arc<Vma>) {
    if vma.flags().locked {
        mm.account_locked(-(vma.pages() as i64));
        vma.set_flags(VmFlags { locked: false, ..vma.flags() });
    }
    anon_vma::unlink_anon_vmas(vma);
}

/// Returns where a mapping may be moved to, with as much of its tables as can be.
fn free_place(mm: &Mm, vma: &Vma, old: &Range<u64>) -> u64 {
    match vma.is_hugetlb() {
        true => mmap::get_unmapped_area_hugetlb(mm, old.end - old.start),
        false => mmap::get_unmapped_area(mm) + old.start % PMD_SIZE,
    }
}

/// Makes a VMA like the part `old` of another one at a free place, or has the one in front of the place cover it. Returns it,
/// and whether walks of the reverse map come by there before they come by the old place.
#[inline(never)]
fn copy_vma(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, old: &Range<u64>, new: &Range<u64>) -> (Arc<Vma>, bool) {
    // Anonymous memory that nobody has touched yet is as good as new.
    let untouched = vma.file.is_none() && vma.anon_vma.lock().is_none();
    let pgoff = if untouched { new.start / PAGE_SIZE } else { vma.pgoff_of(old.start) };
    let joined = merge::vma_expand_for_move(m, mm, vma, new, pgoff);
    if let Some(joined) = joined {
        account_copy(mm, vma, new);
        let need_rmap_locks = joined.pgoffs().start <= vma.pgoffs().start;
        m.stats.moves_joined.add(u64::from(need_rmap_locks));
        return (joined, need_rmap_locks);
    }
    m.might_reclaim(); // vm_area_dup()
    let copy = vma.like(m.new_id(), mm, new.clone(), pgoff);
    anon_vma::clone_chain(m, vma, &copy);
    hugetlb::mmap::hugetlb_vm_op_open(m, vma, &copy);
    copy.vma_start_write(mm);
    if let Some(file) = &copy.file {
        let _i_mmap = file.mapping.i_mmap_rwsem.write();
        file.mapping.i_mmap.lock().insert(&copy);
        copy.is_file_linked.store(true, Relaxed);
    }
    account_copy(mm, vma, new);
    mm.insert(&copy);
    (copy, false)
}

fn account_copy(mm: &Mm, vma: &Vma, new: &Range<u64>) {
    if vma.flags().locked {
        mm.account_locked(((new.end - new.start) / PAGE_SIZE) as i64);
    }
}
