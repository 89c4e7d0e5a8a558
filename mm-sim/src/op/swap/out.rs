//! Reclaim's way of getting rid of an anonymous folio.
//!
//! Lock order, under the folio's lock: `-> swap_info->lock -> swap_cluster->lock` for a slot, `-> swap_cache`; then
//! `-> anon_vma->rwsem (read) -> mmu_notifier_invalidate_range_start`, `-> pte_lock -> swap_cluster->lock`, `-> mmlist_lock` to leave the slot in the entries. The
//! write ends in a soft interrupt, which takes `lruvec->lru_lock` to put the folio where it is freed next.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    machine::Machine,
    mem::{Entry, Folio, Mm, PAGE_SIZE, Vma},
    op::{dirty, mmu_notifier, neighbours::zswap},
    sched,
    sync::Irq,
};

/// Steps that the device takes for a page.
const DEVICE_STEPS: u32 = 20;

/// Gives a locked folio a slot and puts it into the swap cache. Returns whether there was a slot.
#[inline(never)]
pub(crate) fn add_to_swap(m: &Machine, folio: &Arc<Folio>) -> bool {
    let _scope = sched::scope("add_to_swap");
    let Some(slot) = m.swap.take_slot() else { return false };
    m.swap.cache_add(slot, folio);
    // What is on the device is none of this folio.
    folio.dirty.store(true, Relaxed);
    m.stats.swapped_out.add(1);
    true
}

/// Leaves the slot of a locked folio in the entries of one VMA that map it.
#[inline(never)]
pub(crate) fn unmap_to_swap(m: &Machine, folio: &Arc<Folio>, slot: u64, place: (&Arc<Mm>, &Vma, Range<u64>)) {
    let (mm, vma, range) = place;
    let _told = mmu_notifier::invalidate_range_start(m, mm, &range);
    mm.walk(m, vma, range, &mut |pte, addr, entry| {
        if entry.as_page() != Some(folio.pfn) {
            return;
        }
        let old = pte.store(Entry::NONE);
        m.tlb.flush(mm.id, addr / PAGE_SIZE..addr / PAGE_SIZE + 1);
        if old.is_dirty() {
            folio.dirty.store(true, Relaxed);
        }
        m.swap.duplicate(slot);
        m.swap.mmlist_add(mm);
        pte.store(Entry::swap(slot).uffd_wp(old.is_uffd_wp()));
        mm.rss.fetch_sub(1, Relaxed);
        mm.swaps.fetch_add(1, Relaxed);
        folio.unmap();
        m.put_folio(folio, 1);
    });
}

/// Begins to write a locked folio of the swap cache that is dirty. Returns whether it was.
#[inline(never)]
pub(crate) fn write_to_swap(m: &Machine, folio: &Arc<Folio>, slot: u64) -> bool {
    let started = dirty::start_writeback(folio);
    if started {
        zswap::zswap_store(m);
        folio.reclaim.store(true, Relaxed);
        let (machine, folio) = (m.arc(), folio.clone());
        let end_io = move || {
            machine.swap.write(slot, folio.read(folio.pfn));
            dirty::end_writeback(&machine, &folio);
        };
        sched::raise(Irq::Soft, DEVICE_STEPS, Box::new(end_io));
    }
    started
}
