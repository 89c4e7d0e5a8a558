//! `hpage_collapse_scan_pmd`: whether the small pages of a range can become a huge page.
//!
//! Lock order: `mmap_lock (read) -> pte_lock`. What is seen here may change as soon as the locks are dropped; who makes the
//! huge page looks again.

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    machine::Machine,
    mem::{Entry, FolioKind, HUGE_PAGES, Level, Mm, Vma},
    sched,
};

/// Entries of a huge page's range that may be empty.
const MAX_PTES_NONE: u64 = HUGE_PAGES - 1;
/// Those whose page may be elsewhere, mostly on the swap device.
const MAX_PTES_SWAP: u64 = HUGE_PAGES / 8;

/// Who wants huge pages (the kernel's `collapse_control`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// khugepaged, which minds the costs: it wants pages that somebody uses, and few of them elsewhere.
    Khugepaged,
    /// `MADV_COLLAPSE`, which does not.
    Madvise,
}

/// A range that can become a huge page, as far as could be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Where it begins.
    pub(crate) addr: u64,
    /// Entries whose page is elsewhere, and has to come back first.
    pub(crate) absent: u64,
}

/// Looks at the 512 entries from `addr` on. `None` if there is no table with a page, or something in the way.
#[inline(never)]
pub(crate) fn scan_pmd(m: &Machine, mm: &Mm, vma: &Vma, addr: u64, asker: Asker) -> Option<Found> {
    let pmd = mm.slot(m, addr, Level::Pmd)?;
    let map = mm.pte_offset_map_lock(m, vma, &pmd, 0)?;
    let (table, holds) = (&map.table, map.table.lock.is_mine());
    sched::must_hold(holds, || format!("table {} is looked at without its lock", table.id));
    let used: Vec<Entry> = table.used().map(|(_, entry)| entry).collect();
    let absent = used.iter().filter(|entry| entry.as_absent().is_some()).count() as u64;
    let young = used.iter().filter(|&&entry| is_used(m, entry)).count() as u64;
    let none = HUGE_PAGES - used.len() as u64;
    let is_worth_it = none <= MAX_PTES_NONE
        && absent <= MAX_PTES_SWAP
        && young > 0
        // To bring pages back for a range that hardly anybody uses costs more than it gains.
        && (absent == 0 || young >= HUGE_PAGES / 2);
    let fits = used.iter().all(|&entry| is_usable(m, entry));
    (fits && (asker == Asker::Madvise || is_worth_it)).then_some(Found { addr, absent })
}

/// Returns whether a page was used lately.
fn is_used(m: &Machine, entry: Entry) -> bool {
    let folio = entry.as_page().and_then(|pfn| m.memory.folio(pfn));
    folio.is_some_and(|folio| entry.is_young() || folio.was_used.load(Relaxed))
}

/// Returns whether a page can go into a huge one: it is nobody's business who wants to hear of writes, and nobody is doing
/// something with it. One that is elsewhere is looked at when it is back.
fn is_usable(m: &Machine, entry: Entry) -> bool {
    if entry.is_uffd_wp() {
        return false;
    }
    let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return entry.as_absent().is_some() };
    folio.kind == FolioKind::Anon && folio.lock.is_free()
}
