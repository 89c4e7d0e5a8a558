//! A page table: 512 entries and a lock of its own at the two lower levels.
//!
//! A freed table stays readable for those who still point at it, but it is poisoned: every access is a finding, as the
//! kernel's would be a use after free.
//!
//! The hardware looks at an entry and uses its page in one go ([`PageTable::bus`]), so that whoever has changed an entry
//! knows that no access through the old one is under way. This stands for the flush of the translation caches.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use parking_lot::{Mutex, MutexGuard};

use super::{Entry, PAGE_SIZE};
use crate::{
    classes::{PMD_LOCK, PTE_LOCK},
    finding::Invariant,
    sched,
    sync::SpinLock,
};

/// Entries of a table.
pub(crate) const ENTRIES: usize = 512;

/// A level of the page tables, the lowest first (the P4D level is folded, as on most machines).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Pte,
    Pmd,
    Pud,
    Pgd,
}

impl Level {
    /// Returns what one entry covers, in bytes.
    pub(crate) const fn entry_size(self) -> u64 {
        PAGE_SIZE << (9 * self as u32)
    }

    /// Returns what a whole table covers, in bytes.
    pub(crate) const fn table_size(self) -> u64 {
        self.entry_size() * ENTRIES as u64
    }

    /// Returns which entry of its table an address uses.
    pub(crate) const fn index(self, addr: u64) -> usize {
        (addr / self.entry_size()) as usize % ENTRIES
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pte => "pte",
            Self::Pmd => "pmd",
            Self::Pud => "pud",
            Self::Pgd => "pgd",
        }
    }
}

/// A page table.
pub(crate) struct PageTable {
    pub(crate) id: u64,
    pub(crate) level: Level,
    /// The pte lock or the pmd lock; the levels above are under the mm's page_table_lock.
    pub(crate) lock: SpinLock,
    entries: Box<[AtomicU64]>,
    /// Processes that use it besides the first one: only tables of hugetlbfs are shared.
    pub(crate) shares: AtomicI64,
    bus: Mutex<()>,
    /// Tables for the huge pages of anonymous memory that its entries map, one each.
    deposits: Mutex<Vec<Arc<PageTable>>>,
    freed: OnceLock<String>,
}

impl PageTable {
    pub(crate) fn new(id: u64, level: Level) -> Self {
        let class = if level == Level::Pte { &PTE_LOCK } else { &PMD_LOCK };
        let entries = (0..ENTRIES).map(|_| AtomicU64::new(0)).collect();
        let lock = SpinLock::new(class, (level.as_str(), id));
        Self {
            id,
            level,
            lock,
            entries,
            shares: AtomicI64::new(0),
            bus: Mutex::default(),
            deposits: Mutex::default(),
            freed: OnceLock::new(),
        }
    }

    /// Reads an entry.
    pub(crate) fn load(&self, index: usize) -> Entry {
        self.check_alive("read");
        Entry::from_bits(self.entries[index].load(Relaxed))
    }

    /// Writes an entry. Returns what was there.
    pub(crate) fn store(&self, index: usize, entry: Entry) -> Entry {
        self.check_alive("written");
        let _bus = self.bus();
        Entry::from_bits(self.entries[index].swap(entry.bits(), Relaxed))
    }

    /// Changes an entry, with the bits that the hardware has set until now. Returns what was there.
    pub(crate) fn update(&self, index: usize, change: impl Fn(Entry) -> Entry) -> Entry {
        self.check_alive("written");
        let _bus = self.bus();
        let old = Entry::from_bits(self.entries[index].load(Relaxed));
        self.entries[index].store(change(old).bits(), Relaxed);
        old
    }

    /// What an access by the hardware holds from reading the entry to having used its page.
    pub(crate) fn bus(&self) -> MutexGuard<'_, ()> {
        self.bus.lock()
    }

    /// Sets bits of an entry, as the hardware does on an access. The caller has the bus.
    pub(crate) fn touch(&self, index: usize, entry: Entry) {
        self.entries[index].fetch_or(entry.bits(), Relaxed);
    }

    /// Returns whether several processes use it.
    pub(crate) fn is_shared(&self) -> bool {
        self.shares.load(Relaxed) > 0
    }

    /// Keeps a table for the case that a huge page is taken apart. The caller has the pmd lock.
    pub(crate) fn deposit(&self, table: Arc<PageTable>) {
        sched::must_hold(self.lock.is_mine(), || format!("a table is deposited with {} without the pmd lock", self.id));
        self.deposits.lock().push(table);
    }

    /// Takes one of the tables out that are kept. The caller has the pmd lock.
    pub(crate) fn withdraw(&self) -> Option<Arc<PageTable>> {
        sched::must_hold(self.lock.is_mine(), || format!("a table is withdrawn from {} without the pmd lock", self.id));
        self.deposits.lock().pop()
    }

    /// Returns how many tables are kept.
    pub(crate) fn deposits(&self) -> usize {
        self.deposits.lock().len()
    }

    /// Returns the entries that are not empty.
    pub(crate) fn used(&self) -> impl Iterator<Item = (usize, Entry)> {
        let all = self.entries.iter().map(|entry| Entry::from_bits(entry.load(Relaxed))).enumerate();
        all.filter(|(_, entry)| !entry.is_none())
    }

    /// Poisons the table: `by` freed it.
    pub(crate) fn poison(&self, by: String) {
        if let Err(second) = self.freed.set(by) {
            let text = format!("{} table {} is freed twice, by {second}", self.level.as_str(), self.id);
            sched::finding(Invariant::TableUsedAfterFree, text);
        }
    }

    /// Checks that it has not been freed.
    pub(crate) fn check_alive(&self, what: &str) {
        if let Some(by) = self.freed.get() {
            let text = format!("{} table {} is {what} after it was freed by {by}", self.level.as_str(), self.id);
            sched::finding(Invariant::TableUsedAfterFree, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_index_on_every_level() {
        let addr =
            3 * Level::Pgd.entry_size() + 5 * Level::Pud.entry_size() + 7 * Level::Pmd.entry_size() + 9 * PAGE_SIZE;
        let levels = [Level::Pgd, Level::Pud, Level::Pmd, Level::Pte];
        assert_eq!(levels.map(|level| level.index(addr)), [3, 5, 7, 9]);
        assert_eq!(Level::Pmd.entry_size(), super::super::PMD_SIZE);
    }
}
