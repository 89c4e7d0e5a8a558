//! Freeing page tables, and the rule for it.
//!
//! A table may be freed at once only when mmap lock, VMA lock, i_mmap and anon_vma are all excluded or absent, because
//! each of the four alone lets somebody walk it. Lock order: under the mmap lock `-> anon_vma->rwsem`, then
//! `-> i_mmap_rwsem`, one after the other.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{anon_vma, gather::Gather, hugetlb::share};
use crate::{
    Bug,
    finding::Invariant,
    machine::Machine,
    mem::{Entry, Level, Mm, PMD_SIZE, PageTable, Slot, Vma},
    sched,
};

/// Takes VMAs out of the reverse maps and frees the tables of their range that nothing in `gap` uses any more.
#[inline(never)]
pub(crate) fn free_pgtables(
    m: &Machine,
    mm: &Mm,
    vmas: &[Arc<Vma>],
    range: Range<u64>,
    gap: &Range<u64>,
    gather: &mut Gather,
) {
    let _scope = sched::scope("free_pgtables");
    for vma in vmas {
        anon_vma::unlink_anon_vmas(vma);
        unlink_file_vma(vma);
        check_excluded(m, mm, vma);
    }
    free_pgd_range(m, mm, range, gap, gather);
}

#[inline(never)]
fn unlink_file_vma(vma: &Vma) {
    if let Some(file) = &vma.file {
        let _i_mmap = file.mapping.i_mmap_rwsem.write();
        file.mapping.i_mmap.lock().remove(vma);
        vma.is_file_linked.store(false, Relaxed);
    }
}

fn free_pgd_range(m: &Machine, mm: &Mm, range: Range<u64>, gap: &Range<u64>, gather: &mut Gather) {
    free_range(m, mm, &mm.pgd, 0, &range, gap, gather);
}

/// Frees the tables below `table`, whose first entry covers `base`, from the bottom up.
fn free_range(
    m: &Machine,
    mm: &Mm,
    table: &Arc<PageTable>,
    base: u64,
    range: &Range<u64>,
    gap: &Range<u64>,
    gather: &mut Gather,
) {
    let size = table.level.entry_size();
    let used: Vec<_> = table.used().collect();
    for (index, entry) in used {
        let (start, end) = (base + index as u64 * size, base + (index as u64 + 1) * size);
        let Some(id) = entry.as_table().filter(|_| start < range.end && range.start < end) else { continue };
        let is_own = |below: &Arc<PageTable>| below.level > Level::Pte && !below.is_shared();
        if let Some(below) = m.memory.table(id).filter(is_own) {
            free_range(m, mm, &below, start, range, gap, gather);
        }
        if gap.start <= start && end <= gap.end {
            check_unused(mm, start..end);
            take_table(m, mm, &Slot { table: table.clone(), index }, gather);
        }
    }
}

/// Checks that no VMA of the tree has addresses under a table that is about to go.
fn check_unused(mm: &Mm, covered: Range<u64>) {
    if let Some(vma) = mm.find_all(&covered).iter().find(|vma| !vma.detached.load(Relaxed)) {
        let text = format!("page tables at {:#x} are freed, and vma {} has addresses there", covered.start, vma.id);
        sched::finding(Invariant::TableFreedUnderWalkers, text);
    }
}

fn take_table(m: &Machine, mm: &Mm, slot: &Slot, gather: &mut Gather) {
    let Some(table) = slot.load().as_table().and_then(|id| m.memory.table(id)) else { return };
    slot.store_unlocked(Entry::NONE);
    m.tlb.await_accesses();
    mm.tables.fetch_sub(1, Relaxed);
    if table.is_shared() {
        return share::leave_table(m, &table);
    }
    gather.tables.push(table);
}

/// Frees the PTE table under a PMD entry at once.
pub(crate) fn free_pte_table(m: &Machine, mm: &Mm, vma: &Vma, slot: &Slot) {
    check_excluded(m, mm, vma);
    let holds = slot.table.lock.is_mine();
    sched::must_hold(holds, || format!("a table is taken out of page table {} without its lock", slot.table.id));
    let mut gather = Gather::default();
    take_table(m, mm, slot, &mut gather);
    if m.protocol.has(Bug::TableFreedWithoutInterrupt) {
        std::mem::take(&mut gather.tables).iter().for_each(|table| m.free_table(table));
    }
    gather.finish(m);
}

/// Checks that nobody can be walking the page tables of this VMA.
pub(crate) fn check_excluded(m: &Machine, mm: &Mm, vma: &Vma) {
    let detached = vma.detached.load(Relaxed);
    let by_mmap = mm.is_mine_alone() || detached && mm.mmap_lock.is_mine();
    let marked = mm.mmap_lock.is_mine_to_write() && vma.is_marked(mm);
    let by_vma = !m.protocol.vma_lock || (detached || marked) && sched::settles(|| !vma.lock.is_held_by_others());
    let is_linked = vma.is_file_linked.load(Relaxed);
    let by_imap = !is_linked || vma.file.as_ref().is_none_or(|file| file.mapping.i_mmap_rwsem.is_mine_to_write());
    let by_anon = vma.anon_vma_chain.lock().first().is_none_or(|anon_vma| anon_vma.rwsem().is_mine_to_write());
    let all = [(by_mmap, "mmap lock"), (by_vma, "VMA lock"), (by_imap, "i_mmap"), (by_anon, "anon_vma")];
    let open: Vec<_> = all.into_iter().filter(|(excluded, _)| !excluded).map(|(_, name)| name).collect();
    if !open.is_empty() {
        let at = vma.range().start / PMD_SIZE * PMD_SIZE;
        let text = format!("page tables at {at:#x} are freed; not excluded: {}", open.join(", "));
        sched::finding(Invariant::TableFreedUnderWalkers, text);
    }
}
