//! The invariants of a machine at rest: no actor is inside an operation.
//!
//! Page tables, reverse maps and counts are computed from each other, without locks, and must agree.

mod hugetlb;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Absent, Folio, FolioKind, Level, Mm, PAGE_SIZE, PageTable, rmap},
    sched,
};

/// Checks everything. Only an actor may call it, and only while the others are outside of operations.
pub(crate) fn at_rest(m: &Machine) {
    sched::drain();
    let mut mapped: BTreeMap<u64, (Arc<Folio>, i64)> = BTreeMap::new();
    let mms: Vec<_> = m.mms.lock().values().cloned().collect();
    let mut shared = BTreeMap::new();
    for mm in &mms {
        check_mm(m, mm, &mut mapped, &mut shared);
    }
    hugetlb::check(m, &mms, &shared);
    for (folio, entries) in mapped.values() {
        check_folio(m, folio, *entries);
    }
}

/// Counts the tables and pages of a process, and which folios they map.
fn check_mm(m: &Machine, mm: &Mm, mapped: &mut BTreeMap<u64, (Arc<Folio>, i64)>, shared: &mut BTreeMap<u64, i64>) {
    let (mut tables, mut pages) = (0, 0);
    count(m, &mm.pgd, &mut tables, shared, &mut |folio, size| {
        // Pages of hugetlbfs are no process's own.
        pages += if folio.is_some_and(|folio| folio.kind == FolioKind::Hugetlb) { 0 } else { size };
        if let Some(folio) = folio {
            mapped.entry(folio.pfn).or_insert_with(|| (folio.clone(), 0)).1 += 1;
        }
    });
    let (rss, counted) = (mm.rss.load(Relaxed), mm.tables.load(Relaxed));
    if (rss, counted) != (pages, tables) {
        let text = format!(
            "process {} has an RSS of {rss} and {counted} tables, but its page tables have {pages} pages and {tables} tables",
            mm.id
        );
        sched::finding(Invariant::CountMismatch, text);
    }
    check_locked_vm(mm);
    if !mm.mmap_lock.is_free() {
        sched::finding(Invariant::LockHeldAtExit, format!("the mmap lock of process {} is held", mm.id));
    }
}

/// Counts the pages of locked VMAs.
fn check_locked_vm(mm: &Mm) {
    let vmas: Vec<_> = mm.vmas.lock().values().cloned().collect();
    let pages: u64 = vmas.iter().filter(|vma| vma.flags().locked).map(|vma| vma.pages()).sum();
    let counted = mm.locked_vm.load(Relaxed);
    if counted != pages as i64 {
        let text = format!("process {} has {pages} pages in locked VMAs, but {counted} are counted", mm.id);
        sched::finding(Invariant::CountMismatch, text);
    }
}

/// Calls `page` for every resident page, once where several processes share the table: with its folio, or without one while it is being moved.
fn count(
    m: &Machine,
    table: &PageTable,
    tables: &mut i64,
    shared: &mut BTreeMap<u64, i64>,
    page: &mut dyn FnMut(Option<&Arc<Folio>>, i64),
) {
    *tables += 1 + table.deposits() as i64;
    if table.is_shared() {
        let users = shared.entry(table.id).or_default();
        *users += 1;
        if *users > 1 {
            // Its entries have been counted.
            return;
        }
    }
    for (_, entry) in table.used() {
        let size = (table.level.entry_size() / PAGE_SIZE) as i64;
        if let Some(below) = entry.as_table().and_then(|id| m.memory.table(id)) {
            count(m, &below, tables, shared, page);
        } else if let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) {
            page(Some(&folio), size);
        } else if let Some(Absent::Migration(pfn)) = entry.as_absent() {
            sched::finding(
                Invariant::RmapMismatch,
                format!("page {pfn} has been moved, but an entry waits for it still"),
            );
            page(None, size);
        }
    }
}

fn check_folio(m: &Machine, folio: &Folio, entries: i64) {
    let maps = folio.maps();
    if maps != entries {
        let text = format!("folio {} has a map count of {maps}, but {entries} entries map it", folio.pfn);
        sched::finding(Invariant::CountMismatch, text);
    }
    if folio.refs() < maps {
        let text = format!("folio {} has {} references, but a map count of {maps}", folio.pfn, folio.refs());
        sched::finding(Invariant::CountMismatch, text);
    }
    let found = rmap::count_mappings(m, folio);
    if found != entries {
        let text = format!("folio {}: the reverse map finds {found} of {entries} entries", folio.pfn);
        sched::finding(Invariant::RmapMismatch, text);
    }
    debug_assert!(folio.pages() == 1 || folio.pages() * PAGE_SIZE == Level::Pmd.entry_size());
}

/// Checks that nothing is left: every process has ended. Drops the page cache first, as unmounting would.
pub(crate) fn at_end(m: &Machine) {
    sched::drain();
    let files = m.files.lock().clone();
    for file in &files {
        crate::op::truncate::evict_inode(m, file);
        if !file.mapping.i_mmap.lock().is_empty() {
            sched::finding(Invariant::Leak, format!("file {} is mapped by a process that has ended", file.id));
        }
    }
    m.ksm.forget();
    hugetlb::check_at_end(m);
    if !m.khugepaged.is_empty() {
        sched::finding(Invariant::Leak, "a process that has ended is on khugepaged's list".to_owned());
    }
    let used = m.memory.used_pages();
    if used != 0 {
        sched::finding(Invariant::Leak, format!("{used} pages are in use although every process has ended"));
    }
}
