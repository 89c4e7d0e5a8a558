//! `mremap`: moves a mapping and its pages to another place.
//!
//! Lock order: `mmap_lock (write) -> fs_reclaim` for the new VMA, `-> vma_lock (marks of both)`, `-> i_mmap_rwsem`;
//! then `move_page_tables`.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{anon_vma, hugetlb, mmap, move_page_tables::move_page_tables, munmap, userfaultfd};
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE, VmFlags, Vma},
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

/// Moves what is mapped at `old` to a free place. Returns the new address, or `None` if `old` is not within one mapping
/// that may be moved so.
#[inline(never)]
pub(crate) fn mremap(m: &Machine, mm: &Arc<Mm>, old: Range<u64>, leave: Leave) -> Option<u64> {
    let _scope = sched::scope("mremap");
    let _mmap = mm.mmap_write_lock();
    let vma = mm.find(old.start).filter(|vma| old.start < old.end && old.end <= vma.range().end)?;
    if leave == Leave::Empty && (vma.file.is_some() || vma.range() != old) {
        return None;
    }
    if vma.is_hugetlb() && (leave == Leave::Empty || vma.range() != old) {
        // The promises of a private mapping go along with it, all or none.
        return None;
    }
    move_vma(m, mm, &vma, old, leave)
}

#[inline(never)]
fn move_vma(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, old: Range<u64>, leave: Leave) -> Option<u64> {
    let _changing = userfaultfd::register::begin_change(std::slice::from_ref(vma));
    vma.vma_start_write(mm);
    let pages = old.start / PAGE_SIZE..old.end / PAGE_SIZE;
    m.model.unsettle(mm.id, pages.clone());
    let copy = copy_vma(m, mm, vma, &old);
    let new = copy.range();
    let moved = move_page_tables(m, mm, (vma, old.clone()), (&copy, new.start));
    hugetlb::mmap::clear_vma_resv(if moved.is_ok() { vma } else { &copy });
    if moved.is_err() {
        // What has been moved goes back; that needs no new table.
        let _moved = move_page_tables(m, mm, (&copy, new.clone()), (vma, old.start));
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

/// Makes a VMA like the part `old` of another one, at a free place.
#[inline(never)]
fn copy_vma(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, old: &Range<u64>) -> Arc<Vma> {
    m.might_reclaim(); // vm_area_dup()
    let start = match vma.is_hugetlb() {
        true => mmap::get_unmapped_area_hugetlb(mm, old.end - old.start),
        false => mmap::get_unmapped_area(mm) + old.start % crate::mem::PMD_SIZE,
    };
    // Anonymous memory that nobody has touched yet is as good as new.
    let untouched = vma.file.is_none() && vma.anon_vma.lock().is_none();
    let pgoff = if untouched { start / PAGE_SIZE } else { vma.pgoff_of(old.start) };
    let copy = vma.like(m.new_id(), mm, start..start + (old.end - old.start), pgoff);
    anon_vma::clone_chain(m, vma, &copy);
    hugetlb::mmap::hugetlb_vm_op_open(m, vma, &copy);
    copy.vma_start_write(mm);
    if let Some(file) = &copy.file {
        let _i_mmap = file.mapping.i_mmap_rwsem.write();
        file.mapping.i_mmap.lock().insert(&copy);
        copy.is_file_linked.store(true, Relaxed);
    }
    if copy.flags().locked {
        mm.account_locked(copy.pages() as i64);
    }
    mm.insert(&copy);
    copy
}
