//! The page fault on hugetlbfs.
//!
//! Lock order, under the mmap lock, or the VMA lock from 6.10 on: `hugetlb_fault_mutex -> hugetlb vma_lock (read)`, then, as
//! it is needed, `-> i_mmap_rwsem (read)` to share a page table, `-> fs_reclaim`, `-> hugetlb_lock` and `-> resv_map->lock`
//! for a page, `-> i_pages` for the cache, `-> folio_lock(hugetlb) -> pmd_lock`. From 5.7 to 6.0 `i_mmap_rwsem (read)` came
//! first, before the fault mutex, and was held to the end.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    reserve::{self, For},
    share, wp,
};
use crate::{
    Bug,
    machine::Machine,
    mem::{
        Absent, Entry, Folio, HUGE_PAGES, HugetlbVmaGuard, Inode, Mm, PAGE_SIZE, PMD_SIZE, Place, Slot, Vma,
        VmaReadGuard, huge_index,
    },
    op::{Signal, anon_vma, bus, userfaultfd, vm_fault::Outcome},
    protocol::HugetlbLocking,
    sched,
    sync::{FolioGuard, MutexGuard, ReadGuard},
};

/// A fault on hugetlbfs on its way.
pub(super) struct HugetlbFault<'a> {
    pub(super) m: &'a Machine,
    pub(super) mm: &'a Arc<Mm>,
    pub(super) vma: &'a Arc<Vma>,
    pub(super) file: &'a Arc<Inode>,
    /// The page that was accessed.
    page: u64,
    /// The address of its huge page.
    pub(super) addr: u64,
    pub(super) write: bool,
    /// Nobody holds the mmap lock for it.
    under_vma_lock: bool,
    /// What the fault itself holds of the VMA.
    vma_lock: RefCell<Option<VmaReadGuard>>,
}

/// What a fault holds from its beginning to its end; `wp` drops it and takes it again.
pub(super) struct Serial {
    // Dropped in this order.
    vma: Option<HugetlbVmaGuard>,
    mutex: Option<MutexGuard>,
    i_mmap: Option<ReadGuard>,
}

/// A folio with a reference and its lock.
pub(super) type Locked = (Arc<Folio>, FolioGuard);

/// Handles a fault on a VMA of hugetlbfs. `vma_lock` is what the fault holds of the VMA if it has no mmap lock; whoever
/// returns [`Outcome::Retry`] may have dropped it.
#[inline(never)]
pub(crate) fn hugetlb_fault(
    m: &Machine,
    mm: &Arc<Mm>,
    vma: &Arc<Vma>,
    page: u64,
    write: bool,
    vma_lock: &mut Option<VmaReadGuard>,
) -> Outcome {
    let _scope = sched::scope("hugetlb_fault");
    let Some(file) = &vma.file else { return Outcome::Done };
    let addr = page / PMD_SIZE * PMD_SIZE;
    let under_vma_lock = vma_lock.is_some();
    let vma_guard = RefCell::new(vma_lock.take());
    let fault = HugetlbFault { m, mm, vma, file, page, addr, write, under_vma_lock, vma_lock: vma_guard };
    let mut serial = fault.lock();
    let result = fault.handle(&mut serial);
    drop(serial);
    *vma_lock = fault.vma_lock.take();
    result.map_or_else(|outcome| outcome, |()| Outcome::Done)
}

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

    #[inline(never)]
    fn handle(&self, serial: &mut Serial) -> Result<(), Outcome> {
        let slot = share::huge_pte_alloc(self.m, self.mm, self.vma, self.addr)?;
        let entry = slot.load();
        match entry.as_absent() {
            None if entry.is_page() => self.present(&slot, entry, serial),
            None | Some(Absent::Marker) => self.no_page(&slot, entry, serial),
            // It is broken.
            Some(_) => Err(self.fail(Signal::Bus)),
        }
    }

    /// A fault on an entry that maps a page: it is read-only, or somebody was faster.
    #[inline(never)]
    fn present(&self, slot: &Slot, entry: Entry, serial: &mut Serial) -> Result<(), Outcome> {
        let copies = self.write && !self.vma.flags().shared && !entry.is_writable();
        let cached = if copies { self.lock_cached() } else { None };
        let pmd_lock = slot.table.lock.lock();
        share::check_entry_locked(slot);
        let is_still = is_same(slot.load(), entry);
        if self.write && is_still && entry.is_uffd_wp() && self.vma.flags().uffd_wp {
            drop(pmd_lock);
            self.unlock(cached);
            serial.unlock();
            return Err(userfaultfd::fault::handle_huge_userfault(self.m, self.mm, self.vma, self.addr, true));
        }
        let folio = entry.as_page().filter(|_| is_still).and_then(|pfn| self.m.memory.folio(pfn));
        let Some(folio) = folio else {
            drop(pmd_lock);
            self.unlock(cached);
            return Ok(());
        };
        let is_cached = cached.as_ref().is_some_and(|(other, _)| other.pfn == folio.pfn);
        let own = if is_cached { None } else { folio.lock.try_lock() };
        if !is_cached && own.is_none() {
            folio.get(1);
            drop(pmd_lock);
            self.unlock(cached);
            return self.wait_for(&folio, serial);
        }
        folio.get(1);
        folio.check_locked("looked at, whether it must be copied,");
        if self.write && !entry.is_writable() {
            let result = wp::hugetlb_wp(self, slot, &folio, (own, cached), pmd_lock, serial);
            self.m.put_folio(&folio, 1);
            return result;
        }
        slot.update(|entry| entry.young(true));
        drop(pmd_lock);
        self.unlock(cached);
        drop(own);
        self.m.put_folio(&folio, 1);
        Ok(())
    }

    /// Somebody else has the folio: waits for it with nothing held, and then the fault is taken again.
    fn wait_for(&self, folio: &Arc<Folio>, serial: &mut Serial) -> Result<(), Outcome> {
        serial.unlock();
        drop(folio.lock.lock());
        self.m.put_folio(folio, 1);
        Ok(())
    }

    /// A fault where nothing is mapped: on an entry that is empty, or says that user code is to be told of writes.
    #[inline(never)]
    fn no_page(&self, slot: &Slot, entry: Entry, serial: &mut Serial) -> Result<(), Outcome> {
        let _scope = sched::scope("hugetlb_no_page");
        if self.vma.hugetlb.was_robbed.load(Relaxed) {
            return Err(self.fail(Signal::OutOfMemory));
        }
        let shared = self.vma.flags().shared;
        let (folio, locked, is_new) = match self.lock_cached() {
            Some((folio, locked)) if folio.is_broken.load(Relaxed) => {
                // Said while the folio is locked: once it is not, the page may be cut off and be another one.
                let broken = self.fail(Signal::Bus);
                self.unlock(Some((folio, locked)));
                return Err(broken);
            }
            Some((folio, locked)) => (folio, locked, false),
            None if self.vma.flags().uffd_missing => {
                serial.unlock();
                return Err(userfaultfd::fault::handle_huge_userfault(self.m, self.mm, self.vma, self.addr, false));
            }
            None => {
                let (folio, locked) = self.new_page()?;
                (folio, locked, true)
            }
        };
        let is_own = is_new && !shared;
        let pmd_lock = slot.table.lock.lock();
        if slot.load() != entry {
            drop(pmd_lock);
            if is_own {
                reserve::restore_reserve_on_error(self.file, For::Vma(self.vma), self.huge_index(), &folio);
            }
            self.unlock(Some((folio, locked)));
            return Ok(());
        }
        if is_own {
            self.add_anon_rmap(&folio);
            let page = self.addr / PAGE_SIZE;
            (page..page + HUGE_PAGES).for_each(|page| self.m.model.privatise(self.mm.id, page, 0));
        }
        folio.check_locked("mapped");
        let flags = self.vma.flags();
        let is_protected = entry.is_uffd_wp() && flags.uffd_wp;
        self.set_entry(slot, &folio, flags.write && flags.shared && !is_protected);
        if is_protected {
            slot.update(|entry| entry.uffd_wp(true));
        }
        if self.write && !shared && !is_protected {
            // The copy is made at once, without a second fault.
            folio.get(1);
            let result = wp::hugetlb_wp(self, slot, &folio, (None, Some((folio.clone(), locked))), pmd_lock, serial);
            self.m.put_folio(&folio, 1);
            return result;
        }
        drop(pmd_lock);
        self.unlock(Some((folio, locked)));
        Ok(())
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

    /// Returns the page of the cache, locked and with a reference, if there is one (`filemap_lock_hugetlb_folio`).
    #[inline(never)]
    fn lock_cached(&self) -> Option<Locked> {
        loop {
            let folio = self.file.mapping.get(self.index())?;
            let locked = folio.lock.lock();
            if folio.is_in(&self.file.mapping) {
                return Some((folio, locked));
            }
            self.unlock(Some((folio, locked)));
        }
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
