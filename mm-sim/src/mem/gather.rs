//! What an unmapping has taken out of the page tables and frees at its end (the kernel's `mmu_gather`).

use std::{ops::Range, sync::Arc, sync::atomic::Ordering::Relaxed};

use super::{Entry, Folio, Mm, PageTable, Slot, Vma};
use crate::machine::Machine;

/// Folios and tables that wait for the flush.
#[derive(Default)]
pub(crate) struct Gather {
    folios: Vec<Arc<Folio>>,
    pub(crate) tables: Vec<Arc<PageTable>>,
}

impl Gather {
    /// Empties the entries of a range whose folio `wants`, and keeps the folios.
    pub(crate) fn zap(&mut self, m: &Machine, mm: &Mm, vma: &Vma, range: Range<u64>, wants: &dyn Fn(&Folio) -> bool) {
        mm.walk(m, vma, range, &mut |slot, _, entry| {
            let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return };
            if wants(&folio) {
                self.take(mm, slot, &folio);
            }
        });
    }

    /// Empties one entry, under its lock.
    fn take(&mut self, mm: &Mm, slot: &Slot, folio: &Arc<Folio>) {
        let old = slot.store(Entry::NONE);
        if old.is_dirty() {
            folio.dirty.store(true, Relaxed);
        }
        folio.unmap();
        mm.rss.fetch_sub((slot.table.level.entry_size() / super::PAGE_SIZE) as i64, Relaxed);
        self.folios.push(folio.clone());
    }

    /// Flushes and frees.
    pub(crate) fn finish(self, m: &Machine) {
        self.folios.iter().for_each(|folio| m.put_folio(folio, 1));
        self.tables.iter().for_each(|table| m.free_table(table));
    }
}
