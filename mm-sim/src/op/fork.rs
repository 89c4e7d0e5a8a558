//! `fork`: a copy of an address space, sharing the pages until somebody writes.
//!
//! Lock order: `dup_mmap_sem (read)`, parent's `-> mmap_lock (write) -> child's mmap_lock (write, nested)`, under both
//! `-> ksm_mmlist_lock` and `-> khugepaged_mm_lock` if the parent is on these lists (first of all, or from 6.12 on when
//! everything has been copied: 985da552a98e), then per VMA
//! `-> vma_lock of the parent (mark, from 6.4.3)`, `-> anon_vma->rwsem`, `-> i_mmap_rwsem`, and for the pages
//! `-> mmu_notifier_invalidate_range_start`, `-> pte_lock of the child -> pte_lock of the parent (nested)`. The TLBs are
//! flushed once, at the end. A page that somebody has pinned is copied at once.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    anon_vma, hugetlb, ksm, mmu_notifier,
    thp::{self, copy::Copied},
    walk::PteMap,
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Absent, ENTRIES, Entry, Folio, FolioKind, Level, Mm, OutOfMemory, PAGE_SIZE, PMD_SIZE, Place, Slot, Vma},
    sched,
};

/// Makes a new, empty address space.
pub(crate) fn new_mm(m: &Machine) -> Result<Arc<Mm>, OutOfMemory> {
    let mm = Mm::new(m.new_id(), m.protocol, m.alloc_table(Level::Pgd)?);
    let _list = m.tasklist_lock.write_irq();
    let holds = m.tasklist_lock.is_mine_to_write();
    sched::must_hold(holds, || format!("process {} enters the list without tasklist_lock", mm.id));
    m.mms.lock().insert(mm.id, mm.clone());
    Ok(mm)
}

/// Copies an address space.
#[inline(never)]
pub(crate) fn dup_mmap(m: &Machine, parent: &Arc<Mm>) -> Result<Arc<Mm>, OutOfMemory> {
    let _scope = sched::scope("dup_mmap");
    let child = new_mm(m)?;
    m.stats.forks.add(1);
    let copied = {
        let _dup = m.dup_mmap_sem.read();
        let _parent = parent.mmap_write_lock();
        let _child = child.mmap_write_lock_nested(1);
        if !m.protocol.fork_enters_lists_last {
            enter_lists(m, parent, &child);
        }
        parent.write_protect_seq.fetch_add(1, Relaxed);
        let copied = parent.all().iter().try_for_each(|vma| dup_vma(m, parent, &child, vma));
        parent.write_protect_seq.fetch_add(1, Relaxed);
        if copied.is_ok() && m.protocol.fork_enters_lists_last {
            enter_lists(m, parent, &child);
        }
        flush_tlb_mm(m, parent, &child);
        copied
    };
    match copied {
        Ok(()) => Ok(child),
        Err(error) => {
            super::exit::exit_mmap(m, &child);
            Err(error)
        }
    }
}

/// A child is scanned by KSM and by khugepaged if the parent is (`ksm_fork`, `khugepaged_fork`).
fn enter_lists(m: &Machine, parent: &Mm, child: &Arc<Mm>) {
    ksm::advise::ksm_fork(m, parent, child);
    if parent.wants_huge_pages.load(Relaxed) {
        thp::khugepaged::enter(m, child);
    }
}

/// Makes all processors see that the parent's pages are read-only now. This is the moment that the copy is of: until
/// then a thread of the parent may write to a shared page past the page tables, and the child sees it too.
fn flush_tlb_mm(m: &Machine, parent: &Mm, child: &Mm) {
    sched::step();
    m.tlb.flush(parent.id, 0..u64::MAX);
    m.model.fork(parent.id, child.id, 0..u64::MAX);
}

fn dup_vma(m: &Machine, parent: &Arc<Mm>, child: &Arc<Mm>, vma: &Arc<Vma>) -> Result<(), OutOfMemory> {
    if parent.protocol.fork_mark {
        vma.vma_start_write(parent);
    }
    m.might_reclaim(); // vm_area_dup()
    let copy = vma.like(m.new_id(), child, vma.range(), vma.pgoffs().start);
    copy.init_for_fork();
    let is_late = m.protocol.has(Bug::HugetlbLockAfterImap);
    if !is_late {
        hugetlb::mmap::hugetlb_dup_vma_private(m, vma, &copy);
    }
    anon_vma::anon_vma_fork(m, vma, &copy);
    child.insert(&copy);
    if let Some(file) = &copy.file {
        let _i_mmap = file.mapping.i_mmap_rwsem.write();
        check_breakpoints_wait(m, child);
        file.mapping.i_mmap.lock().insert(&copy);
        copy.is_file_linked.store(true, Relaxed);
    }
    let copied = copy_page_range(m, parent, child, vma, &copy);
    if is_late {
        hugetlb::mmap::hugetlb_dup_vma_private(m, vma, &copy);
    }
    copied
}

/// Checks that nobody goes through the mappings of the file to put a breakpoint into each: one that comes now would be missed.
fn check_breakpoints_wait(m: &Machine, child: &Mm) {
    let holds = m.dup_mmap_sem.is_mine();
    sched::must_hold(holds, || format!("process {} gets a copy of a mapping without dup_mmap_sem", child.id));
}

#[inline(never)]
fn copy_page_range(m: &Machine, parent: &Mm, child: &Arc<Mm>, vma: &Arc<Vma>, copy: &Vma) -> Result<(), OutOfMemory> {
    let range = vma.range();
    if vma.anon_vma.lock().is_none() {
        // Nothing private in it: the child faults it in from the file, or as zeros.
        return Ok(());
    }
    if vma.is_hugetlb() {
        return hugetlb::copy::copy_hugetlb_page_range(m, (parent, vma), child);
    }
    let _told = mmu_notifier::invalidate_range_start(m, parent, &range);
    let mut addr = range.start;
    while addr < range.end {
        let next = (addr / PMD_SIZE + 1) * PMD_SIZE;
        copy_pmd(m, (parent, vma), (child, copy), addr, next.min(range.end))?;
        addr = next;
    }
    Ok(())
}

fn copy_pmd(m: &Machine, from: (&Mm, &Vma), to: (&Arc<Mm>, &Vma), start: u64, end: u64) -> Result<(), OutOfMemory> {
    let source = from.0.slot(m, start, Level::Pmd);
    if let Some(source) = source.as_ref().filter(|slot| from.1.file.is_none() && slot.load().is_page()) {
        let target = to.0.pmd_alloc(m, start)?;
        let copied = thp::copy::copy_huge_pmd(m, (from.0, from.1, source), (to.0, &target), start)?;
        if copied == Copied::Shared {
            return Ok(());
        }
    }
    if let Some(source) = source.filter(|slot| slot.load().as_table().is_some()) {
        let target = to.0.pmd_alloc(m, start)?;
        to.0.pte_alloc(m, &target)?;
        let (mut addr, mut spare) = (start, None);
        while let Some(pinned) = copy_locked(m, (from, &source), (to, &target), addr..end, &mut spare) {
            // The copy is made without pte locks, and used on the way back.
            (addr, spare) = (pinned, Some(m.alloc_folio(FolioKind::Anon, 1)?));
        }
        spare.iter().for_each(|unused| m.put_folio(unused, 1));
    }
    Ok(())
}

/// Copies entries under the locks of both tables. Returns where it has stopped for want of a spare folio.
fn copy_locked(
    m: &Machine,
    (from, source): ((&Mm, &Vma), &Slot),
    (to, target): ((&Arc<Mm>, &Vma), &Slot),
    range: Range<u64>,
    spare: &mut Option<Arc<Folio>>,
) -> Option<u64> {
    let dst = to.0.pte_offset_map_lock(m, to.1, target, 0)?;
    let src = from.0.pte_offset_map_lock(m, from.1, source, 1)?;
    copy_pte_range(m, (from.0, &src), (to, &dst), range, spare)
}

#[inline(never)]
fn copy_pte_range(
    m: &Machine,
    from: (&Mm, &PteMap<'_>),
    to: ((&Arc<Mm>, &Vma), &PteMap<'_>),
    range: Range<u64>,
    spare: &mut Option<Arc<Folio>>,
) -> Option<u64> {
    debug_assert!((range.end - range.start) / PAGE_SIZE <= ENTRIES as u64);
    range.step_by(PAGE_SIZE as usize).find(|&addr| !copy_present_pte(m, from, to, addr, spare))
}

/// Copies one entry, or the page if somebody has pinned it. Returns whether it could: a page needs a spare folio.
fn copy_present_pte(
    m: &Machine,
    (parent, src): (&Mm, &PteMap<'_>),
    ((child, vma), dst): ((&Arc<Mm>, &Vma), &PteMap<'_>),
    addr: u64,
    spare: &mut Option<Arc<Folio>>,
) -> bool {
    let slot = src.slot(addr);
    let entry: Entry = slot.load();
    if entry.as_absent().is_some() {
        copy_absent_pte(m, child, &slot, &dst.slot(addr), entry);
        return true;
    }
    let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return true };
    if folio.kind == FolioKind::Anon && folio.is_pinned() {
        let Some(copy) = spare.take() else { return false };
        // What the child has is what was there at this moment, whatever is written behind the page tables later.
        copy.write(copy.pfn, folio.read(folio.pfn));
        let page = addr / PAGE_SIZE;
        m.model.fork(parent.id, child.id, page..page + 1);
        copy.set_place(vma.anon_vma.lock().clone().map(|anon_vma| Place::Anon(anon_vma, vma.pgoff_of(addr))));
        copy.map();
        m.lru.add(&copy);
        dst.slot(addr).store(Entry::page(copy.pfn));
        m.put_folio(&copy, 1);
    } else {
        folio.map();
        slot.update(|entry| entry.writable(false));
        dst.slot(addr).store(entry.writable(false).clean().uffd_wp(false));
    }
    child.rss.fetch_add(1, Relaxed);
    true
}

/// Copies an entry whose page is elsewhere, under both locks (the kernel's `copy_nonpresent_pte`).
fn copy_absent_pte(m: &Machine, child: &Arc<Mm>, src: &Slot, dst: &Slot, entry: Entry) {
    match entry.as_absent() {
        Some(Absent::Migration(_)) => {
            // Both share the page once it has arrived, so neither may write to it.
            src.update(|entry| entry.writable(false));
            dst.store(entry.writable(false));
            child.rss.fetch_add(1, Relaxed);
        }
        Some(Absent::Swap(slot)) => {
            m.swap.duplicate(slot);
            m.swap.mmlist_add(child);
            child.swaps.fetch_add(1, Relaxed);
            dst.store(entry);
        }
        Some(Absent::Hwpoison(_) | Absent::Marker) => {
            dst.store(entry);
        }
        None => {}
    }
}
