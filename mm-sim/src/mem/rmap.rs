//! From a folio to the VMAs that may map it, and to the entries that do.

use std::{ops::Range, sync::Arc};

use super::{Folio, Place, Vma};
use crate::{
    sched,
    sync::{ReadGuard, RwSem},
};

/// Calls `visit` for each VMA that may map the folio, with the addresses. `None` if the lock was not to be had.
pub(crate) fn rmap_walk(folio: &Folio, wait: bool, visit: &mut dyn FnMut(&Arc<Vma>, Range<u64>)) -> Option<()> {
    rmap_walk_trees(folio, wait, &mut |vmas, pgoffs| vmas.iter().for_each(|vma| visit(vma, vma.addrs_of(pgoffs))))
}

/// What is done with the VMAs of a tree that may map the page offsets.
type Visit<'a> = &'a mut dyn FnMut(&[Arc<Vma>], &Range<u64>);

/// Calls `visit` under the lock of each tree that has VMAs which may map the folio, with those and the page offsets: for all
/// but a page of KSM there is one tree. `None` if a lock was not to be had.
pub(crate) fn rmap_walk_trees(folio: &Folio, wait: bool, visit: Visit<'_>) -> Option<()> {
    let take = |rwsem: &RwSem| -> Option<ReadGuard> { if wait { Some(rwsem.read()) } else { rwsem.try_read() } };
    match &folio.place()? {
        Place::File(mapping, index) => {
            let pgoffs = *index..*index + folio.pages();
            let _i_mmap = take(&mapping.i_mmap_rwsem)?;
            let vmas = mapping.i_mmap.lock().overlapping(pgoffs.clone());
            visit(&vmas, &pgoffs);
        }
        Place::Anon(anon_vma, index) => {
            let pgoffs = *index..*index + folio.pages();
            let _rwsem = take(anon_vma.rwsem())?;
            let vmas = anon_vma.vmas.lock().overlapping(pgoffs.clone());
            visit(&vmas, &pgoffs);
        }
        Place::Ksm(stable) => {
            for (anon_vma, index) in stable.places() {
                let pgoffs = index..index + 1;
                let _rwsem = take(anon_vma.rwsem())?;
                let vmas = anon_vma.vmas.lock().overlapping(pgoffs.clone());
                visit(&vmas, &pgoffs);
            }
        }
    }
    Some(())
}

/// As [`rmap_walk`], for who has the lock already, in either mode: that of the file, or of the `anon_vma`.
pub(crate) fn rmap_walk_locked(folio: &Folio, visit: &mut dyn FnMut(&Arc<Vma>, Range<u64>)) {
    let (holds, index, vmas) = match folio.place() {
        Some(Place::File(mapping, index)) => {
            let vmas = mapping.i_mmap.lock().overlapping(index..index + folio.pages());
            (mapping.i_mmap_rwsem.is_mine(), index, vmas)
        }
        Some(Place::Anon(anon_vma, index)) => {
            let vmas = anon_vma.vmas.lock().overlapping(index..index + folio.pages());
            (anon_vma.rwsem().is_mine(), index, vmas)
        }
        // Pages that KSM shares have a lock each that maps them.
        Some(Place::Ksm(_)) | None => return,
    };
    sched::must_hold(holds, || format!("who maps folio {} is looked for without the lock", folio.pfn));
    for vma in vmas {
        visit(&vma, vma.addrs_of(&(index..index + folio.pages())));
    }
}

/// Returns whether a VMA that may map the folio is locked in memory. Waits for the lock.
pub(crate) fn is_locked_elsewhere(folio: &Folio) -> bool {
    let mut locked = false;
    rmap_walk(folio, true, &mut |vma, _| locked |= vma.flags().locked);
    locked
}

/// Returns whether an entry that leads to `pfn` maps the folio.
pub(crate) fn maps(folio: &Folio, pfn: Option<u64>) -> bool {
    pfn.is_some_and(|pfn| folio.has_page(pfn))
}
