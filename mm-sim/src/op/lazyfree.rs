//! Reclaim drops an anonymous page that nobody needs (`MADV_FREE`) and nobody has written to since.
//!
//! Lock order, under the folio's lock: `-> anon_vma->rwsem (read) -> mmu_notifier_invalidate_range_start`, `-> pte_lock`. Whether
//! the page is dirty, or somebody has just taken it without locks, is known only once the entry is empty.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::mmu_notifier;
use crate::{
    machine::Machine,
    mem::{Entry, Folio, PAGE_SIZE, rmap},
    sched,
};

/// References of an isolated folio besides those of entries.
const OURS: i64 = 1;

/// Drops a locked folio, if it is clean and nobody else has it. Returns whether it is gone.
#[inline(never)]
pub(crate) fn discard(m: &Machine, folio: &Arc<Folio>) -> bool {
    let _scope = sched::scope("discard_lazyfree");
    rmap::rmap_walk(folio, true, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        let _told = mmu_notifier::invalidate_range_start(m, &mm, &range);
        mm.walk(m, vma, range, &mut |slot, addr, entry| {
            if entry.as_page() != Some(folio.pfn) || vma.flags().locked {
                return;
            }
            let old = slot.store(Entry::NONE);
            m.tlb.flush(mm.id, addr / PAGE_SIZE..addr / PAGE_SIZE + 1);
            let is_needed = old.is_dirty() || folio.dirty.load(Relaxed) || folio.refs() != folio.maps() + OURS;
            if is_needed {
                folio.lazyfree.store(false, Relaxed);
                slot.store(old);
                return;
            }
            mm.rss.fetch_sub(1, Relaxed);
            folio.unmap();
            m.put_folio(folio, 1);
        });
    });
    let gone = folio.maps() == 0 && folio.freeze(OURS as u64);
    if gone {
        m.free_folio(folio);
        m.stats.lazily_freed.add(1);
    }
    gone
}
