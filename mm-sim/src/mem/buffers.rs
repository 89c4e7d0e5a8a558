//! The buffers of a folio: what the file system knows of the blocks on disk that it holds (the kernel's `struct buffer_head`,
//! here one for all blocks of a folio).
//!
//! They keep the folio, and it knows them. That it does is changed under `mapping->private_lock`, or by who moves the folio
//! and has marked them so: whoever looks for a block, without the folio lock, finds neither buffers that are being freed nor
//! such as are being moved. What is in use is neither freed nor moved.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::{
    finding::Invariant,
    sched,
    sync::{Look, SpinLock},
};

/// The buffers of one folio.
pub(crate) struct Buffers {
    /// The folio that they belong to (`b_folio`), by its first page; 0 when they are freed.
    folio: AtomicU64,
    dirty: AtomicBool,
    /// Who uses them past the folio lock (`b_count`).
    users: AtomicI64,
    /// The folio is being moved, so that nobody may begin to use them (`BH_Migrate`).
    is_moving: AtomicBool,
}

impl Buffers {
    /// Those of the folio that begins with page `pfn`, and is dirty or not.
    pub(super) const fn new(pfn: u64, dirty: bool) -> Self {
        Self {
            folio: AtomicU64::new(pfn),
            dirty: AtomicBool::new(dirty),
            users: AtomicI64::new(0),
            is_moving: AtomicBool::new(false),
        }
    }

    /// Returns whether they have to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Relaxed)
    }

    /// Notes whether they have to be written.
    pub(crate) fn set_dirty(&self, dirty: bool) {
        self.dirty.store(dirty, Relaxed);
    }

    /// Returns whether somebody uses them.
    pub(crate) fn is_busy(&self) -> bool {
        self.users.load(Relaxed) > 0
    }

    /// Returns whether they may be freed or moved, as far as those are concerned who use them.
    pub(crate) fn may_go(&self) -> bool {
        !self.is_busy() || sched::forgets(Look::BuffersInUse)
    }

    /// Returns the first page of the folio that they belong to.
    pub(crate) fn pfn(&self) -> u64 {
        self.folio.load(Relaxed)
    }

    /// Uses them, unless the folio is being moved. The caller has `private_lock`.
    pub(crate) fn get(&self, private_lock: &SpinLock) -> bool {
        self.check_lock(private_lock, "are looked up");
        let may = !self.is_moving.load(Relaxed);
        self.users.fetch_add(i64::from(may), Relaxed);
        may
    }

    /// Does not use them any more. Returns whether nobody does.
    pub(crate) fn put(&self) -> bool {
        self.users.fetch_sub(1, Relaxed) == 1
    }

    /// Looks whether nobody uses them, and if so lets nobody begin to. The caller has `private_lock`.
    pub(crate) fn begin_move(&self, private_lock: &SpinLock) -> bool {
        self.check_lock(private_lock, "are looked at");
        let may = self.may_go();
        self.is_moving.store(may, Relaxed);
        may
    }

    /// They may be used again.
    pub(crate) fn end_move(&self) {
        self.is_moving.store(false, Relaxed);
    }

    /// They are freed. Under `private_lock`, unless the folio is in no file any more.
    pub(super) fn free(&self, private_lock: Option<&SpinLock>) {
        if let Some(private_lock) = private_lock {
            self.check_lock(private_lock, "are freed");
        }
        self.check_unused("freed");
        self.folio.store(0, Relaxed);
    }

    /// They belong to the folio that begins with page `pfn` from now on. Nobody may have begun to use them.
    pub(super) fn follow(&self, pfn: u64) {
        self.check_unused("moved");
        if !self.is_moving.load(Relaxed) {
            let text = format!("the buffers of folio {} are moved while they may be looked up", self.pfn());
            sched::finding(Invariant::BuffersBroken, text);
        }
        self.folio.store(pfn, Relaxed);
    }

    /// Checks that nobody attaches, looks up or frees buffers of the file at the same time.
    pub(super) fn check_lock(&self, private_lock: &SpinLock, what: &str) {
        let holds = private_lock.is_mine();
        sched::must_hold(holds, || format!("the buffers of folio {} {what} without private_lock", self.pfn()));
    }

    fn check_unused(&self, what: &str) {
        if self.is_busy() {
            let text = format!("the buffers of folio {} are {what} while they are in use", self.pfn());
            sched::finding(Invariant::BuffersBroken, text);
        }
    }
}
