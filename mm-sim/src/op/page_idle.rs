//! `/sys/kernel/mm/page_idle`: which pages nobody has used since they were marked.
//!
//! Lock order: for a page of a file and one that KSM shares `folio_lock (trylock)`, `-> i_mmap_rwsem or anon_vma->rwsem (read)
//! -> pte_lock`. The marks that the hardware has left in the entries are taken away; that a page was used is kept aside for
//! reclaim. No TLB is flushed: an access that needs no walk of the page tables is not seen.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    machine::Machine,
    mem::{
        Folio, Place,
        rmap::{maps, rmap_walk},
    },
    sched,
};

/// Marks a page. Returns whether it is one that can be idle.
#[inline(never)]
pub(crate) fn mark_idle(m: &Machine, pfn: u64) -> bool {
    let _scope = sched::scope("page_idle_bitmap_write");
    let folio = page_idle_get_folio(m, pfn);
    folio.iter().for_each(|folio| {
        page_idle_clear_pte_refs(m, folio);
        folio.is_idle.store(true, Relaxed);
        m.put_folio(folio, 1);
    });
    folio.is_some()
}

/// Returns whether a page that was marked has not been used since.
#[inline(never)]
pub(crate) fn is_idle(m: &Machine, pfn: u64) -> bool {
    let _scope = sched::scope("page_idle_bitmap_read");
    let Some(folio) = page_idle_get_folio(m, pfn) else { return false };
    if folio.is_idle.load(Relaxed) {
        page_idle_clear_pte_refs(m, &folio);
    }
    let is_idle = folio.is_idle.load(Relaxed);
    m.put_folio(&folio, 1);
    is_idle
}

/// Returns the folio of a page that is on the LRU list, with a reference.
fn page_idle_get_folio(m: &Machine, pfn: u64) -> Option<Arc<Folio>> {
    let is_on = |folio: &Arc<Folio>| folio.lru.load(Relaxed) != 0;
    m.memory.peek_folio(pfn).filter(|folio| is_on(folio) && folio.try_get())
}

/// Takes away the marks that accesses have left; if there is one, the folio is not idle.
#[inline(never)]
fn page_idle_clear_pte_refs(m: &Machine, folio: &Folio) {
    let Some(place) = folio.place() else { return };
    let needs_lock = !matches!(place, Place::Anon(..));
    let locked = if needs_lock { folio.lock.try_lock() } else { None };
    if needs_lock && locked.is_none() {
        return;
    }
    if needs_lock {
        folio.check_locked("looked at, whether it is idle,");
    }
    let mut is_used = false;
    rmap_walk(folio, true, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        mm.walk(m, vma, range, &mut |slot, _, entry| {
            if maps(folio, entry.as_page()) && entry.is_young() {
                slot.update(|entry| entry.young(false));
                is_used = true;
            }
        });
    });
    if is_used {
        folio.is_idle.store(false, Relaxed);
        folio.was_used.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Protocol,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    /// A page is idle until another process uses it.
    fn mark_and_use(world: &World) -> Plan {
        let mut plan = Plan::default();
        let (Some(first), Some(second)) = (plan.spawn(world), plan.spawn(world)) else { return plan };
        let kernel = world.clone();
        plan.actor("observer", move || {
            let file = kernel.create(2);
            let (mine, yours) = (first.map_file(&file, 0, 2, true), second.map_file(&file, 0, 2, true));
            first.load(mine).unwrap();
            assert!(!kernel.is_idle(&first, mine), "it has not been marked");
            assert!(kernel.mark_idle(&first, mine));
            assert!(kernel.is_idle(&first, mine) && kernel.is_idle(&first, mine), "nobody has used it");
            second.load(yours).unwrap();
            assert!(!kernel.is_idle(&first, mine), "the other process has");
            let heap = first.map_anon(1);
            assert!(!kernel.mark_idle(&first, heap), "there is no page");
            first.store(heap, 1).unwrap();
            assert!(kernel.mark_idle(&first, heap) && kernel.is_idle(&first, heap));
            first.clear_refs();
            first.store(heap, 2).unwrap();
            assert!(!kernel.is_idle(&first, heap));
        });
        plan
    }

    #[test]
    fn a_page_is_idle_until_it_is_used() {
        let setup = Setup { id: "mark-and-use", memory: 500, build: mark_and_use };
        let outcome = play(&setup, Protocol::V6_12, Expect::Silent, 1);
        assert!(outcome.is_expected, "{}: {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
    }
}
