//! Page tables that several processes use: one table of the PMD level, for a 1 GiB of a file that all of them map whole.
//!
//! Lock order: `hugetlb vma_lock (read) -> i_mmap_rwsem (read) -> page_table_lock` to share, and `-> fs_reclaim` for a table
//! of one's own, under i_mmap: nobody else may allocate under an i_mmap, so that of hugetlbfs has a class of its own (M2).
//! To unshare: `hugetlb vma_lock (write) -> i_mmap_rwsem (write)`, and the TLBs are flushed before i_mmap is dropped,
//! because whoever still has the table may free its pages then.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Entry, HugetlbVmaGuard, Level, Mm, OutOfMemory, PAGE_SIZE, PUD_SIZE, PageTable, Slot, Vma},
    protocol::HugetlbLocking,
    sched,
    sync::ReadGuard,
};

/// Returns the entry for a huge page, after making the tables above it, or sharing one that another process has.
#[inline(never)]
pub(crate) fn huge_pte_alloc(m: &Machine, mm: &Mm, vma: &Arc<Vma>, addr: u64) -> Result<Slot, OutOfMemory> {
    let pud = mm.pud_alloc(m, addr)?;
    if pud.load().is_none() && want_pmd_share(m, vma, addr) {
        huge_pmd_share(m, mm, vma, addr, &pud)?;
    }
    let slot = mm.pmd_alloc(m, addr)?;
    check_hugetlb_walk(m, mm, vma);
    Ok(slot)
}

/// What keeps the tables of a VMA from being unshared, for who only looks at them.
#[must_use]
pub(crate) struct Walk {
    // Dropped in this order.
    _vma: HugetlbVmaGuard,
    _i_mmap: Option<ReadGuard>,
}

/// Keeps the tables of a VMA from being unshared. Up to 6.0 nobody who only looked did so; here i_mmap does it, as for page
/// faults of then.
#[inline(never)]
pub(crate) fn lock_walk(m: &Machine, vma: &Arc<Vma>) -> Walk {
    let by_file = vma.file.as_ref().filter(|_| m.protocol.hugetlb_locking == HugetlbLocking::Imap);
    let i_mmap = by_file.map(|file| file.mapping.i_mmap_rwsem.read());
    Walk { _vma: vma.hugetlb_vma_lock_read(&m.protocol), _i_mmap: i_mmap }
}

/// Returns the entry for a huge page, if there are tables that lead to it.
pub(crate) fn hugetlb_walk(m: &Machine, mm: &Mm, vma: &Vma, addr: u64) -> Option<Slot> {
    check_hugetlb_walk(m, mm, vma);
    mm.slot(m, addr, Level::Pmd)
}

/// Checks that the tables of a VMA cannot be unshared now.
fn check_hugetlb_walk(m: &Machine, mm: &Mm, vma: &Vma) {
    mm.check_walk(vma);
    let by_file = vma.file.as_ref().is_some_and(|file| file.mapping.i_mmap_rwsem.is_mine());
    let needs = vma.flags().shared;
    let holds = !needs || by_file || vma.is_hugetlb_locked(&m.protocol, false);
    sched::must_hold(holds, || format!("the page tables of vma {} are walked, and may be unshared meanwhile", vma.id));
}

/// Returns the 1 GiB around an address.
const fn pud_range(addr: u64) -> Range<u64> {
    let start = addr / PUD_SIZE * PUD_SIZE;
    start..start + PUD_SIZE
}

fn covers(vma: &Vma, range: &Range<u64>) -> bool {
    vma.range().start <= range.start && range.end <= vma.range().end
}

fn want_pmd_share(m: &Machine, vma: &Vma, addr: u64) -> bool {
    vma.flags().shared
        && !vma.flags().wants_own_tables()
        && covers(vma, &pud_range(addr))
        && vma.hugetlb.may_share(&m.protocol)
}

/// Widens a range to all that a shared table in it would map (`adjust_range_if_pmd_sharing_possible`).
pub(crate) fn widen(vma: &Vma, range: Range<u64>) -> Range<u64> {
    let (first, last) = (pud_range(range.start), pud_range(range.end.saturating_sub(1)));
    let start = if vma.flags().shared && covers(vma, &first) { first.start } else { range.start };
    let end = if vma.flags().shared && covers(vma, &last) { last.end } else { range.end };
    start..end
}

/// Puts the table of another mapping of the same 1 GiB of the file under an entry, or makes one.
#[inline(never)]
fn huge_pmd_share(m: &Machine, mm: &Mm, vma: &Arc<Vma>, addr: u64, pud: &Slot) -> Result<(), OutOfMemory> {
    let _scope = sched::scope("huge_pmd_share");
    let Some(file) = &vma.file else { return Ok(()) };
    // Whoever holds i_mmap over the whole fault has it already.
    let _i_mmap = (m.protocol.hugetlb_locking != HugetlbLocking::Imap).then(|| file.mapping.i_mmap_rwsem.read());
    if let Some(table) = find_table(m, vma, addr) {
        let _page_table_lock = mm.page_table_lock.lock();
        let holds = mm.page_table_lock.is_mine();
        sched::must_hold(holds, || format!("process {} gets a shared table without its page_table_lock", mm.id));
        if pud.load().is_none() {
            pud.store(Entry::table(table.id));
            mm.tables.fetch_add(1, Relaxed);
            m.stats.tables_shared.add(1);
        } else {
            table.shares.fetch_sub(1, Relaxed);
        }
    }
    mm.pmd_alloc(m, addr).map(drop)
}

/// Returns a table that can be shared, counted.
fn find_table(m: &Machine, vma: &Arc<Vma>, addr: u64) -> Option<Arc<PageTable>> {
    let file = vma.file.as_ref()?;
    let index = vma.pgoff_of(addr);
    let others = file.mapping.i_mmap.lock().overlapping(index..index + 1);
    others.iter().filter(|other| other.id != vma.id).find_map(|other| {
        let theirs = other.addrs_of(&(index..index + 1)).start;
        let alike = other.flags() == vma.flags() && other.hugetlb.may_share(&m.protocol);
        if !alike || theirs % PUD_SIZE != addr % PUD_SIZE || !covers(other, &pud_range(theirs)) {
            return None;
        }
        let mm = other.mm.upgrade()?;
        let id = mm.slot(m, theirs, Level::Pud)?.load().as_table()?;
        let table = m.memory.table(id)?;
        table.shares.fetch_add(1, Relaxed);
        Some(table)
    })
}

/// Takes the table that has `slot` from this process, if others use it too: all of its pages fault in again. Returns
/// whether it has; then the TLBs must forget the whole 1 GiB.
#[inline(never)]
pub(crate) fn huge_pmd_unshare(m: &Machine, mm: &Mm, vma: &Vma, addr: u64, slot: &Slot) -> bool {
    sched::must_hold(slot.table.lock.is_mine(), || format!("table {} is looked at without its lock", slot.table.id));
    if !slot.table.is_shared() {
        return false;
    }
    check_entry_locked(slot);
    check_unshare(m, mm, vma);
    let Some(pud) = mm.slot(m, addr, Level::Pud) else { return false };
    pud.store(Entry::NONE);
    slot.table.shares.fetch_sub(1, Relaxed);
    mm.tables.fetch_sub(1, Relaxed);
    m.stats.tables_unshared.add(1);
    true
}

/// A process ends, and leaves a table to the others that use it. Before 6.1 somebody could share it after its pages had been
/// unmapped; now the mapping has no lock by then, and is not found.
pub(crate) fn leave_table(m: &Machine, table: &PageTable) {
    if m.protocol.hugetlb_locking != HugetlbLocking::Imap {
        let text = format!("page table {} is freed while others use it", table.id);
        sched::finding(Invariant::TableSharedWrongly, text);
    }
    table.shares.fetch_sub(1, Relaxed);
}

/// Checks that nobody uses the tables of a VMA, and nobody shares them.
fn check_unshare(m: &Machine, mm: &Mm, vma: &Vma) {
    let no_sharing = vma.file.as_ref().is_some_and(|file| file.mapping.i_mmap_rwsem.is_mine_to_write());
    let write_locked = mm.mmap_lock.is_mine_to_write() && vma.is_marked_if_any(mm);
    let no_users =
        m.protocol.hugetlb_locking == HugetlbLocking::Imap || write_locked || vma.is_hugetlb_locked(&m.protocol, true);
    let holds = no_sharing && no_users;
    sched::must_hold(holds, || format!("a page table of vma {} is unshared while others may use it", vma.id));
}

/// Unshares all tables of a range, and flushes (`hugetlb_unshare_pmds`).
#[inline(never)]
pub(crate) fn unshare_pmds(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>) {
    let mut addr = range.start;
    while addr < range.end {
        if let Some(slot) = mm.slot(m, addr, Level::Pmd) {
            let _pmd_lock = slot.table.lock.lock();
            huge_pmd_unshare(m, mm, vma, addr, &slot);
        }
        addr = pud_range(addr).end;
    }
    m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE);
}

/// Checks that a cut at `addr` went through no shared table: neither half would know that it has to flush all of it.
pub(crate) fn check_covered(m: &Machine, mm: &Mm, vma: &Vma, addr: u64) {
    let is_shared = || mm.slot(m, addr, Level::Pmd).is_some_and(|slot| slot.table.is_shared());
    if vma.is_hugetlb() && !addr.is_multiple_of(PUD_SIZE) && is_shared() {
        let text = format!("vma {} is cut at {addr:#x}, through a page table that others use too", vma.id);
        sched::finding(Invariant::TableSharedWrongly, text);
    }
}

/// Calls `visit` for each entry of a range that is not empty, under its lock; a table that is shared is unshared instead.
/// Returns what the TLBs must forget for that before i_mmap is dropped.
pub(crate) fn for_each_entry(
    m: &Machine,
    mm: &Mm,
    vma: &Arc<Vma>,
    range: &Range<u64>,
    visit: &mut dyn FnMut(&Slot, u64, Entry),
) -> Vec<Range<u64>> {
    let mut unshared = Vec::new();
    let mut addr = range.start;
    while addr < range.end {
        let next = pud_range(addr).end.min(range.end);
        if let Some(first) = hugetlb_walk(m, mm, vma, addr)
            && visit_table(m, mm, vma, &first, addr..next, visit)
        {
            unshared.push(widen(vma, addr..next));
        }
        addr = next;
    }
    unshared
}

/// Visits the entries of one table. Returns whether it was unshared instead.
fn visit_table(
    m: &Machine,
    mm: &Mm,
    vma: &Arc<Vma>,
    first: &Slot,
    range: Range<u64>,
    visit: &mut dyn FnMut(&Slot, u64, Entry),
) -> bool {
    {
        let _pmd_lock = first.table.lock.lock();
        if huge_pmd_unshare(m, mm, vma, range.start, first) {
            return true;
        }
    }
    let size = Level::Pmd.entry_size();
    let addrs = (range.start..range.end).step_by(size as usize);
    for (addr, index) in addrs.zip(first.index..) {
        let slot = Slot { table: first.table.clone(), index };
        if slot.load().is_none() {
            continue;
        }
        let _pmd_lock = slot.table.lock.lock();
        let entry = slot.load();
        if !entry.is_none() {
            visit(&slot, addr, entry);
        }
    }
    false
}

/// Checks that this actor may change an entry of a table.
pub(crate) fn check_entry_locked(slot: &Slot) {
    let holds = slot.table.lock.is_mine();
    sched::must_hold(holds, || format!("an entry of table {} is changed without its lock", slot.table.id));
}
