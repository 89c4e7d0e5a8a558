//! What a VMA of hugetlbfs has besides, and the lock of its page tables (the kernel's `hugetlb_vma_lock`).
//!
//! The tables of a shared mapping may be shared with other processes, so the lock of one process does not keep them in
//! place; this one does, as does i_mmap. It hangs off the VMA by a pointer, and whoever unlocks looks at the pointer
//! again, as the kernel does: a pointer that has changed in between is a bug that shows (H2, H3).
//!
//! A private mapping that has reserved its pages has a lock too since 6.7, the one of its reservation map.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::ResvMap;
use crate::{
    classes::HUGETLB_VMA_LOCK,
    mem::Vma,
    protocol::{HugetlbLocking, Protocol},
    sync::{Held, RwSem},
};

/// What a VMA of hugetlbfs has besides (the kernel's `vm_private_data`).
#[derive(Default)]
pub(crate) struct HugetlbVma {
    lock: Mutex<Option<Arc<HugetlbVmaLock>>>,
    /// Of a private mapping that has reserved its pages.
    pub(crate) resv_map: Mutex<Option<Arc<ResvMap>>>,
    /// A page was taken from it for the process that had reserved it.
    pub(crate) was_robbed: AtomicBool,
}

/// The lock of the page tables of one shared mapping. It outlives the VMA while somebody waits for it with a reference.
pub(crate) struct HugetlbVmaLock {
    refs: AtomicI64,
    rw_sema: RwSem,
    vma: Mutex<Weak<Vma>>,
}

impl HugetlbVmaLock {
    fn put(&self) {
        if self.refs.fetch_sub(1, Relaxed) == 1 {
            self.rw_sema.destroy();
        }
    }
}

/// The lock of the page tables of a VMA.
pub(crate) enum Sema {
    Shared(Arc<HugetlbVmaLock>),
    Private(Arc<ResvMap>),
}

impl Sema {
    fn rw_sema(&self) -> &RwSem {
        match self {
            Self::Shared(lock) => &lock.rw_sema,
            Self::Private(resv_map) => &resv_map.rw_sema,
        }
    }

    /// Keeps the lock from being freed.
    pub(crate) fn get(self) -> Self {
        if let Self::Shared(lock) = &self {
            lock.refs.fetch_add(1, Relaxed);
        }
        self
    }

    /// Returns whether it is the lock of this VMA still.
    pub(crate) fn is_of(&self, vma: &Arc<Vma>) -> bool {
        match self {
            Self::Shared(lock) => lock.vma.lock().upgrade().is_some_and(|mine| Arc::ptr_eq(&mine, vma)),
            Self::Private(map) => vma.hugetlb.resv_map.lock().as_ref().is_some_and(|mine| Arc::ptr_eq(mine, map)),
        }
    }

    /// Undoes [`get`](Self::get).
    pub(crate) fn put(&self) {
        if let Self::Shared(lock) = self {
            lock.put();
        }
    }

    /// Waits for the lock, whatever VMA it belongs to by then.
    #[track_caller]
    pub(crate) fn down_write(&self) -> Held {
        self.rw_sema().down_write()
    }

    pub(crate) fn up_write(&self, held: Held) {
        self.rw_sema().up_write(held);
    }
}

impl HugetlbVma {
    /// Returns whether its page tables may be shared: it has the lock that this takes.
    pub(crate) fn may_share(&self, protocol: &Protocol) -> bool {
        protocol.hugetlb_locking == HugetlbLocking::Imap || self.lock.lock().is_some()
    }
}

impl Vma {
    /// Gives a shared mapping its lock (`hugetlb_vma_lock_alloc`). The caller has said that it may reclaim.
    pub(crate) fn hugetlb_vma_lock_alloc(self: &Arc<Self>, protocol: &Protocol) {
        if self.flags().shared && protocol.hugetlb_locking != HugetlbLocking::Imap {
            let rw_sema = RwSem::new(&HUGETLB_VMA_LOCK, ("vma", self.id));
            let lock = HugetlbVmaLock { refs: AtomicI64::new(1), rw_sema, vma: Mutex::new(Arc::downgrade(self)) };
            *self.hugetlb.lock.lock() = Some(Arc::new(lock));
        }
    }

    /// Takes the lock away from a VMA that ends, unless that has been done.
    pub(crate) fn hugetlb_vma_lock_free(&self) {
        if let Some(lock) = self.hugetlb.lock.lock().take() {
            *lock.vma.lock() = Weak::new();
            lock.put();
        }
    }

    /// Returns the lock of its page tables, if it has one now.
    pub(crate) fn hugetlb_sema(&self, protocol: &Protocol) -> Option<Sema> {
        match (protocol.hugetlb_locking, self.flags().shared) {
            (HugetlbLocking::Imap, _) | (HugetlbLocking::SharedVma, false) => None,
            (_, true) => self.hugetlb.lock.lock().clone().map(Sema::Shared),
            (HugetlbLocking::EveryVma, false) => self.hugetlb.resv_map.lock().clone().map(Sema::Private),
        }
    }

    /// Keeps its page tables from being unshared.
    #[track_caller]
    pub(crate) fn hugetlb_vma_lock_read(self: &Arc<Self>, protocol: &Protocol) -> HugetlbVmaGuard {
        let held = self.hugetlb_sema(protocol).map(|sema| sema.rw_sema().down_read());
        self.hugetlb_guard(protocol, false, held)
    }

    /// Keeps everybody else from its page tables.
    #[track_caller]
    pub(crate) fn hugetlb_vma_lock_write(self: &Arc<Self>, protocol: &Protocol) -> HugetlbVmaGuard {
        let held = self.hugetlb_sema(protocol).map(|sema| sema.rw_sema().down_write());
        self.hugetlb_guard(protocol, true, held)
    }

    /// The same, unless that would wait.
    #[track_caller]
    pub(crate) fn hugetlb_vma_trylock_write(self: &Arc<Self>, protocol: &Protocol) -> Option<HugetlbVmaGuard> {
        let held = match self.hugetlb_sema(protocol) {
            Some(sema) => Some(sema.rw_sema().try_down_write()?),
            None => None,
        };
        Some(self.hugetlb_guard(protocol, true, held))
    }

    fn hugetlb_guard(self: &Arc<Self>, protocol: &Protocol, write: bool, held: Option<Held>) -> HugetlbVmaGuard {
        HugetlbVmaGuard { vma: self.clone(), protocol: *protocol, write, held: held.or(Some(Held::NOTHING)) }
    }

    /// Returns whether this actor has the lock, if there is one.
    pub(crate) fn is_hugetlb_locked(&self, protocol: &Protocol, to_write: bool) -> bool {
        let is_mine = |sema: &RwSem| if to_write { sema.is_mine_to_write() } else { sema.is_mine() };
        self.hugetlb_sema(protocol).is_none_or(|sema| is_mine(sema.rw_sema()))
    }
}

/// Holds the lock of the page tables of a VMA: of whichever lock the VMA has when this ends.
#[must_use]
pub(crate) struct HugetlbVmaGuard {
    vma: Arc<Vma>,
    protocol: Protocol,
    write: bool,
    /// `None` once it has been unlocked.
    held: Option<Held>,
}

impl HugetlbVmaGuard {
    /// Unlocks for good: the VMA has no lock any more (`__hugetlb_vma_unlock_write_free`).
    pub(crate) fn unlock_and_free(mut self) {
        let lock = self.vma.hugetlb.lock.lock().take();
        if let Some((lock, held)) = lock.zip(self.held) {
            self.held = None;
            *lock.vma.lock() = Weak::new();
            lock.rw_sema.up_write(held);
            lock.put();
        }
    }
}

impl Drop for HugetlbVmaGuard {
    fn drop(&mut self) {
        let Some(held) = self.held else { return };
        self.vma.check_not_freed("is unlocked");
        let Some(sema) = self.vma.hugetlb_sema(&self.protocol) else { return };
        if self.write {
            sema.rw_sema().up_write(held);
        } else {
            sema.rw_sema().up_read(held);
        }
    }
}
