//! From a folio to the entries that map it.
//!
//! Lock order: `folio_lock -> i_mmap_rwsem (read) or anon_vma->rwsem (read) -> pte_lock`. Looking at references only
//! tries the second lock; unmapping waits for it.

use std::{ops::Range, sync::Arc};

use super::{Folio, Gather, PAGE_SIZE, Place, Vma};
use crate::{
    machine::Machine,
    op::{dirty, mmu_notifier, swap},
    sched,
    sync::{ReadGuard, RwSem},
};

/// Calls `visit` for each VMA that may map the folio, with the addresses. `None` if the lock was not to be had.
pub(crate) fn rmap_walk(folio: &Folio, wait: bool, visit: &mut dyn FnMut(&Arc<Vma>, Range<u64>)) -> Option<()> {
    let take = |rwsem: &RwSem| -> Option<ReadGuard> { if wait { Some(rwsem.read()) } else { rwsem.try_read() } };
    let place = folio.place()?;
    let (_guard, index, vmas) = match &place {
        Place::File(mapping, index) => {
            let guard = take(&mapping.i_mmap_rwsem)?;
            (guard, *index, mapping.i_mmap.lock().overlapping(*index..*index + folio.pages()))
        }
        Place::Anon(anon_vma, index) => {
            let guard = take(anon_vma.rwsem())?;
            (guard, *index, anon_vma.vmas.lock().overlapping(*index..*index + folio.pages()))
        }
        Place::Ksm(stable) => {
            for (anon_vma, index) in stable.places() {
                let _guard = take(anon_vma.rwsem())?;
                let vmas = anon_vma.vmas.lock().overlapping(index..index + 1);
                vmas.iter().for_each(|vma| visit(vma, vma.addrs_of(&(index..index + 1))));
            }
            return Some(());
        }
    };
    for vma in vmas {
        visit(&vma, vma.addrs_of(&(index..index + folio.pages())));
    }
    Some(())
}

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
    Some(young)
}

/// Takes a locked folio out of all page tables.
#[inline(never)]
pub(crate) fn try_to_unmap(m: &Machine, folio: &Arc<Folio>) {
    let _scope = sched::scope("try_to_unmap");
    folio.check_locked("unmapped");
    rmap_walk(folio, true, &mut |vma, range| try_to_unmap_one(m, folio, vma, range));
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

/// Returns whether a VMA that may map the folio is locked in memory. Waits for the lock.
pub(crate) fn is_locked_elsewhere(folio: &Folio) -> bool {
    let mut locked = false;
    rmap_walk(folio, true, &mut |vma, _| locked |= vma.flags().locked);
    locked
}

/// Counts the entries that the reverse map finds, without locks: for the invariants.
pub(crate) fn count_mappings(m: &Machine, folio: &Folio) -> i64 {
    let Some(place) = folio.place() else { return 0 };
    let mut found = std::collections::BTreeSet::new();
    let mut look = |vmas: Vec<Arc<Vma>>, index: u64| {
        for vma in vmas {
            let Some(mm) = vma.mm.upgrade() else { continue };
            for addr in vma.addrs_of(&(index..index + folio.pages())).step_by(PAGE_SIZE as usize) {
                let Some(slot) = mm.hardware_slot(m, addr) else { continue };
                if maps(folio, slot.load().as_page()) {
                    found.insert((slot.table.id, slot.index));
                }
            }
        }
    };
    match &place {
        Place::File(mapping, index) => look(mapping.i_mmap.lock().peek(*index..*index + folio.pages()), *index),
        Place::Anon(anon_vma, index) => look(anon_vma.vmas.lock().peek(*index..*index + folio.pages()), *index),
        Place::Ksm(stable) => {
            for (anon_vma, index) in stable.places() {
                look(anon_vma.vmas.lock().peek(index..index + 1), index);
            }
        }
    }
    found.len() as i64
}

fn maps(folio: &Folio, pfn: Option<u64>) -> bool {
    pfn.is_some_and(|pfn| folio.has_page(pfn))
}
