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
    share,
    vm_fault::{HugetlbFault, Locked, Serial, is_same},
    wp,
};
use crate::{
    machine::Machine,
    mem::{Absent, Entry, Folio, HUGE_PAGES, Mm, PAGE_SIZE, PMD_SIZE, Slot, Vma, VmaReadGuard},
    op::{Signal, userfaultfd, vm_fault::Outcome},
    sched,
};

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

impl HugetlbFault<'_> {
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
}
