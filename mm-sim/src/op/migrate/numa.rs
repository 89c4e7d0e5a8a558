//! NUMA hints: pages are made inaccessible for a while, to see who uses them, and move to his node when he faults.
//!
//! Lock order of the scan: `mmap_lock (read) -> mmu_notifier_invalidate_range_start`, `-> pte_lock`. Of the fault: `vma_lock
//! (read)` or `mmap_lock (read) -> pte_lock -> lru_lock` to isolate, and with the pte lock dropped, but the lock of the fault
//! still held, `migrate_pages`: `-> folio_lock (trylock) -> i_mmap_rwsem or anon_vma->rwsem (read)`. So a page fault takes
//! rmap locks under the VMA lock.

use std::{ops::Range, sync::Arc};

use super::Mode;
use crate::{
    machine::Machine,
    mem::{Entry, Mm, PAGE_SIZE, local_node},
    op::{
        mmu_notifier,
        vm_fault::{Outcome, VmFault},
        walk::PteMap,
    },
    sched,
};

/// Makes the pages of a range inaccessible until they are used (`task_numa_work`).
#[inline(never)]
pub(crate) fn change_prot_numa(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) {
    let _scope = sched::scope("change_prot_numa");
    let Some(_mmap) = mm.mmap_lock.try_read() else { return };
    for vma in mm.find_all(range) {
        let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
        if !vma.flags().read || vma.flags().hugetlb {
            continue;
        }
        let _told = mmu_notifier::invalidate_range_start(m, mm, &part);
        mm.walk(m, &vma, part.clone(), &mut |slot, _, entry| {
            if entry.is_page() && slot.table.level == crate::mem::Level::Pte {
                slot.update(|entry| entry.accessible(false));
            }
        });
        m.tlb.flush(mm.id, part.start / PAGE_SIZE..part.end / PAGE_SIZE);
    }
}

/// Handles a fault on a page that is there but inaccessible, although the mapping may be used.
#[inline(never)]
pub(crate) fn do_numa_page(fault: &VmFault<'_>, map: PteMap<'_>, entry: Entry) -> Outcome {
    let _scope = sched::scope("do_numa_page");
    let m = fault.m;
    let folio = entry.as_page().and_then(|pfn| m.memory.folio(pfn));
    let to = fault.vma.policy().map_or_else(local_node, |policy| policy.node);
    let isolated = folio.filter(|folio| !folio.is_huge() && folio.node != to && super::isolate(m, folio));
    drop(map);
    if let Some(folio) = isolated
        && super::migrate_pages(m, vec![folio], Some(to), Mode::Async) > 0
    {
        m.stats.numa_migrated.add(1);
        return Outcome::Done;
    }
    let Some(map) = fault.map_pte() else { return Outcome::Done };
    let slot = map.slot(fault.addr);
    if slot.load() == entry {
        slot.update(|entry| entry.young(true).accessible(true));
    }
    Outcome::Done
}
