//! The swap device: which of its slots are used and by how many, and what is on them. It may be a file.
//!
//! * `slots`: the counts, in clusters with a lock each.
//! * `cache`: the folios that have a slot.
//! * `mmlist`: the processes that have something swapped out; `swaplist`: the files of shared memory.
//!
//! Lock order: `swap_info->lock -> swap_cluster->lock`, `-> swap_cache`; each alone under a pte lock. Counting a user of a
//! slot takes the lock of its cluster only; giving the last one back takes the device's lock too.

mod cache;
mod mmlist;
mod slots;
mod swaplist;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

pub(crate) use self::slots::Prepared;
use self::{cache::Cache, mmlist::MmList, slots::Cluster, swaplist::SwapList};
use crate::{
    classes::{SWAP_INFO_LOCK, SWAPON_MUTEX},
    mem::Inode,
    sync::{RwSem, SpinLock},
};

/// Pages of a swap file that are no slots.
const HEADER: u64 = 1;

/// A machine's swap device (the kernel's `struct swap_info_struct`, and what goes with it).
pub(crate) struct Swap {
    /// Which devices there are.
    pub(crate) swapon_mutex: RwSem,
    lock: SpinLock,
    clusters: Mutex<Vec<Arc<Cluster>>>,
    /// Slots may be taken.
    writable: AtomicBool,
    /// It is being emptied, to go.
    is_going: AtomicBool,
    /// Slots that there are, under `lock`.
    slots: AtomicU64,
    /// Slots that are taken, under `lock`.
    in_use: AtomicU64,
    cache: Cache,
    mmlist: MmList,
    swaplist: SwapList,
    device: Mutex<BTreeMap<u64, u64>>,
    /// The file that is the device, if it is one, under `lock`: its first page says so, and each other one is a slot.
    file: Mutex<Option<Arc<Inode>>>,
}

impl Swap {
    /// No device.
    pub(crate) fn new() -> Self {
        Self {
            swapon_mutex: RwSem::new(&SWAPON_MUTEX, ("swap", 0)),
            lock: SpinLock::new(&SWAP_INFO_LOCK, ("swap", 0)),
            clusters: Mutex::default(),
            writable: AtomicBool::new(false),
            is_going: AtomicBool::new(false),
            slots: AtomicU64::new(0),
            in_use: AtomicU64::new(0),
            cache: Cache::new(),
            mmlist: MmList::new(),
            swaplist: SwapList::new(),
            device: Mutex::default(),
            file: Mutex::default(),
        }
    }

    /// Returns whether there is a device that takes pages.
    pub(crate) fn is_on(&self) -> bool {
        self.writable.load(Relaxed)
    }

    /// Returns how many slots are taken.
    pub(crate) fn in_use(&self) -> u64 {
        self.in_use.load(Relaxed)
    }

    /// Reads a slot.
    pub(crate) fn read(&self, slot: u64) -> u64 {
        match &*self.file.lock() {
            Some(file) => file.read_disk(slot + HEADER),
            None => self.device.lock().get(&slot).copied().unwrap_or(0),
        }
    }

    /// Writes a slot.
    pub(crate) fn write(&self, slot: u64, word: u64) {
        match &*self.file.lock() {
            Some(file) => file.write_disk(slot + HEADER, word),
            None => {
                self.device.lock().insert(slot, word);
            }
        }
    }
}
