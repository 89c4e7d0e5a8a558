//! The first touch of a page of a file.
//!
//! Lock order: under the VMA lock or the mmap lock `-> fs_reclaim` (tables, the copy), `-> invalidate_lock -> folio_lock`,
//! then `-> pte_lock` (fault-around tries folio locks under it). A table that may be needed is made before a folio is
//! locked, because making it may have to wait for reclaim.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Signal, anon_fault, anon_vma, buffer, dax, dirty,
    filemap::{self, Cached},
    shmem, swap, userfaultfd,
    vm_fault::{Outcome, VmFault},
    walk::PteMap,
};
use crate::{
    mem::{Entry, Folio, Inode, Level, PAGE_SIZE, PMD_SIZE, Place},
    protocol::FileFaults,
    sched,
};

/// Pages that a fault looks at around its own.
const FAULT_AROUND: u64 = 16;

/// Maps a page of a file.
#[inline(never)]
pub(crate) fn do_fault(fault: &VmFault<'_>) -> Outcome {
    dax::dax_fault(fault, file(fault));
    if fault.vma.flags().uffd_missing && file(fault).mapping.is_hole(fault.pgoff()) {
        // A hole of the file, which user code fills for this mapping alone.
        return userfaultfd::fault::handle_userfault(fault, false);
    }
    let result = match (fault.write, fault.vma.flags().shared) {
        (false, _) => do_read_fault(fault),
        (true, false) => do_cow_fault(fault),
        (true, true) => do_shared_fault(fault),
    };
    result.map_or_else(|outcome| outcome, |()| Outcome::Done)
}

fn file<'f>(fault: &'f VmFault<'_>) -> &'f Arc<Inode> {
    fault.vma.file.as_ref().expect("only VMAs with a file come here")
}

#[inline(never)]
fn do_read_fault(fault: &VmFault<'_>) -> Result<(), Outcome> {
    let _scope = sched::scope("do_read_fault");
    prealloc_table(fault)?;
    if do_fault_around(fault) {
        return Ok(());
    }
    let cached = call_fault(fault)?;
    let done = finish_fault(fault, &cached.folio, cached.pfn, false);
    unlock(fault, cached);
    done
}

#[inline(never)]
fn do_cow_fault(fault: &VmFault<'_>) -> Result<(), Outcome> {
    let _scope = sched::scope("do_cow_fault");
    anon_vma::vmf_anon_prepare(fault.m, fault)?;
    let copy = anon_fault::alloc_anon_folio(fault)?;
    let result = cow_from_file(fault, &copy);
    fault.m.put_folio(&copy, 1);
    result
}

fn cow_from_file(fault: &VmFault<'_>, copy: &Arc<Folio>) -> Result<(), Outcome> {
    prealloc_table(fault)?;
    let cached = call_fault(fault)?;
    let _held = dax::hold_for_copy(fault, file(fault));
    install_table(fault);
    if let Some(map) = fault.map_pte()
        && map.slot(fault.addr).load().is_none()
    {
        let word = cached.folio.read(cached.pfn);
        copy.write(copy.pfn, word);
        fault.m.model.privatise(fault.mm.id, fault.addr / PAGE_SIZE, word);
        anon_fault::set_anon_pte(fault, &map, copy);
        fault.m.stats.copies.add(1);
    }
    unlock(fault, cached);
    Ok(())
}

#[inline(never)]
fn do_shared_fault(fault: &VmFault<'_>) -> Result<(), Outcome> {
    let _scope = sched::scope("do_shared_fault");
    prealloc_table(fault)?;
    let Cached { folio, locked, pfn } = call_fault(fault)?;
    drop(locked);
    let cached = do_page_mkwrite(fault, folio, pfn)?;
    let done = finish_fault(fault, &cached.folio, cached.pfn, true);
    dirty::folio_mark_dirty(fault.m, &cached.folio);
    unlock(fault, cached);
    done
}

/// Asks the file system whether the page may be written, which takes its own locks. The access is tried again if the page is
/// gone meanwhile; and nobody writes to a file that swap is on.
#[inline(never)]
pub(crate) fn do_page_mkwrite(fault: &VmFault<'_>, folio: Arc<Folio>, pfn: u64) -> Result<Cached, Outcome> {
    if swap::is_swapfile(fault.m, file(fault)) {
        fault.m.put_folio(&folio, 1);
        return Err(fault.fail(Signal::Bus));
    }
    let mapping = &file(fault).mapping;
    if mapping.shmem.is_some() {
        // It has no say in that.
        return lock_again(fault, folio, pfn);
    }
    let _pagefault = fault.m.sb.start_pagefault();
    dirty::mark_inode_dirty(fault.m, mapping); // file_update_time()
    let _invalidate = mapping.invalidate_lock.read();
    if let Some(fs) = file(fault).fs() {
        fs.page_mkwrite();
    }
    let holds = mapping.invalidate_lock.is_mine();
    sched::must_hold(holds, || format!("a page of file {} becomes writable while it may be cut", mapping.file));
    let cached = lock_again(fault, folio, pfn)?;
    buffer::create_empty_buffers(file(fault), &cached.folio);
    Ok(cached)
}

/// Locks a folio that was unlocked meanwhile, unless the page is gone.
#[inline(never)]
fn lock_again(fault: &VmFault<'_>, folio: Arc<Folio>, pfn: u64) -> Result<Cached, Outcome> {
    let locked = folio.lock.lock();
    let mapping = &file(fault).mapping;
    if !folio.is_in(mapping) || fault.pgoff() >= file(fault).size() {
        drop(locked);
        fault.m.put_folio(&folio, 1);
        return Err(Outcome::Done);
    }
    Ok(Cached { folio, locked, pfn })
}

/// Makes sure of a table before anything is locked, if there is none yet.
fn prealloc_table(fault: &VmFault<'_>) -> Result<(), Outcome> {
    if fault.pmd.load().is_none() && fault.prealloc.borrow().is_none() {
        let table = fault.m.alloc_table(Level::Pte)?;
        fault.prealloc.replace(Some(table));
    }
    Ok(())
}

/// Puts the table that was made before under the PMD entry, if it is still empty.
fn install_table(fault: &VmFault<'_>) {
    if fault.pmd.load().is_none()
        && let Some(table) = fault.prealloc.take()
    {
        fault.mm.pmd_install(fault.m, &fault.pmd, table);
    }
}

/// Gets the page from the file, unless the protocol wants the mmap lock for that.
#[inline(never)]
fn call_fault(fault: &VmFault<'_>) -> Result<Cached, Outcome> {
    if fault.under_vma_lock && fault.m.protocol.file_faults != FileFaults::VmaLock {
        return Err(Outcome::Retry);
    }
    let fail = |signal: Signal| match fault.fail(signal) {
        Outcome::Fail(signal) => signal,
        Outcome::Done | Outcome::Retry | Outcome::Userfault => signal,
    };
    if file(fault).is_shmem() {
        return shmem::shmem_fault(fault.m, file(fault), fault.pgoff(), fail).map_err(Outcome::Fail);
    }
    filemap::filemap_fault(fault.m, file(fault), fault.pgoff(), fail).map_err(Outcome::Fail)
}

fn unlock(fault: &VmFault<'_>, cached: Cached) {
    drop(cached.locked);
    fault.m.put_folio(&cached.folio, 1);
}

/// Maps a locked folio: as a whole if it is huge and the VMA has room, or one page of it.
#[inline(never)]
fn finish_fault(fault: &VmFault<'_>, folio: &Arc<Folio>, pfn: u64, writable: bool) -> Result<(), Outcome> {
    if fault.pmd.load().is_none() && do_set_pmd(fault, folio, writable) {
        return Ok(());
    }
    install_table(fault);
    if let Some(map) = fault.map_pte() {
        set_file_pte(fault, &map, fault.addr, folio, pfn, writable);
    }
    Ok(())
}

/// Maps a page of a locked folio where nothing is mapped. The caller has the pte lock.
fn set_file_pte(fault: &VmFault<'_>, map: &PteMap<'_>, addr: u64, folio: &Arc<Folio>, pfn: u64, writable: bool) {
    let slot = map.slot(addr);
    if slot.load().is_none() {
        fault.mm.check_install(&fault.vma);
        folio.check_locked("mapped");
        folio.map();
        slot.store(Entry::page(pfn).writable(writable));
        fault.mm.rss.fetch_add(1, Relaxed);
    }
}

/// Maps a whole huge folio with one entry. Returns whether it could.
#[inline(never)]
pub(crate) fn do_set_pmd(fault: &VmFault<'_>, folio: &Arc<Folio>, writable: bool) -> bool {
    let start = fault.addr / PMD_SIZE * PMD_SIZE;
    let range = fault.vma.range();
    let fits = range.start <= start && start + PMD_SIZE <= range.end;
    let Some(Place::File(_, base)) = folio.place() else { return false };
    let is_whole = folio.is_huge() && base + folio.pages() <= file(fault).size();
    if !is_whole || !fits || fault.vma.pgoff_of(start) != base {
        return false;
    }
    let _pmd_lock = fault.pmd.table.lock.lock();
    let empty = fault.pmd.load().is_none();
    if empty {
        fault.mm.check_install(&fault.vma);
        folio.check_locked("mapped");
        folio.map();
        fault.pmd.store(Entry::page(folio.pfn).writable(writable));
        fault.mm.rss.fetch_add(folio.pages() as i64, Relaxed);
        fault.m.stats.huge_mapped.add(1);
    }
    empty
}

/// Maps what the page cache has around the fault. Returns whether the page of the fault is mapped now.
#[inline(never)]
fn do_fault_around(fault: &VmFault<'_>) -> bool {
    let _rcu = fault.m.rcu.read();
    let first = fault.pgoff();
    if let Some(cached) = next_uptodate_folio(fault, first) {
        let mapped = fault.pmd.load().is_none() && do_set_pmd(fault, &cached.folio, false);
        unlock(fault, cached);
        if mapped {
            return true;
        }
    }
    install_table(fault);
    let Some(map) = fault.map_pte() else { return false };
    let window = PAGE_SIZE * FAULT_AROUND;
    let start = fault.addr / window * window;
    let range = fault.vma.range();
    for addr in (start.max(range.start)..(start + window).min(range.end)).step_by(PAGE_SIZE as usize) {
        if let Some(cached) = next_uptodate_folio(fault, fault.vma.pgoff_of(addr)) {
            set_file_pte(fault, &map, addr, &cached.folio, cached.pfn, false);
            unlock(fault, cached);
        }
    }
    !map.slot(fault.addr).load().is_none()
}

/// Returns the folio of a page if the cache has it ready, locked by a trylock. Nor is it waited for if it is frozen: who has it so
/// may wait for whoever waits for the pte lock, under which this is called.
fn next_uptodate_folio(fault: &VmFault<'_>, index: u64) -> Option<Cached> {
    let file = file(fault);
    let folio = file.mapping.get_unless_frozen(index)?;
    if let Some(locked) = folio.lock.try_lock() {
        if folio.is_in(&file.mapping) && folio.uptodate.load(Relaxed) && index < file.size() {
            let pfn = filemap::page_of(&folio, index);
            return Some(Cached { folio, locked, pfn });
        }
        drop(locked);
    }
    fault.m.put_folio(&folio, 1);
    None
}
