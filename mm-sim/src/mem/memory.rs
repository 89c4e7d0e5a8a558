//! Physical memory: which frames and tables exist and how much is free.
//!
//! Numbers are never used twice within a run, so that whoever holds on to a freed one is always found out.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use dashmap::DashMap;
use parking_lot::Mutex;

use super::{Folio, FolioKind, HUGE_PAGES, Level, NODES, PageTable, node::Nodes, zone::Zone};
use crate::{finding::Invariant, sched};

/// No page is free and nothing can be reclaimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// Physical memory.
pub(crate) struct Memory {
    total: i64,
    zone: Zone,
    /// Pages that are never used again.
    broken: AtomicI64,
    nodes: Nodes,
    next_pfn: AtomicU64,
    next_table: AtomicU64,
    folios: DashMap<u64, Arc<Folio>>,
    tables: DashMap<u64, Arc<PageTable>>,
    /// The tables that were freed last, and by whom.
    graves: Mutex<VecDeque<(u64, String)>>,
}

/// How many freed tables are remembered with who freed them; others are walked "after they were freed" all the same.
const GRAVES: usize = 4096;

impl Memory {
    /// Memory of `pages` pages.
    pub(crate) fn new(pages: u64) -> Self {
        let (folios, tables, graves, nodes) = Default::default();
        let (next_pfn, next_table) = (AtomicU64::new(HUGE_PAGES), AtomicU64::new(1));
        let broken = AtomicI64::new(0);
        Self {
            total: pages as i64,
            zone: Zone::new(pages),
            broken,
            nodes,
            next_pfn,
            next_table,
            folios,
            tables,
            graves,
        }
    }

    /// Returns how many pages are free.
    pub(crate) fn free_pages(&self) -> i64 {
        self.zone.free_pages()
    }

    /// Returns how many pages are in use.
    pub(crate) fn used_pages(&self) -> i64 {
        self.total - self.free_pages() - self.broken.load(Relaxed)
    }

    /// Takes `pages` free pages if there are as many.
    #[track_caller]
    pub(crate) fn take(&self, pages: u64) -> bool {
        self.zone.take(pages)
    }

    /// Takes back what the processors keep at hand, for who needs many pages or has found none.
    pub(crate) fn drain_all_pages(&self) {
        self.zone.drain();
    }

    /// Returns how many pages of folios each node has, as counted while they came and went.
    pub(crate) fn node_pages(&self) -> [i64; NODES as usize] {
        self.nodes.pages()
    }

    /// Returns the same, counted now.
    pub(crate) fn count_node_pages(&self) -> [i64; NODES as usize] {
        let mut pages = [0; NODES as usize];
        self.folios.iter().for_each(|folio| pages[usize::from(folio.node)] += folio.pages() as i64);
        pages
    }

    /// Makes a folio of pages that were taken, on a node.
    pub(crate) fn make_folio(&self, kind: FolioKind, pages: u64, node: u8) -> Arc<Folio> {
        let aligned = |next: u64| next.next_multiple_of(pages);
        let next = self.next_pfn.fetch_update(Relaxed, Relaxed, |next| Some(aligned(next) + pages));
        let pfn = aligned(next.unwrap_or_else(|next| next));
        let folio = Arc::new(Folio::new(pfn, kind, pages, node));
        self.nodes.add(node, pages as i64);
        self.folios.insert(pfn, folio.clone());
        folio
    }

    /// Makes a page table of a page that was taken.
    pub(crate) fn make_table(&self, level: Level) -> Arc<PageTable> {
        let table = Arc::new(PageTable::new(self.next_table.fetch_add(1, Relaxed), level));
        self.tables.insert(table.id, table.clone());
        table
    }

    /// Returns the folio that has the page `pfn`.
    pub(crate) fn folio(&self, pfn: u64) -> Option<Arc<Folio>> {
        let found = self.peek_folio(pfn);
        if found.is_none() {
            sched::finding(Invariant::FolioUsedAfterFree, format!("page {pfn} is used after it was freed"));
        }
        found
    }

    /// Returns the folio that has the page `pfn`, if it has not been freed: for who holds nothing that keeps it.
    pub(crate) fn peek_folio(&self, pfn: u64) -> Option<Arc<Folio>> {
        let at = |pfn: u64| self.folios.get(&pfn).map(|folio| folio.clone());
        at(pfn).or_else(|| at(pfn / HUGE_PAGES * HUGE_PAGES).filter(|folio| pfn < folio.pfn + folio.pages()))
    }

    /// Returns the folio of a page that is being moved, as an entry says: it is locked until all entries have been put back.
    pub(crate) fn moving_folio(&self, pfn: u64) -> Option<Arc<Folio>> {
        let found = self.peek_folio(pfn).filter(|folio| !folio.lock.is_free());
        if found.is_none() {
            let text = format!("page {pfn} has been moved, and an entry waits for it still");
            sched::finding(Invariant::RmapMismatch, text);
        }
        found
    }

    /// Returns the table with this number. After it has been freed that is a finding, and `None`.
    pub(crate) fn table(&self, id: u64) -> Option<Arc<PageTable>> {
        let found = self.tables.get(&id).map(|table| table.clone());
        if found.is_none() {
            let graves = self.graves.lock();
            let by = graves.iter().find(|&&(table, _)| table == id).map(|(_, by)| format!(" by {by}"));
            let text = format!("table {id} is walked after it was freed{}", by.unwrap_or_default());
            drop(graves);
            sched::finding(Invariant::TableUsedAfterFree, text);
        }
        found
    }

    /// Frees a folio without references.
    pub(crate) fn free_folio(&self, folio: &Folio) {
        if !self.forget_folio(folio) {
            return;
        }
        if folio.is_broken.load(Relaxed) {
            self.broken.fetch_add(folio.pages() as i64, Relaxed);
        } else {
            self.give(folio.pages());
        }
    }

    /// Forgets a huge page that goes back to the pool. Returns whether it was there.
    pub(crate) fn forget_folio(&self, folio: &Folio) -> bool {
        if folio.maps() != 0 {
            sched::finding(Invariant::CountMismatch, format!("folio {} is freed while it is mapped", folio.pfn));
        }
        if folio.is_pinned() {
            sched::finding(Invariant::PinBroken, format!("folio {} is freed while it is pinned", folio.pfn));
        }
        let was_there = self.folios.remove(&folio.pfn).is_some();
        if was_there {
            self.nodes.add(folio.node, -(folio.pages() as i64));
        }
        was_there
    }

    /// Makes folios of the pages of one without references, in order, with a reference each. The old one is still known, for
    /// those who look up what an entry says.
    pub(crate) fn split_folio(&self, folio: &Folio) -> Vec<Arc<Folio>> {
        let part = |page: u64| {
            let part = self.make_folio(folio.kind, 1, folio.node);
            part.write(part.pfn, folio.read(folio.pfn + page));
            part.dirty.store(folio.dirty.load(Relaxed), Relaxed);
            part.uptodate.store(folio.uptodate.load(Relaxed), Relaxed);
            part
        };
        (0..folio.pages()).map(part).collect()
    }

    /// Does something under the lock of the zone.
    pub(crate) fn under_zone_lock(&self, f: impl FnOnce()) {
        self.zone.under_lock(f);
    }

    /// Gives back pages that were taken.
    #[track_caller]
    pub(crate) fn give(&self, pages: u64) {
        self.zone.give(pages);
    }

    /// Frees a table; `by` is the operation that does it.
    pub(crate) fn free_table(&self, table: &PageTable, by: String) {
        let used = table.used().count();
        if used > 0 {
            let text = format!("{} table {} is freed with {used} entries by {by}", table.level.as_str(), table.id);
            sched::finding(Invariant::TableFreedNotEmpty, text);
        }
        if table.deposits() > 0 {
            sched::finding(Invariant::Leak, format!("pmd table {} is freed with tables deposited", table.id));
        }
        table.poison(by.clone());
        if self.tables.remove(&table.id).is_some() {
            let mut graves = self.graves.lock();
            if graves.len() == GRAVES {
                graves.pop_front();
            }
            graves.push_back((table.id, by));
            drop(graves);
            self.zone.give(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_huge_folio_finds_it_and_its_neighbours_do_not() {
        let memory = Memory::new(2000);
        let small = memory.make_folio(FolioKind::Anon, 1, 0);
        let huge = memory.make_folio(FolioKind::File, HUGE_PAGES, 1);
        let next = memory.make_folio(FolioKind::Anon, 1, 0);
        assert_eq!(huge.pfn % HUGE_PAGES, 0);
        for (pfn, folio) in [(small.pfn, &small), (huge.pfn + 511, &huge), (next.pfn, &next)] {
            assert_eq!(memory.folio(pfn).unwrap().pfn, folio.pfn);
        }
        assert_eq!(memory.node_pages(), [2, 512]);
        assert_eq!(memory.node_pages(), memory.count_node_pages());
    }

    #[test]
    #[should_panic(expected = "table-used-after-free")]
    fn a_freed_table_is_found_out() {
        let memory = Memory::new(10);
        let table = memory.make_table(Level::Pte);
        memory.free_table(&table, "a test".to_owned());
        memory.table(table.id);
    }

    #[test]
    fn freed_tables_leave_nothing_behind() {
        let memory = Memory::new(10);
        for _ in 0..2 * GRAVES {
            let table = memory.make_table(Level::Pte);
            memory.free_table(&table, "a test".to_owned());
        }
        assert_eq!((memory.tables.len(), memory.graves.lock().len()), (0, GRAVES));
    }
}
