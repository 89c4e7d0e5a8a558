//! A file: its size, what is on disk, and its address space.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::AddressSpace;
use crate::{classes::I_RWSEM, sched, sync::RwSem};

/// A file.
pub(crate) struct Inode {
    pub(crate) id: u64,
    pub(crate) i_rwsem: RwSem,
    pub(crate) mapping: Arc<AddressSpace>,
    /// The security module measures it before it is mapped.
    pub(crate) is_measured: AtomicBool,
    /// What it has measured last.
    pub(crate) digest: AtomicU64,
    size: AtomicU64,
    disk: Mutex<BTreeMap<u64, u64>>,
}

impl Inode {
    /// A file of `pages` zero pages.
    pub(crate) fn new(id: u64, pages: u64) -> Arc<Self> {
        let i_rwsem = RwSem::new(&I_RWSEM, ("file", id));
        let size = AtomicU64::new(pages);
        let (is_measured, digest) = Default::default();
        Arc::new(Self {
            id,
            i_rwsem,
            mapping: AddressSpace::new(id),
            is_measured,
            digest,
            size,
            disk: Mutex::default(),
        })
    }

    /// Returns the size, in pages.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }

    /// Sets the size, in pages.
    pub(crate) fn set_size(&self, pages: u64) {
        let shrinks = pages < self.size();
        let holds = self.i_rwsem.is_mine_to_write() && (!shrinks || self.mapping.invalidate_lock.is_mine_to_write());
        sched::must_hold(holds, || format!("file {} gets a new size without its locks", self.id));
        self.size.store(pages, Relaxed);
    }

    /// Reads a page from disk.
    pub(crate) fn read_disk(&self, index: u64) -> u64 {
        self.disk.lock().get(&index).copied().unwrap_or(0)
    }

    /// Writes a page to disk.
    pub(crate) fn write_disk(&self, index: u64, word: u64) {
        self.disk.lock().insert(index, word);
    }

    /// Forgets what is on disk of some pages.
    pub(crate) fn cut_disk_range(&self, pages: std::ops::Range<u64>) {
        self.disk.lock().retain(|index, _| !pages.contains(index));
    }

    /// Forgets what is on disk from `index` on.
    pub(crate) fn cut_disk(&self, index: u64) {
        self.disk.lock().split_off(&index);
    }
}
