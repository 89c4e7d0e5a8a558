//! [`Slot`]: the place of one entry of a page table.
//!
//! A PTE, or a PMD entry, changes under the lock of its table; the entries above change under the mm's page_table_lock.

use std::sync::Arc;

use super::{Entry, Level, PageTable};
use crate::sched;

/// The place of one entry.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) table: Arc<PageTable>,
    pub(crate) index: usize,
}

impl Slot {
    /// The entry for an address in a table.
    pub(crate) fn new(table: Arc<PageTable>, addr: u64) -> Self {
        let index = table.level.index(addr);
        Self { table, index }
    }

    pub(crate) fn load(&self) -> Entry {
        self.table.load(self.index)
    }

    /// Writes the entry, under its lock. Returns what was there.
    pub(crate) fn store(&self, entry: Entry) -> Entry {
        self.check_locked();
        self.table.store(self.index, entry)
    }

    /// Writes the entry when nobody else can reach the table. Returns what was there.
    pub(crate) fn store_unlocked(&self, entry: Entry) -> Entry {
        self.table.store(self.index, entry)
    }

    /// Checks that the lock of the table is held; the levels above have none, but the mm's page_table_lock.
    fn check_locked(&self) {
        let table = &self.table;
        sched::must_hold(table.level > Level::Pmd || table.lock.is_mine(), || {
            format!("an entry of {} table {} changes without its lock", table.level.as_str(), table.id)
        });
    }

    /// Changes the entry, with the bits that the hardware has set until now. Returns what was there.
    pub(crate) fn update(&self, change: impl Fn(Entry) -> Entry) -> Entry {
        self.check_locked();
        self.table.update(self.index, change)
    }
}
