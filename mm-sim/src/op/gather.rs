//! What an unmapping has taken out of the page tables and frees at its end (the kernel's `mmu_gather`).

use std::{ops::Range, sync::Arc, sync::atomic::Ordering::Relaxed};

use super::{dirty, mmu_notifier, swap};
use crate::{
    machine::Machine,
    mem::{Absent, ENTRIES, Entry, Folio, FolioKind, Level, Mm, PAGE_SIZE, PMD_SIZE, PageTable, Slot, Vma},
};

/// Folios and tables that wait for the flush.
#[derive(Default)]
pub(crate) struct Gather {
    /// Each with whether an entry for it was dirty.
    folios: Vec<(Arc<Folio>, bool)>,
    /// Huge pages that nobody can get a reference to any more.
    frozen: Vec<Arc<Folio>>,
    /// Process and pages that the TLBs may still have.
    flush: Vec<(u64, Range<u64>)>,
    pub(crate) tables: Vec<Arc<PageTable>>,
}

impl Gather {
    /// Empties the entries of a range whose folio `wants`, and keeps the folios. What is absent stays, but for pages that
    /// are being moved.
    pub(crate) fn zap(&mut self, m: &Machine, mm: &Mm, vma: &Vma, range: Range<u64>, wants: &dyn Fn(&Folio) -> bool) {
        let _told = mmu_notifier::invalidate_range_start(m, mm, &concerned(vma, &range));
        mm.walk(m, vma, range, &mut |slot, addr, entry| {
            if let Some(Absent::Migration(pfn)) = entry.as_absent() {
                if let Some(folio) = m.memory.folio(pfn).filter(|folio| wants(folio)) {
                    take_absent(m, mm, slot, entry);
                    self.take_deposit(mm, slot, &folio);
                }
            } else if let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)).filter(|f| wants(f)) {
                self.take(m, mm, slot, addr, &folio);
            }
        });
    }

    /// Empties all entries of a range: of pages that are there, and of those that are elsewhere. Returns whether it has left a
    /// huge page of anonymous memory that goes over its edges.
    pub(crate) fn zap_all(&mut self, m: &Machine, mm: &Mm, vma: &Vma, range: &Range<u64>) -> bool {
        let mut has_left = false;
        let _told = mmu_notifier::invalidate_range_start(m, mm, &concerned(vma, range));
        mm.walk(m, vma, range.clone(), &mut |slot, addr, entry| {
            let is_huge = slot.table.level == Level::Pmd && (entry.is_page() || entry.as_absent().is_some());
            if is_huge && vma.file.is_none() && (addr < range.start || range.end < addr + PMD_SIZE) {
                has_left = true;
            } else if entry.as_absent().is_some() {
                let moving = if let Some(Absent::Migration(pfn)) = entry.as_absent() { Some(pfn) } else { None };
                take_absent(m, mm, slot, entry);
                if let Some(folio) = moving.and_then(|pfn| m.memory.folio(pfn)) {
                    self.take_deposit(mm, slot, &folio);
                }
            } else if let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) {
                self.take(m, mm, slot, addr, &folio);
                if vma.flags().locked {
                    // Whoever else has locked it tells so again, should reclaim come by.
                    m.lru.set_mlocked(&folio, false);
                }
            }
        });
        has_left
    }

    /// Empties one entry, under its lock.
    fn take(&mut self, m: &Machine, mm: &Mm, slot: &Slot, addr: u64, folio: &Arc<Folio>) {
        let old = slot.store(Entry::NONE);
        self.take_deposit(mm, slot, folio);
        if old.is_dirty() {
            dirty::folio_mark_dirty(m, folio);
        }
        folio.unmap();
        if folio.kind == FolioKind::Anon && folio.is_huge() && is_partly_mapped(folio, slot.table.level) {
            m.split_queue.add(folio);
        }
        let (page, pages) = (addr / PAGE_SIZE, slot.table.level.entry_size() / PAGE_SIZE);
        mmu_notifier::check_told(mm, page..page + pages);
        mm.rss.fetch_sub(pages as i64, Relaxed);
        self.flush.push((mm.id, page..page + pages));
        self.folios.push((folio.clone(), old.is_dirty()));
    }

    /// Takes along the table that was deposited beside a huge page of anonymous memory.
    fn take_deposit(&mut self, mm: &Mm, slot: &Slot, folio: &Folio) {
        if folio.kind == FolioKind::Anon
            && slot.table.level == Level::Pmd
            && let Some(table) = slot.table.withdraw()
        {
            mm.tables.fetch_sub(1, Relaxed);
            self.tables.push(table);
        }
    }

    /// Empties one entry of hugetlbfs, under its lock. Its pages count as no process's own. The folio has to be kept next.
    pub(crate) fn take_hugetlb(&mut self, mm: &Mm, slot: &Slot, addr: u64, folio: &Folio) {
        slot.store(Entry::NONE);
        folio.unmap();
        self.flush.push((mm.id, addr / PAGE_SIZE..(addr + PMD_SIZE) / PAGE_SIZE));
    }

    /// Keeps a folio of hugetlbfs, with the reference of its entry.
    pub(crate) fn keep(&mut self, folio: Arc<Folio>) {
        self.folios.push((folio, false));
    }

    /// The same, if nobody else has a reference: from now on nobody gets one, and nobody finds that it is broken. Returns
    /// whether it is so.
    pub(crate) fn keep_frozen(&mut self, folio: &Arc<Folio>) -> bool {
        let is_frozen = folio.freeze(1);
        if is_frozen {
            self.frozen.push(folio.clone());
        } else {
            self.keep(folio.clone());
        }
        is_frozen
    }

    /// Flushes and frees.
    pub(crate) fn finish(self, m: &Machine) {
        self.flush.into_iter().for_each(|(mm, pages)| m.tlb.flush(mm, pages));
        for (folio, dirty) in &self.folios {
            // Once more: a store past the entry may have come after somebody else had written the folio to disk.
            if *dirty {
                dirty::folio_mark_dirty(m, folio);
            }
            m.put_folio(folio, 1);
        }
        self.frozen.iter().for_each(|folio| m.free_folio(folio));
        if !self.tables.is_empty() {
            // The flush that precedes the freeing interrupts every processor that walks without a lock.
            m.walks.send_interrupts();
        }
        self.tables.iter().for_each(|table| m.free_table(table));
    }
}

/// Returns which addresses lose their entries when a range does: a huge page of a file goes as a whole.
fn concerned(vma: &Vma, range: &Range<u64>) -> Range<u64> {
    match vma.file {
        Some(_) => range.start / PMD_SIZE * PMD_SIZE..range.end.next_multiple_of(PMD_SIZE),
        None => range.clone(),
    }
}

/// Empties an entry whose page is absent, under its lock (the kernel's `zap_nonpresent_ptes`).
fn take_absent(m: &Machine, mm: &Mm, slot: &Slot, entry: Entry) {
    slot.store(Entry::NONE);
    match entry.as_absent() {
        Some(Absent::Migration(pfn)) => {
            let _moving = m.memory.moving_folio(pfn);
            mm.rss.fetch_sub((slot.table.level.entry_size() / PAGE_SIZE) as i64, Relaxed);
        }
        Some(Absent::Swap(swapped)) => {
            mm.swaps.fetch_sub(1, Relaxed);
            swap::free_swap_and_cache(m, swapped);
        }
        Some(Absent::Hwpoison(_) | Absent::Marker) | None => {}
    }
}

/// Returns whether only some pages of a huge folio are mapped still, when an entry of this level is gone.
fn is_partly_mapped(folio: &Folio, level: Level) -> bool {
    level == Level::Pte || (2..ENTRIES as i64).contains(&folio.maps())
}
