//! `/proc/PID`: what others can see of a process's memory.
//!
//! * `smaps`: `mmap_lock (read) -> pte_lock`.
//! * `numa_maps`: the same, and for a VMA of hugetlbfs `mmap_lock (read) -> hugetlb vma_lock (read) -> pmd_lock`.
//! * `clear_refs`: `mmap_lock (write) -> mmu_notifier_invalidate_range_start`, `-> pte_lock`.
//! * `maps`: `mmap_lock (read)`; where it reads VMA by VMA (6.17), `vma_lock (read, trylock under RCU)`, one at a time, and
//!   where that fails `mmap_lock (read) -> vma_lock (read)`, with the mmap lock dropped again. It starts where it has stopped,
//!   so it looks once more, when it has the lock, whether the VMA still covers that place; if not, it must let go of it.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::mmu_notifier;
use crate::{
    Bug,
    finding::Invariant,
    machine::Machine,
    mem::{Mm, NODES, PAGE_SIZE, Vma, VmaReadGuard},
    sched,
};

/// Returns how many pages of the process are resident.
#[inline(never)]
pub(crate) fn smaps(m: &Machine, mm: &Arc<Mm>) -> u64 {
    let _scope = sched::scope("smaps");
    let _mmap = mm.mmap_lock.read();
    let mut resident = 0;
    for vma in mm.all() {
        mm.walk(m, &vma, vma.range(), &mut |slot, _, entry| {
            if entry.is_page() {
                resident += slot.table.level.entry_size() / PAGE_SIZE;
            }
        });
    }
    resident
}

/// Returns how many pages of the process are resident on each node.
#[inline(never)]
pub(crate) fn numa_maps(m: &Machine, mm: &Arc<Mm>) -> [u64; NODES as usize] {
    let _scope = sched::scope("numa_maps");
    let _mmap = mm.mmap_lock.read();
    let mut pages = [0; NODES as usize];
    for vma in mm.all() {
        // Whoever reads the page tables of hugetlbfs keeps shared ones in place.
        let _unshared = vma.is_hugetlb().then(|| vma.hugetlb_vma_lock_read(&m.protocol));
        mm.walk(m, &vma, vma.range(), &mut |slot, _, entry| {
            if let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) {
                pages[usize::from(folio.node)] += slot.table.level.entry_size() / PAGE_SIZE;
            }
        });
    }
    pages
}

/// Marks all pages as not used.
#[inline(never)]
pub(crate) fn clear_refs(m: &Machine, mm: &Arc<Mm>) {
    let _scope = sched::scope("clear_refs");
    let _mmap = mm.mmap_write_lock();
    for vma in mm.all() {
        let range = vma.range();
        let _told = mmu_notifier::invalidate_range_start(m, mm, &range);
        mm.walk(m, &vma, range.clone(), &mut |slot, _, entry| {
            if entry.is_page() {
                slot.update(|entry| entry.young(false));
            }
        });
        m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE);
    }
}

/// Returns the ranges of all mappings.
#[inline(never)]
pub(crate) fn maps(m: &Machine, mm: &Arc<Mm>) -> Vec<Range<u64>> {
    let _scope = sched::scope("proc_maps");
    if m.protocol.maps_under_vma_lock {
        return maps_by_vma(m, mm);
    }
    let _mmap = mm.mmap_lock.read();
    mm.all().iter().map(|vma| vma.range()).collect()
}

fn maps_by_vma(m: &Machine, mm: &Arc<Mm>) -> Vec<Range<u64>> {
    let (mut ranges, mut from) = (Vec::new(), 0);
    while let Some(locked) = lock_next_vma(m, mm, from) {
        ranges.push(locked.vma.range());
        from = locked.vma.range().end;
    }
    check_returns_unlocked(mm);
    ranges
}

/// Read-locks the VMA that covers an address, or the next one.
#[inline(never)]
fn lock_next_vma(m: &Machine, mm: &Arc<Mm>, from: u64) -> Option<VmaReadGuard> {
    {
        let _rcu = m.rcu.read();
        let vma = next_vma(mm, from)?;
        sched::step();
        if let Some(locked) = vma.start_read(mm) {
            let is_next = || next_vma(mm, from).is_some_and(|next| Arc::ptr_eq(&next, &vma));
            if !vma.detached.load(Relaxed) && is_next() {
                return Some(locked);
            }
            // The VMA has changed since it was found.
            if m.protocol.has(Bug::MapsKeepVmaLock) {
                std::mem::forget(locked);
            }
        }
    }
    let _mmap = mm.mmap_lock.read();
    Some(next_vma(mm, from)?.start_read_locked(mm, 0))
}

fn next_vma(mm: &Mm, from: u64) -> Option<Arc<Vma>> {
    mm.find(from).or_else(|| mm.find_from(from))
}

/// Checks that no VMA stays locked when the system call returns.
fn check_returns_unlocked(mm: &Mm) {
    let vmas: Vec<_> = mm.vmas.lock().values().cloned().collect();
    if let Some(vma) = vmas.into_iter().find(|vma| vma.lock.is_mine()) {
        let text = format!("vma {} is read-locked by who returns to user space", vma.id);
        sched::finding(Invariant::LockHeldAtExit, text);
    }
}
