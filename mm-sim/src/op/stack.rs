//! A stack that grows: a page below it is touched.
//!
//! Up to 6.4.0 it grows under what the page fault has: `mmap_lock (read) -> anon_vma->rwsem (write) -> page_table_lock`, and
//! nobody marks the VMA (CVE-2023-3269). From 6.4.1 on the fault lets go of the mmap lock and takes it for writing:
//! `mmap_lock (write) -> vma_lock (mark) -> anon_vma->rwsem (write) -> page_table_lock`, and goes on as a reader after a
//! downgrade. The anon_vma is made before, because that allocates.

use std::sync::Arc;

use super::{
    Signal, anon_vma, bus,
    mmap::{self, Request},
};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Mm, PAGE_SIZE, PMD_SIZE, VmFlags, Vma},
    model::Backing,
    protocol::StackGrowth,
    sched,
    sync::ReadGuard,
};

/// Pages that stay free between a stack and what is mapped below it.
pub(crate) const GUARD_GAP: u64 = 2;
/// Pages between a 2 MiB border and the first bottom of a stack: it soon grows into another page table.
const ABOVE_BORDER: u64 = 4;
/// Pages that a stack has at most.
pub(crate) const STACK_LIMIT: u64 = 64;

/// Takes the mmap lock for reading and finds the VMA of an address that user code has accessed, letting a stack grow for it.
#[inline(never)]
pub(crate) fn lock_mm_and_find_vma(
    m: &Machine,
    mm: &Arc<Mm>,
    addr: u64,
    store: bool,
) -> Result<(ReadGuard, Arc<Vma>), Signal> {
    let segv = || bus::signal(m, mm, addr, store, Signal::Segv);
    let locked = mm.mmap_lock.read();
    let Some(vma) = mm.find_from(addr) else { return Err(segv()) };
    if vma.range().start <= addr {
        return Ok((locked, vma));
    }
    if !vma.flags().growsdown {
        return Err(segv());
    }
    if m.protocol.stack_growth == StackGrowth::MmapReadLock {
        return if expand_stack(m, mm, &vma, addr) { Ok((locked, vma)) } else { Err(segv()) };
    }
    drop(locked);
    let locked = mm.mmap_write_lock();
    // Anything may have come or gone since.
    let Some(vma) = mm.find_from(addr) else { return Err(segv()) };
    if vma.range().start > addr && !(vma.flags().growsdown && expand_stack(m, mm, &vma, addr)) {
        return Err(segv());
    }
    Ok((locked.downgrade(), vma))
}

/// Maps a stack of `pages` pages with room below it. Returns its lowest address.
#[inline(never)]
pub(crate) fn map_stack(m: &Machine, mm: &Arc<Mm>, pages: u64) -> u64 {
    let _scope = sched::scope("map_stack");
    let _mmap = mm.mmap_write_lock();
    let flags = VmFlags { growsdown: true, ..VmFlags::READ_WRITE };
    let start = mmap::get_unmapped_area(mm) + PMD_SIZE + ABOVE_BORDER * PAGE_SIZE;
    mmap::do_mmap(m, mm, start, Request { addr: Some(start), pages, flags, file: None });
    start
}

/// Lets a stack start at the page of `addr`. Returns whether it may.
#[inline(never)]
fn expand_stack(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64) -> bool {
    let _scope = sched::scope("expand_stack");
    let start = addr / PAGE_SIZE * PAGE_SIZE;
    if !may_grow(mm, vma, start) {
        check_refusal(m, mm, vma, start);
        return false;
    }
    anon_vma::anon_vma_prepare(m, mm, vma);
    if m.protocol.stack_growth == StackGrowth::MmapWriteLock {
        vma.vma_start_write(mm);
    }
    let Some(anon_vma) = vma.anon_vma.lock().clone() else { return false };
    let _anon_vma = anon_vma.rwsem().write();
    let _page_table_lock = mm.page_table_lock.lock();
    let holds = mm.page_table_lock.is_mine();
    sched::must_hold(holds, || format!("vma {} grows without page_table_lock: another thread may grow it too", vma.id));
    let old = vma.range().start;
    // Another thread may have been here between the two looks.
    if start < old {
        let pages = start / PAGE_SIZE..old / PAGE_SIZE;
        m.model.map(mm.id, pages.clone(), Backing::Anon, mmap::access_of(vma.flags()));
        let chain = vma.anon_vma_chain.lock().clone();
        for anon_vma in &chain {
            anon_vma.vmas.lock().remove(vma);
        }
        if vma.flags().locked {
            mm.account_locked((old - start) as i64 / PAGE_SIZE as i64);
        }
        mm.grow_down(vma, start);
        chain.iter().for_each(|anon_vma| anon_vma.vmas.lock().insert(vma));
        m.model.settle(mm.id, pages);
        m.stats.stacks_grown.add(1);
    }
    true
}

/// Returns whether the limit and what is mapped below let a stack start there.
fn may_grow(mm: &Mm, vma: &Vma, start: u64) -> bool {
    let floor = start.saturating_sub(GUARD_GAP * PAGE_SIZE);
    let is_free = mm.find_all(&(floor..vma.range().start)).is_empty();
    is_free && vma.range().end - start <= STACK_LIMIT * PAGE_SIZE
}

/// Checks that the model sees the same reason.
fn check_refusal(m: &Machine, mm: &Mm, vma: &Vma, start: u64) {
    let (floor, stack) = (start / PAGE_SIZE - GUARD_GAP, vma.range().start / PAGE_SIZE);
    let too_large = vma.range().end / PAGE_SIZE - start / PAGE_SIZE > STACK_LIMIT;
    if !too_large && m.model.is_free(mm.id, floor..stack) {
        let text = format!("process {}: a stack may not grow to {start:#x}, although nothing is in its way", mm.id);
        sched::finding(Invariant::WrongSignal, text);
    }
}
