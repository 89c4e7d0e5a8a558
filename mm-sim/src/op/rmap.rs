//! What is done to all entries that map a folio.
//!
//! Lock order: `folio_lock -> i_mmap_rwsem (read) or anon_vma->rwsem (read) -> pte_lock`. Looking at references only
//! tries the second lock; unmapping waits for it.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{dirty, gather::Gather, mmu_notifier, swap};
use crate::{
    machine::Machine,
    mem::{
        Folio, PAGE_SIZE, Vma,
        rmap::{maps, rmap_walk, rmap_walk_locked},
    },
    sched,
};

/// Returns how many entries that map the folio were used since the last look, or `None` if the lock was not to be had.
#[inline(never)]
pub(crate) fn folio_referenced(m: &Machine, folio: &Folio) -> Option<u32> {
    let _scope = sched::scope("folio_referenced");
    let mut young = 0;
    rmap_walk(folio, false, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        mm.walk(m, vma, range, &mut |slot, _, entry| {
            if maps(folio, entry.as_page()) && entry.is_young() {
                slot.update(|entry| entry.young(false));
                young += 1;
            }
        });
    })?;
    young += u32::from(folio.was_used.swap(false, Relaxed));
    if young > 0 {
        folio.is_idle.store(false, Relaxed);
    }
    Some(young)
}

/// Takes a locked folio out of all page tables.
#[inline(never)]
pub(crate) fn try_to_unmap(m: &Machine, folio: &Arc<Folio>) {
    let _scope = sched::scope("try_to_unmap");
    folio.check_locked("unmapped");
    rmap_walk(folio, true, &mut |vma, range| try_to_unmap_one(m, folio, vma, range));
}

/// The same for who has the lock of the reverse map already (`TTU_RMAP_LOCKED`).
#[inline(never)]
pub(crate) fn try_to_unmap_locked(m: &Machine, folio: &Arc<Folio>) {
    let _scope = sched::scope("try_to_unmap");
    folio.check_locked("unmapped");
    rmap_walk_locked(folio, &mut |vma, range| try_to_unmap_one(m, folio, vma, range));
}

#[inline(never)]
fn try_to_unmap_one(m: &Machine, folio: &Arc<Folio>, vma: &Vma, range: Range<u64>) {
    let Some(mm) = vma.mm.upgrade() else { return };
    if sched::in_reclaim() && vma.flags().locked {
        // Nobody had told: a page that came into a locked VMA later.
        m.lru.set_mlocked(folio, true);
        return;
    }
    if let Some(slot) = folio.swap() {
        return swap::unmap_to_swap(m, folio, slot, (&mm, vma, range));
    }
    let mut gather = Gather::default();
    gather.zap(m, &mm, vma, range, &|other| other.pfn == folio.pfn);
    gather.finish(m);
}

/// Makes all entries that map a locked folio clean and read-only. Returns whether one was dirty.
pub(crate) fn folio_mkclean(m: &Machine, folio: &Folio) -> bool {
    let _scope = sched::scope("folio_mkclean");
    folio.check_locked("made clean");
    let mut dirty = false;
    rmap_walk(folio, true, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        let _told = mmu_notifier::invalidate_range_start(m, &mm, &range);
        mm.walk(m, vma, range, &mut |slot, addr, entry| {
            if maps(folio, entry.as_page()) && (entry.is_dirty() || entry.is_writable()) {
                dirty |= slot.update(|entry| entry.clean().writable(false)).is_dirty();
                let (page, pages) = (addr / PAGE_SIZE, slot.table.level.entry_size() / PAGE_SIZE);
                m.tlb.flush(mm.id, page..page + pages);
            }
        });
    });
    if dirty {
        dirty::folio_mark_dirty(m, folio);
    }
    dirty
}
