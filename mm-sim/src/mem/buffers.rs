//! The buffers of a folio: what the file system knows of the blocks on disk that it holds (the kernel's `struct buffer_head`,
//! here one for all blocks of a folio).
//!
//! They keep the folio, and it knows them. That it does is changed under `mapping->private_lock`, or by who moves the folio
//! and has marked them so: whoever looks for a block, without the folio lock, finds neither buffers that are being freed nor
//! such as are being moved. What is in use is neither freed nor moved.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
};

use super::{AddressSpace, Folio};
use crate::{finding::Invariant, sched, sync::Look};

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
    pub(crate) fn get(&self, mapping: &AddressSpace) -> bool {
        check_lock(mapping, "are looked up");
        let may = !self.is_moving.load(Relaxed);
        self.users.fetch_add(i64::from(may), Relaxed);
        may
    }

    /// Does not use them any more. Returns whether nobody does.
    pub(crate) fn put(&self) -> bool {
        self.users.fetch_sub(1, Relaxed) == 1
    }

    /// Looks whether nobody uses them, and if so lets nobody begin to. The caller has `private_lock`.
    pub(crate) fn begin_move(&self, mapping: &AddressSpace) -> bool {
        check_lock(mapping, "are looked at");
        let may = self.may_go();
        self.is_moving.store(may, Relaxed);
        may
    }

    /// They may be used again.
    pub(crate) fn end_move(&self) {
        self.is_moving.store(false, Relaxed);
    }

    fn check_unused(&self, what: &str) {
        if self.is_busy() {
            let text = format!("the buffers of folio {} are {what} while they are in use", self.pfn());
            sched::finding(Invariant::BuffersBroken, text);
        }
    }
}

/// Checks that nobody attaches, looks up or frees buffers of a file at the same time.
fn check_lock(mapping: &AddressSpace, what: &str) {
    let holds = mapping.private_lock.is_mine();
    sched::must_hold(holds, || format!("buffers of file {} {what} without private_lock", mapping.file));
}

impl Folio {
    /// Returns its buffers, if it has any.
    pub(crate) fn buffers(&self) -> Option<Arc<Buffers>> {
        self.buffers.lock().clone()
    }

    /// Returns how many references its buffers have to it.
    pub(crate) fn buffer_refs(&self) -> u64 {
        u64::from(self.buffers.lock().is_some())
    }

    /// Gives it buffers, unless it has some; they are as dirty as it is. The caller has locked it, and has `private_lock`.
    pub(crate) fn attach_buffers(&self, mapping: &AddressSpace) {
        check_lock(mapping, "are attached");
        self.check_locked("given buffers");
        let mut buffers = self.buffers.lock();
        if buffers.is_none() {
            self.get(1);
            *buffers = Some(Arc::new(Buffers {
                folio: AtomicU64::new(self.pfn),
                dirty: AtomicBool::new(self.dirty.load(Relaxed)),
                users: AtomicI64::new(0),
                is_moving: AtomicBool::new(false),
            }));
        }
    }

    /// Frees its buffers, whose reference to it the caller takes over. Under `private_lock`, or when it is in no file any more.
    pub(crate) fn detach_buffers(&self, mapping: Option<&AddressSpace>) {
        if let Some(mapping) = mapping {
            check_lock(mapping, "are freed");
        }
        if let Some(buffers) = self.buffers.lock().take() {
            buffers.check_unused("freed");
            buffers.folio.store(0, Relaxed);
        }
    }

    /// Gives its buffers to the folio that its pages move to. Both are locked, and nobody may begin to use the buffers. The
    /// caller takes over their reference to it.
    pub(crate) fn move_buffers(&self, to: &Self) {
        self.check_locked("moved");
        let Some(buffers) = self.buffers.lock().take() else { return };
        buffers.check_unused("moved");
        if !buffers.is_moving.load(Relaxed) {
            let text = format!("the buffers of folio {} are moved while they may be looked up", self.pfn);
            sched::finding(Invariant::BuffersBroken, text);
        }
        buffers.folio.store(to.pfn, Relaxed);
        to.get(1);
        *to.buffers.lock() = Some(buffers);
    }
}
