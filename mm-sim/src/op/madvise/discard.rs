//! `MADV_DONTNEED` and `MADV_FREE`: what a range holds is not needed any more.
//!
//! Lock order: `mmap_lock (read) -> pte_lock`, for `FREE` `-> folio_lock (trylock)`, `-> lru_lock`. `DONTNEED` empties the entries, and the next touch finds zeros or the file.
//! `FREE` only makes the entries clean: reclaim may drop such a page, until a store makes it dirty again.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::walk_vmas;
use crate::{
    machine::Machine,
    mem::{FolioKind, Mm, PAGE_SIZE, Vma},
    op::{gather::Gather, huge_pmd, hugetlb, mmu_notifier, zap},
};

/// Throws away.
#[inline(never)]
pub(super) fn dontneed(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let _mmap = mm.mmap_lock.read();
    walk_vmas(mm, range, |vma, part| {
        let flags = vma.flags();
        if vma.is_hugetlb() {
            hugetlb::unmap::discard(m, mm, vma, &part);
        } else if !flags.locked {
            zap_page_range(m, mm, vma, part);
        }
    })
}

#[inline(never)]
fn zap_page_range(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>) {
    let pages = range.start / PAGE_SIZE..range.end / PAGE_SIZE;
    m.model.begin_discard(mm.id, pages.clone());
    let mut gather = Gather::default();
    zap::unmap_single_vma(m, mm, vma, range, &mut gather);
    gather.finish(m);
    m.model.end_discard(mm.id, pages);
}

/// Lets reclaim throw away.
#[inline(never)]
pub(super) fn free(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let _mmap = mm.mmap_lock.read();
    walk_vmas(mm, range, |vma, part| {
        let flags = vma.flags();
        if vma.file.is_none() && !flags.locked && !vma.is_hugetlb() {
            free_single_vma(m, mm, vma, &part);
        }
    })
}

#[inline(never)]
fn free_single_vma(m: &Machine, mm: &Mm, vma: &Vma, range: &Range<u64>) {
    huge_pmd::split_edges(m, mm, vma, range);
    let _told = mmu_notifier::invalidate_range_start(m, mm, range);
    let pages = range.start / PAGE_SIZE..range.end / PAGE_SIZE;
    m.model.discard_lazily(mm.id, pages.clone());
    mm.walk(m, vma, range.clone(), &mut |slot, addr, entry| {
        let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return };
        // One that somebody else has too is theirs to keep, and one that is being swapped out is on its way anyway.
        if folio.kind != FolioKind::Anon || folio.maps() > 1 || folio.is_huge() {
            return;
        }
        let Some(_locked) = folio.lock.try_lock() else { return };
        folio.check_locked("given up lazily");
        if folio.swap().is_some() {
            return;
        }
        slot.update(|entry| entry.clean().young(false));
        let page = addr / PAGE_SIZE;
        m.tlb.flush(mm.id, page..page + 1);
        folio.dirty.store(false, Relaxed);
        m.lru.set_lazyfree(&folio);
    });
}
