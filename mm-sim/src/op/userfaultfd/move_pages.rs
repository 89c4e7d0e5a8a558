//! `UFFDIO_MOVE`: a page of one mapping becomes the missing page of another, without being copied.
//!
//! Lock order: `vma_lock (read) -> vma_lock (read, nested) -> map_changing_lock (read) -> fs_reclaim` for the table,
//! `-> mmu_notifier_invalidate_range_start`, `-> folio_lock -> anon_vma->rwsem (write)`, which keeps reverse-map walks away
//! while the folio belongs to neither place, and `-> pte_lock -> pte_lock (nested)`, by address.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    fill::Filled,
    lock::{Locked, uffd_move_lock},
};
use crate::{
    machine::Machine,
    mem::{Entry, Folio, FolioKind, Level, Mm, PAGE_SIZE, Place, Slot, Userfaultfd},
    op::{mmu_notifier, walk::PteMap},
    sched,
};

/// References of a folio that one process maps once, and ours.
const EXPECTED_REFS: i64 = 2;

/// Moves the page at `src` to `dst`, and wakes who waits for it; nobody if it does not move it.
#[inline(never)]
pub(crate) fn move_page(m: &Machine, mm: &Arc<Mm>, ctx: &Arc<Userfaultfd>, dst: u64, src: u64) -> Filled {
    let _scope = sched::scope("uffd_move");
    let moved = match uffd_move_lock(m, mm, dst, src) {
        Some(locked) => move_locked(m, mm, ctx, &locked, dst, src),
        None => Filled::No,
    };
    if moved == Filled::Done {
        ctx.wake(&(dst..dst + PAGE_SIZE));
    }
    moved
}

fn move_locked(m: &Machine, mm: &Arc<Mm>, ctx: &Arc<Userfaultfd>, locked: &Locked, dst: u64, src: u64) -> Filled {
    let _changing = ctx.map_changing_lock.read();
    if ctx.is_changing() {
        return Filled::Again;
    }
    let is_ours = locked.dst.uffd().is_some_and(|other| Arc::ptr_eq(&other, ctx));
    let is_alike = locked.dst.flags().write && locked.src.flags().write;
    let is_anon = locked.dst.file.is_none() && locked.src.file.is_none();
    if !(is_ours && is_alike && is_anon && locked.dst.flags().uffd_missing && !locked.src.flags().shared) {
        return Filled::No;
    }
    let (Ok(dst_pmd), Some(src_pmd)) = (mm.pmd_alloc(m, dst), mm.slot(m, src, Level::Pmd)) else { return Filled::No };
    if dst_pmd.load().is_page() || src_pmd.load().as_table().is_none() || mm.pte_alloc(m, &dst_pmd).is_err() {
        return Filled::Again;
    }
    move_pages_pte(m, mm, ctx, locked, (&dst_pmd, dst), (&src_pmd, src))
}

#[inline(never)]
fn move_pages_pte(
    m: &Machine,
    mm: &Arc<Mm>,
    ctx: &Userfaultfd,
    locked: &Locked,
    (dst_pmd, dst): (&Slot, u64),
    (src_pmd, src): (&Slot, u64),
) -> Filled {
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(src..src + PAGE_SIZE));
    let Some((folio, entry)) = look_at(m, mm, locked, src_pmd, src) else { return Filled::Again };
    let moved = {
        let _folio = folio.lock.lock();
        let Some(Place::Anon(anon_vma, _)) = folio.place() else {
            m.put_folio(&folio, 1);
            return Filled::Again;
        };
        let _anon_vma = anon_vma.rwsem().write();
        let maps = double_pt_lock(m, mm, locked, (dst_pmd, dst), (src_pmd, src));
        maps.map_or(Filled::Again, |(dst_map, src_map)| {
            let src_table = src_map.as_ref().unwrap_or(&dst_map);
            move_present_pte(
                m,
                mm,
                ctx,
                locked,
                (&dst_map.slot(dst), dst),
                (&src_table.slot(src), src),
                (&folio, entry),
            )
        })
    };
    m.put_folio(&folio, 1);
    moved
}

/// Returns the folio at the source, with a reference, if it is anonymous memory of this process alone.
fn look_at(m: &Machine, mm: &Mm, locked: &Locked, pmd: &Slot, src: u64) -> Option<(Arc<Folio>, Entry)> {
    let map = mm.pte_offset_map_lock(m, &locked.src, pmd, 0)?;
    let entry = map.slot(src).load();
    let folio = m.memory.folio(entry.as_page()?)?;
    let is_alone = folio.kind == FolioKind::Anon && !folio.is_huge() && folio.maps() == 1;
    if is_alone {
        folio.get(1);
    }
    is_alone.then_some((folio, entry))
}

/// Locks both tables, the one of the lower address first; one table only once.
fn double_pt_lock<'m>(
    m: &'m Machine,
    mm: &Mm,
    locked: &Locked,
    (dst_pmd, dst): (&Slot, u64),
    (src_pmd, src): (&Slot, u64),
) -> Option<(PteMap<'m>, Option<PteMap<'m>>)> {
    if dst_pmd.load() == src_pmd.load() {
        return Some((mm.pte_offset_map_lock(m, &locked.dst, dst_pmd, 0)?, None));
    }
    if dst < src {
        let first = mm.pte_offset_map_lock(m, &locked.dst, dst_pmd, 0)?;
        return Some((first, Some(mm.pte_offset_map_lock(m, &locked.src, src_pmd, 1)?)));
    }
    let first = mm.pte_offset_map_lock(m, &locked.src, src_pmd, 0)?;
    Some((mm.pte_offset_map_lock(m, &locked.dst, dst_pmd, 1)?, Some(first)))
}

/// Moves the entry, if everything is still as it was.
fn move_present_pte(
    m: &Machine,
    mm: &Mm,
    ctx: &Userfaultfd,
    locked: &Locked,
    (to, dst): (&Slot, u64),
    (from, src): (&Slot, u64),
    (folio, entry): (&Folio, Entry),
) -> Filled {
    if !to.load().is_none() {
        return Filled::Exists;
    }
    let is_same = from.load().young(true).dirty() == entry.young(true).dirty();
    if !is_same || folio.is_pinned() || folio.maps() != 1 || folio.refs() != EXPECTED_REFS {
        return Filled::Again;
    }
    mm.check_install(&locked.dst);
    ctx.check_fill(dst);
    folio.check_locked("moved to another mapping");
    let holds = matches!(folio.place(), Some(Place::Anon(anon_vma, _)) if anon_vma.rwsem().is_mine_to_write());
    sched::must_hold(holds, || format!("folio {} is moved without the lock of its anon_vma", folio.pfn));
    let old = from.store(Entry::NONE);
    m.tlb.flush(mm.id, src / PAGE_SIZE..src / PAGE_SIZE + 1);
    if old.is_dirty() {
        folio.dirty.store(true, Relaxed);
    }
    folio.set_place(locked.dst.anon_vma.lock().clone().map(|anon_vma| Place::Anon(anon_vma, locked.dst.pgoff_of(dst))));
    m.model.relocate(mm.id, src / PAGE_SIZE..src / PAGE_SIZE + 1, dst / PAGE_SIZE, true);
    to.store(Entry::page(folio.pfn).writable(true).dirty());
    m.stats.pages_moved.add(1);
    Filled::Done
}
