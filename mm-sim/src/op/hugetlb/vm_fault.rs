//! [`HugetlbFault`]: a fault on hugetlbfs on its way, and what it holds ([`Serial`]).
//!
//! Lock order: `hugetlb_fault_mutex -> hugetlb vma_lock (read)` around all of it, from 5.7 to 6.0 below `i_mmap_rwsem (read)`; and
//! what a new page takes, as `fault` has it.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    reserve::{self, For},
    share,
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Entry, Folio, HugetlbVmaGuard, Inode, Mm, PMD_SIZE, Place, Slot, Vma, VmaReadGuard, huge_index},
    op::{Signal, anon_vma, bus, vm_fault::Outcome},
    protocol::HugetlbLocking,
    sync::{FolioGuard, MutexGuard, ReadGuard},
};

/// A fault on hugetlbfs on its way.
pub(super) struct HugetlbFault<'a> {
    pub(super) m: &'a Machine,
    pub(super) mm: &'a Arc<Mm>,
    pub(super) vma: &'a Arc<Vma>,
    pub(super) file: &'a Arc<Inode>,
    /// The page that was accessed.
    pub(super) page: u64,
    /// The address of its huge page.
    pub(super) addr: u64,
    pub(super) write: bool,
    /// Nobody holds the mmap lock for it.
    pub(super) under_vma_lock: bool,
    /// What the fault itself holds of the VMA.
    pub(super) vma_lock: RefCell<Option<VmaReadGuard>>,
}

/// What a fault holds from its beginning to its end; `wp` drops it and takes it again.
pub(super) struct Serial {
    // Dropped in this order.
    pub(super) vma: Option<HugetlbVmaGuard>,
    pub(super) mutex: Option<MutexGuard>,
    pub(super) i_mmap: Option<ReadGuard>,
}

/// A folio with a reference and its lock.
pub(super) type Locked = (Arc<Folio>, FolioGuard);

impl<'a> HugetlbFault<'a> {
    /// What brings in the huge page at `addr` without a fault, under the VMA lock.
    pub(super) fn new(m: &'a Machine, mm: &'a Arc<Mm>, vma: &'a Arc<Vma>, file: &'a Arc<Inode>, addr: u64) -> Self {
        let start = addr / PMD_SIZE * PMD_SIZE;
        Self {
            m,
            mm,
            vma,
            file,
            page: addr,
            addr: start,
            write: true,
            under_vma_lock: true,
            vma_lock: RefCell::default(),
        }
    }
}

impl HugetlbFault<'_> {
    pub(super) fn huge_index(&self) -> u64 {
        huge_index(self.index())
    }

    /// Returns the page of the file that the huge page begins with.
    pub(super) fn index(&self) -> u64 {
        self.vma.pgoff_of(self.addr)
    }

    pub(super) fn lock(&self) -> Serial {
        let over_all = self.m.protocol.hugetlb_locking == HugetlbLocking::Imap;
        let i_mmap = over_all.then(|| self.file.mapping.i_mmap_rwsem.read());
        let mutex = self.m.hugetlb_fault_mutexes.lock(self.file.id, self.huge_index());
        let vma = self.vma.hugetlb_vma_lock_read(&self.m.protocol);
        Serial { vma: Some(vma), mutex: Some(mutex), i_mmap }
    }

    /// Sees to it that the VMA has an anon_vma.
    pub(super) fn anon_prepare(&self) -> Result<(), Outcome> {
        let result = anon_vma::anon_prepare(self.m, self.mm, self.vma, self.under_vma_lock);
        if result == Err(Outcome::Retry) && self.m.protocol.has(Bug::VmaUsedAfterUnlock) {
            // Whoever asks to be tried again drops the VMA lock, but here others have still to look at the VMA.
            self.vma_lock.take();
        }
        result
    }

    pub(super) fn fail(&self, signal: Signal) -> Outcome {
        Outcome::Fail(bus::signal(self.m, self.mm, self.page, self.write, signal))
    }

    /// Takes a page out of the pool: for the cache of the file, or for a private mapping alone. Returns it locked.
    #[inline(never)]
    pub(super) fn new_page(&self) -> Result<Locked, Outcome> {
        if self.index() >= self.file.size() {
            return Err(self.fail(Signal::Bus));
        }
        let shared = self.vma.flags().shared;
        if !shared {
            self.anon_prepare()?;
        }
        let on_behalf = For::Vma(self.vma);
        let folio = reserve::alloc_hugetlb_folio(self.m, self.file, on_behalf, self.huge_index(), false)?;
        folio.uptodate.store(true, Relaxed);
        let locked = folio.lock.lock();
        if shared && !reserve::hugetlb_add_to_page_cache(self.m, self.file, self.index(), &folio) {
            reserve::restore_reserve_on_error(self.file, on_behalf, self.huge_index(), &folio);
            self.unlock(Some((folio, locked)));
            return Err(Outcome::Done);
        }
        Ok((folio, locked))
    }

    pub(super) fn unlock(&self, folio: Option<Locked>) {
        if let Some((folio, locked)) = folio {
            drop(locked);
            self.m.put_folio(&folio, 1);
        }
    }

    /// A page belongs to a private mapping from now on: a promise is kept. The caller has the pmd lock.
    pub(super) fn add_anon_rmap(&self, folio: &Folio) {
        let anon_vma = self.vma.anon_vma.lock().clone();
        folio.set_place(anon_vma.map(|anon_vma| Place::Anon(anon_vma, self.index())));
        folio.is_promised.store(false, Relaxed);
        if let Some(map) = &*self.vma.hugetlb.resv_map.lock() {
            map.note_user(self.huge_index(), folio.pfn);
        }
    }

    /// Maps a page where nothing is mapped. The caller has the pmd lock.
    pub(super) fn set_entry(&self, slot: &Slot, folio: &Folio, writable: bool) {
        self.mm.check_install(self.vma);
        share::check_entry_locked(slot);
        self.m.hugetlb_fault_mutexes.check_locked(self.file.id, self.huge_index(), "is mapped");
        folio.map();
        slot.store(Entry::page(folio.pfn).writable(writable).accessible(self.vma.flags().read));
    }
}

impl Serial {
    /// Lets go of all of it.
    pub(super) fn unlock(&mut self) {
        self.vma = None;
        self.mutex = None;
        self.i_mmap = None;
    }
}

/// Returns whether two entries map the same page with the same rights.
pub(super) fn is_same(one: Entry, other: Entry) -> bool {
    let rights = |entry: Entry| (entry.is_writable(), entry.is_uffd_wp());
    one.as_page() == other.as_page() && rights(one) == rights(other)
}
