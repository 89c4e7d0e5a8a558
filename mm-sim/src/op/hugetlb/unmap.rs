//! Taking pages of hugetlbfs out of page tables: `munmap`, `exit`, `madvise(MADV_DONTNEED)`, and on behalf of the file.
//!
//! Lock order: `mmu_notifier_invalidate_range_start`, or under the next ones; `hugetlb vma_lock or resv_map->rw_sema (write) -> i_mmap_rwsem (write) -> pmd_lock`, then
//! `-> resv_map->lock` for a page that is promised again, and `-> hugetlb_lock` when the pages are freed.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    reserve,
    share::{check_entry_locked, for_each_entry, widen},
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Absent, Entry, Folio, FolioKind, HugetlbVmaGuard, Mm, PAGE_SIZE, PMD_SIZE, Place, Vma},
    op::{gather::Gather, mmu_notifier},
    protocol::HugetlbLocking,
    sched,
    sync::WriteGuard,
};

/// Which entries of a range are emptied.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    All,
    /// The same, but user code that wants to be told of writes still does: a mark stays.
    Content,
    /// Those that map this folio; marks stay.
    Folio(&'a Folio),
    /// The same, and the mapping is not given another one: it was promised none.
    Rob(&'a Folio),
    /// The same, because it is broken: whoever comes later is to know that.
    Poison(&'a Folio),
}

impl Wanted<'_> {
    fn wants(self, folio: &Folio) -> bool {
        match self {
            Self::All | Self::Content => true,
            Self::Folio(only) | Self::Rob(only) | Self::Poison(only) => only.pfn == folio.pfn,
        }
    }
}

/// What keeps everybody else from the page tables of a VMA.
pub(crate) struct Locked {
    // Dropped in this order.
    i_mmap: Option<WriteGuard>,
    vma: HugetlbVmaGuard,
}

/// Locks the page tables of a VMA (`hugetlb_zap_begin`).
#[inline(never)]
pub(crate) fn lock_tables(m: &Machine, vma: &Arc<Vma>) -> Locked {
    let i_mmap = || vma.file.as_ref().map(|file| file.mapping.i_mmap_rwsem.write());
    if m.protocol.has(Bug::HugetlbZapReversed) {
        let i_mmap = i_mmap();
        return Locked { i_mmap, vma: vma.hugetlb_vma_lock_write(&m.protocol) };
    }
    let vma = vma.hugetlb_vma_lock_write(&m.protocol);
    Locked { i_mmap: i_mmap(), vma }
}

/// Empties the entries of a range of a VMA that ends: nobody will fault in it again, and it has no lock afterwards
/// (`unmap_hugepage_range_final`).
#[inline(never)]
pub(crate) fn zap_final(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>, gather: &mut Gather) {
    let _told = mmu_notifier::invalidate_range_start(m, mm, &widen(vma, range.clone()));
    let Locked { i_mmap, vma: lock } = lock_tables(m, vma);
    unmap_hugepage_range(m, mm, vma, range, Wanted::All, gather);
    lock.unlock_and_free();
    drop(i_mmap);
}

/// Gives up the pages of a part of a mapping (`MADV_DONTNEED`): only whole huge pages. The caller has the mmap lock.
#[inline(never)]
pub(crate) fn discard(m: &Machine, mm: &Mm, vma: &Arc<Vma>, part: &Range<u64>) {
    let part = part.start.next_multiple_of(PMD_SIZE)..part.end / PMD_SIZE * PMD_SIZE;
    if part.start < part.end {
        let pages = part.start / PAGE_SIZE..part.end / PAGE_SIZE;
        m.model.unsettle(mm.id, pages.clone());
        zap_page_range(m, mm, vma, part);
        m.model.blur(mm.id, pages.clone());
        m.model.settle(mm.id, pages);
    }
}

/// Empties the entries of a range; the mapping stays (`MADV_DONTNEED`).
#[inline(never)]
fn zap_page_range(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>) {
    let mut gather = Gather::default();
    if m.protocol.has(Bug::DontneedFreesHugetlbLock) {
        zap_final(m, mm, vma, widen(vma, range), &mut gather);
        return gather.finish(m);
    }
    let _locked = lock_tables(m, vma);
    let range = widen(vma, range);
    let _told = mmu_notifier::invalidate_range_start(m, mm, &range);
    unmap_hugepage_range(m, mm, vma, range, Wanted::Content, &mut gather);
    // What is promised again must be there again before anybody faults.
    gather.finish(m);
}

/// Empties entries of a range. The caller has locked the page tables.
#[inline(never)]
fn unmap_hugepage_range(
    m: &Machine,
    mm: &Mm,
    vma: &Arc<Vma>,
    range: Range<u64>,
    wanted: Wanted<'_>,
    gather: &mut Gather,
) {
    let _scope = sched::scope("unmap_hugepage_range");
    let range = range.start / PMD_SIZE * PMD_SIZE..range.end.next_multiple_of(PMD_SIZE);
    let mut promised_again = Vec::new();
    let unshared = for_each_entry(m, mm, vma, &range, &mut |slot, addr, entry| {
        let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else {
            let is_mark = entry.as_absent() == Some(Absent::Marker);
            if matches!(wanted, Wanted::All) || matches!(wanted, Wanted::Content) && !is_mark {
                // What was broken is nobody's any more.
                slot.store(Entry::NONE);
            }
            return;
        };
        if !wanted.wants(&folio) {
            return;
        }
        check_entry_locked(slot);
        if matches!(wanted, Wanted::Rob(_)) {
            vma.hugetlb.was_robbed.store(true, Relaxed);
        }
        gather.take_hugetlb(mm, slot, addr, &folio);
        match wanted {
            Wanted::Poison(_) => {
                slot.store(Entry::hwpoison(folio.pfn));
            }
            Wanted::Content | Wanted::Folio(_) if entry.is_uffd_wp() => {
                slot.store(Entry::marker().uffd_wp(true));
            }
            _ => {}
        }
        if is_private(&folio) && m.protocol.hugetlb_locking == HugetlbLocking::EveryVma {
            promised_again.push((addr, folio));
        }
    });
    // Whoever has a shared table still may free its pages as soon as i_mmap is dropped.
    unshared.into_iter().for_each(|range| m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE));
    for (addr, folio) in promised_again {
        let index = reserve::index_of(vma, addr);
        if folio.refs() == 1 && !folio.is_broken.load(Relaxed) && reserve::restore_private(m, vma, index) {
            folio.is_promised.store(true, Relaxed);
        }
    }
}

/// The same for a caller who has looked for the mappings of a file, and flushes and frees at once.
#[inline(never)]
pub(crate) fn unmap_from_file(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>, wanted: Wanted<'_>) {
    let _told = mmu_notifier::invalidate_range_start(m, mm, &widen(vma, range.clone()));
    let mut gather = Gather::default();
    unmap_hugepage_range(m, mm, vma, range, wanted, &mut gather);
    gather.finish(m);
}

fn is_private(folio: &Folio) -> bool {
    folio.kind == FolioKind::Hugetlb && matches!(folio.place(), Some(Place::Anon(..)))
}
