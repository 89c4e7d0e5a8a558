//! Aging by walks of page tables: reclaim's second way to see which pages are in use, besides the reverse map.
//!
//! Lock order: `fs_reclaim -> mmap_lock (read, trylock) -> pte_lock (trylock)` to find the pages that were used since the last
//! walk, and with both dropped `-> lru_lock` to make them young. Everybody who allocates may come here with an mmap lock, so
//! reclaim can only try to get another one; a process that is busy is left out.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    machine::Machine,
    mem::{Folio, Level, Mm, PAGE_SIZE, PMD_SIZE, Vma},
    sched,
};

/// Walks the page tables of all processes and makes the pages young that they have used. Returns how many.
#[inline(never)]
pub(crate) fn try_to_inc_max_seq(m: &Machine) -> usize {
    let _scope = sched::scope("lru_gen_age");
    m.fs_reclaim.acquire();
    sched::set_in_reclaim(true);
    let mms: Vec<_> = m.mms.lock().values().cloned().collect();
    let young = mms.iter().map(|mm| walk_mm(m, mm)).sum();
    sched::set_in_reclaim(false);
    m.fs_reclaim.release();
    young
}

#[inline(never)]
fn walk_mm(m: &Machine, mm: &Arc<Mm>) -> usize {
    let mut young = Vec::new();
    {
        let Some(_mmap) = mm.mmap_lock.try_read() else { return 0 };
        if mm.users.load(Relaxed) > 0 {
            mm.all().iter().filter(|vma| !should_skip_vma(vma)).for_each(|vma| walk_vma(m, mm, vma, &mut young));
        }
    }
    m.lru.promote(&young);
    young.iter().for_each(|folio| m.put_folio(folio, 1));
    m.stats.aged.add(young.len() as u64);
    young.len()
}

/// What is not on the lists of reclaim, or stays anyway.
fn should_skip_vma(vma: &Vma) -> bool {
    vma.is_hugetlb() || vma.flags().locked
}

fn walk_vma(m: &Machine, mm: &Mm, vma: &Vma, young: &mut Vec<Arc<Folio>>) {
    let range = vma.range();
    let mut addr = range.start;
    while addr < range.end {
        let next = (addr / PMD_SIZE + 1).saturating_mul(PMD_SIZE).min(range.end);
        walk_pte_range(m, mm, vma, addr..next, young);
        addr = next;
    }
}

/// Collects the folios of young entries of a table, with a reference each, and makes the entries old. A table whose lock is
/// taken is left out, and so is a huge page.
#[inline(never)]
fn walk_pte_range(m: &Machine, mm: &Mm, vma: &Vma, range: Range<u64>, young: &mut Vec<Arc<Folio>>) {
    let Some(pmd) = mm.slot(m, range.start, Level::Pmd) else { return };
    let Some(map) = mm.pte_offset_map_trylock(m, vma, &pmd) else { return };
    for addr in range.step_by(PAGE_SIZE as usize) {
        let slot = map.slot(addr);
        let entry = slot.load();
        let Some(pfn) = entry.as_page().filter(|_| entry.is_accessible() && entry.is_young()) else { continue };
        let Some(folio) = m.memory.folio(pfn).filter(|folio| folio.try_get()) else { continue };
        slot.update(|entry| entry.young(false));
        m.tlb.flush(mm.id, addr / PAGE_SIZE..addr / PAGE_SIZE + 1);
        young.push(folio);
    }
}
