//! A fork shares a huge page of anonymous memory.
//!
//! Lock order: `-> fs_reclaim` for the table that the child deposits, then `-> pmd_lock of the child -> pmd_lock of the parent
//! (nested)`. One that somebody has pinned is taken apart instead, and copied page by page.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    machine::Machine,
    mem::{HUGE_PAGES, Level, Mm, OutOfMemory, PageTable, Slot, Vma},
    op::huge_pmd,
};

/// What became of a huge page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// Both have it.
    Shared,
    /// It is none, or no more: there are small pages to be copied, or nothing.
    Small,
}

/// Shares the huge page of a PMD entry with the child.
#[inline(never)]
pub(crate) fn copy_huge_pmd(
    m: &Machine,
    (parent, vma, source): (&Mm, &Vma, &Slot),
    (child, target): (&Mm, &Slot),
    addr: u64,
) -> Result<Copied, OutOfMemory> {
    let table = m.alloc_table(Level::Pte)?;
    let (copied, unused) = share(m, source, child, target, table);
    unused.iter().for_each(|table| m.free_table(table));
    if copied == Copied::Small && source.load().is_page() {
        huge_pmd::split_huge_pmd(m, parent, vma, addr);
    }
    Ok(copied)
}

fn share(
    m: &Machine,
    source: &Slot,
    child: &Mm,
    target: &Slot,
    table: Arc<PageTable>,
) -> (Copied, Option<Arc<PageTable>>) {
    let _child = target.table.lock.lock();
    let _parent = source.table.lock.lock_nested(1);
    let entry = source.load();
    let folio = entry.as_page().and_then(|pfn| m.memory.folio(pfn)).filter(|folio| !folio.is_pinned());
    let Some(folio) = folio else { return (Copied::Small, Some(table)) };
    folio.map();
    source.update(|entry| entry.writable(false));
    child.deposit(target, table);
    target.store(entry.writable(false).clean().uffd_wp(false));
    child.rss.fetch_add(HUGE_PAGES as i64, Relaxed);
    (Copied::Shared, None)
}
