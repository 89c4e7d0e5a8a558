//! `MADV_COLD`, `MADV_PAGEOUT` and `MADV_WILLNEED`: when a range will be used.
//!
//! Lock order: `mmap_lock (read) -> pte_lock` to make entries old, `-> lru_lock` to take the folios off their list; with only the
//! mmap lock left, reclaim frees them. To read ahead the mmap lock is dropped: `invalidate_lock (read) -> i_pages`.

use std::{ops::Range, sync::Arc};

use super::walk_vmas;
use crate::{
    machine::Machine,
    mem::{Folio, Mm, PAGE_SIZE, Vma},
    op::{collapse, reclaim},
};

/// Makes the pages old.
#[inline(never)]
pub(super) fn cold(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let _mmap = mm.mmap_lock.read();
    walk_vmas(mm, range, |vma, part| drop(cold_or_pageout(m, mm, vma, part, false)))
}

/// Gives the pages to reclaim.
#[inline(never)]
pub(super) fn pageout(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let _mmap = mm.mmap_lock.read();
    walk_vmas(mm, range, |vma, part| {
        let folios = cold_or_pageout(m, mm, vma, part, true);
        reclaim::reclaim_folios(m, folios);
    })
}

/// Makes the entries of a range old. Returns their folios, off the list that reclaim looks at, if they are to go.
#[inline(never)]
fn cold_or_pageout(m: &Machine, mm: &Mm, vma: &Vma, range: Range<u64>, pageout: bool) -> Vec<Arc<Folio>> {
    let mut isolated = Vec::new();
    let flags = vma.flags();
    if flags.locked || vma.is_hugetlb() {
        return isolated;
    }
    mm.walk(m, vma, range, &mut |slot, addr, entry| {
        let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return };
        slot.update(|entry| entry.young(false));
        let (page, pages) = (addr / PAGE_SIZE, slot.table.level.entry_size() / PAGE_SIZE);
        m.tlb.flush(mm.id, page..page + pages);
        if pageout && folio.maps() == 1 && folio.try_get() {
            if m.lru.remove(&folio) {
                isolated.push(folio);
            } else {
                m.put_folio(&folio, 1);
            }
        }
    });
    isolated
}

/// Reads the file ahead.
#[inline(never)]
pub(super) fn willneed(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let mut files = Vec::new();
    let whole = {
        let _mmap = mm.mmap_lock.read();
        walk_vmas(mm, range, |vma, part| {
            if let Some(file) = vma.file.as_ref().filter(|_| !vma.flags().hugetlb) {
                let first = vma.pgoff_of(part.start);
                files.push((file.clone(), first..first + (part.end - part.start) / PAGE_SIZE));
            }
        })
    };
    for (file, pages) in files {
        collapse::read_ahead(m, &file, pages);
    }
    whole
}
