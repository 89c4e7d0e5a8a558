//! The page fault: which lock it runs under, and which of the handlers does the work.
//!
//! Lock order: `vma_lock (read, trylock under RCU)` alone, or else `mmap_lock (read)`; under it, in a handler,
//! `-> fs_reclaim` for what it allocates, `-> invalidate_lock -> folio_lock` for files, and last `-> pte_lock`.
//! Under the VMA lock nothing ever waits for the mmap lock: the fault lets go and starts again with it (`Retry`).

use std::sync::Arc;

use super::{
    Signal, absent_fault, anon_fault, bus, file_fault, huge_pmd, hugetlb, migrate, stack, thp,
    vm_fault::{Outcome, VmFault},
    write_fault,
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Entry, Level, Mm, PAGE_SIZE, Userfaultfd, Vma, VmaReadGuard},
    protocol::{FileFaults, UserfaultLocks},
    sched,
    sync::ReadGuard,
};

/// Handles a fault of user code.
#[inline(never)]
pub(crate) fn do_user_addr_fault(m: &Machine, mm: &Arc<Mm>, addr: u64, write: bool) -> Result<(), Signal> {
    let _scope = sched::scope("page_fault");
    let page = addr / PAGE_SIZE * PAGE_SIZE;
    if let Some(locked) = lock_vma_under_rcu(m, mm, page)
        && locked.vma.flags().allows(write)
    {
        m.stats.faults_under_vma_lock.add(1);
        let vma = locked.vma.clone();
        let mut locked = Some(locked);
        match handle_mm_fault(m, mm, &vma, page, write, &mut locked) {
            Outcome::Retry => m.stats.faults_retried.add(1),
            Outcome::Userfault => return wait_for_user(vma.uffd(), locked),
            outcome => return to_result(outcome),
        }
    }
    fault_under_mmap_lock(m, mm, page, write)
}

#[inline(never)]
fn fault_under_mmap_lock(m: &Machine, mm: &Arc<Mm>, addr: u64, write: bool) -> Result<(), Signal> {
    m.stats.faults_under_mmap_lock.add(1);
    let (mmap, vma) = stack::lock_mm_and_find_vma(m, mm, addr, write)?;
    if !vma.flags().allows(write) {
        return Err(bus::signal(m, mm, addr, write, Signal::Segv));
    }
    match handle_mm_fault(m, mm, &vma, addr, write, &mut None) {
        Outcome::Userfault => wait_for_user(vma.uffd(), mmap),
        outcome => to_result(outcome),
    }
}

/// Faults a page in for a caller who has taken the mmap lock and knows the VMA. The lock is dropped.
pub(crate) fn fixup_user_fault(
    m: &Machine,
    mm: &Arc<Mm>,
    (mmap, vma): (ReadGuard, &Arc<Vma>),
    addr: u64,
    write: bool,
) -> Result<(), Signal> {
    match handle_mm_fault(m, mm, vma, addr, write, &mut None) {
        Outcome::Userfault => wait_for_user(vma.uffd(), mmap),
        outcome => to_result(outcome),
    }
}

/// Gives a place that shares a page one of its own, whatever the VMA allows (`FAULT_FLAG_UNSHARE`). The caller has the mmap
/// lock.
pub(crate) fn unshare_fault(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64) -> Result<(), Signal> {
    to_result(handle_mm_fault(m, mm, vma, addr, true, &mut None))
}

/// Faults a page in for reading, for a caller who keeps the mmap lock.
pub(crate) fn read_fault(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64) -> Result<(), Signal> {
    to_result(handle_mm_fault(m, mm, vma, addr, false, &mut None))
}

/// Drops the lock of a fault and sleeps until user code has brought the page.
fn wait_for_user<L>(ctx: Option<Arc<Userfaultfd>>, locked: L) -> Result<(), Signal> {
    drop(locked);
    ctx.iter().for_each(|ctx| ctx.wait());
    Ok(())
}

const fn to_result(outcome: Outcome) -> Result<(), Signal> {
    match outcome {
        Outcome::Done | Outcome::Retry | Outcome::Userfault => Ok(()),
        Outcome::Fail(signal) => Err(signal),
    }
}

/// Finds and read-locks the VMA of an address without the mmap lock, if the protocol allows it for this sort of VMA.
#[inline(never)]
fn lock_vma_under_rcu(m: &Machine, mm: &Arc<Mm>, addr: u64) -> Option<VmaReadGuard> {
    if !m.protocol.vma_lock {
        return None;
    }
    let _rcu = m.rcu.read();
    let vma = mm.find(addr)?;
    if vma.file.is_some() && m.protocol.file_faults == FileFaults::MmapLock {
        return None;
    }
    if vma.is_hugetlb() && !m.protocol.hugetlb_under_vma_lock {
        return None;
    }
    if vma.uffd().is_some() && m.protocol.userfault == UserfaultLocks::MmapLock {
        return None;
    }
    let is_ready = || vma.file.is_some() || m.protocol.anon_vma_under_vma_lock || vma.anon_vma.lock().is_some();
    if !is_ready() {
        return None;
    }
    let locked = vma.start_read(mm)?;
    let is_there = !vma.detached.load(std::sync::atomic::Ordering::Relaxed) && vma.range().contains(&addr);
    let still_ready = m.protocol.has(Bug::AnonVmaCheckedEarly) || is_ready();
    (still_ready && is_there).then_some(locked)
}

/// Handles a fault on a VMA that is kept in place by the VMA lock, which is `vma_lock` then, or by the mmap lock.
#[inline(never)]
fn handle_mm_fault(
    m: &Machine,
    mm: &Arc<Mm>,
    vma: &Arc<Vma>,
    addr: u64,
    write: bool,
    vma_lock: &mut Option<VmaReadGuard>,
) -> Outcome {
    if vma.is_hugetlb() {
        return hugetlb::fault::hugetlb_fault(m, mm, vma, addr, write, vma_lock);
    }
    let Ok(pmd) = mm.pmd_alloc(m, addr) else { return Outcome::Fail(Signal::OutOfMemory) };
    let mut fault = VmFault::new(m, mm, vma, addr, pmd);
    fault.write = write;
    fault.under_vma_lock = vma_lock.is_some();
    if fault.pmd.load().is_none()
        && let Some(outcome) = thp::fault::do_huge_pmd_anonymous_page(&fault)
    {
        return outcome;
    }
    let whole = fault.pmd.load();
    if whole.is_page() {
        huge_pmd_fault(&fault)
    } else if whole.as_absent().is_some() {
        absent_fault::do_swap_page(&fault, whole)
    } else {
        handle_pte_fault(&fault)
    }
}

/// A write to a huge page: a shared one becomes writable, a private one is taken apart.
#[inline(never)]
fn huge_pmd_fault(fault: &VmFault<'_>) -> Outcome {
    if fault.write && fault.vma.file.is_none() {
        return thp::fault::do_huge_pmd_wp_page(fault);
    }
    if fault.write && !fault.vma.flags().shared {
        huge_pmd::split_for_fault(fault);
        return Outcome::Done;
    }
    let _pmd_lock = fault.pmd.table.lock.lock();
    let entry = fault.pmd.load();
    if entry.is_page() {
        fault.pmd.update(|entry| entry.young(true).writable(entry.is_writable() || fault.write));
    }
    Outcome::Done
}

#[inline(never)]
fn handle_pte_fault(fault: &VmFault<'_>) -> Outcome {
    let _scope = sched::scope("handle_pte_fault");
    let entry = peek_pte(fault);
    if entry.is_none() {
        return if fault.vma.file.is_some() {
            file_fault::do_fault(fault)
        } else {
            anon_fault::do_anonymous_page(fault)
        };
    }
    if entry.as_absent().is_some() {
        return absent_fault::do_swap_page(fault, entry);
    }
    let Some(map) = fault.map_pte() else { return Outcome::Done };
    let slot = map.slot(fault.addr);
    if slot.load() != entry {
        return Outcome::Done;
    }
    if !entry.is_accessible() && fault.vma.flags().read {
        return migrate::numa::do_numa_page(fault, map, entry);
    }
    if fault.write && !entry.is_writable() {
        return write_fault::do_wp_page(fault, map, entry);
    }
    slot.update(|entry| entry.young(true));
    Outcome::Done
}

/// Reads the entry of the fault without its lock.
pub(crate) fn peek_pte(fault: &VmFault<'_>) -> Entry {
    let _rcu = fault.mm.protocol.pte_map_under_rcu.then(|| fault.m.rcu.read());
    fault.mm.check_walk(&fault.vma);
    fault.mm.slot(fault.m, fault.addr, Level::Pte).map_or(Entry::NONE, |slot| slot.load())
}
