//! The invariants of a machine at rest: no actor is inside an operation.
//!
//! Page tables, reverse maps and counts are computed from each other, without locks, and must agree.

mod hugetlb;
mod rmap;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Absent, Folio, FolioKind, Inode, Level, Mm, PAGE_SIZE, PageTable},
    sched,
};

/// Checks everything. Only an actor may call it, and only while the others are outside of operations.
pub(crate) fn at_rest(m: &Machine) {
    sched::drain();
    let mut mapped: BTreeMap<u64, (Arc<Folio>, i64)> = BTreeMap::new();
    let mms: Vec<_> = m.mms.lock().values().cloned().collect();
    let (mut shared, mut swapped) = (BTreeMap::new(), BTreeMap::new());
    for mm in &mms {
        check_mm(m, mm, &mut mapped, &mut shared);
        check_swapped(m, mm, &mut swapped);
    }
    hugetlb::check(m, &mms, &shared);
    m.files.lock().iter().filter(|file| file.is_shmem()).for_each(|file| check_shmem(m, file, &mut swapped));
    check_swap(m, &swapped);
    m.files.lock().iter().filter(|file| !file.is_shmem()).for_each(|file| check_dirty(m, file));
    for (folio, entries) in mapped.values() {
        check_folio(m, folio, *entries);
    }
    check_nodes(m);
    check_lists(m);
}

/// Checks that what is freed has left the lists of folios.
fn check_lists(m: &Machine) {
    let is_freed = |folio: &Arc<Folio>| !m.memory.peek_folio(folio.pfn).is_some_and(|known| Arc::ptr_eq(&known, folio));
    for (list, folios) in [("LRU list", m.lru.all()), ("queue of those to be split", m.split_queue.all())] {
        if let Some(freed) = folios.iter().find(|folio| is_freed(folio)) {
            let text = format!("folio {} has been freed, and is on the {list}", freed.pfn);
            sched::finding(Invariant::FolioUsedAfterFree, text);
        }
    }
}

/// Counts the pages of the memory nodes.
fn check_nodes(m: &Machine) {
    let (counted, pages) = (m.memory.node_pages(), m.memory.count_node_pages());
    if counted != pages {
        sched::finding(Invariant::WrongNode, format!("the nodes count {counted:?} pages, but have {pages:?}"));
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

/// Counts the swap entries of a process and adds them to those of the slots.
fn check_swapped(m: &Machine, mm: &Mm, swapped: &mut BTreeMap<u64, u32>) {
    let mut slots = Vec::new();
    swap_entries(m, &mm.pgd, &mut slots);
    let counted = mm.swaps.load(Relaxed);
    if counted != slots.len() as i64 {
        let text = format!("process {} counts {counted} pages swapped out, but has {} entries", mm.id, slots.len());
        sched::finding(Invariant::SwapMismatch, text);
    }
    if !slots.is_empty() && !m.swap.is_on_mmlist(mm) {
        let text = format!("process {} has pages swapped out and is not on the mmlist", mm.id);
        sched::finding(Invariant::SwapMismatch, text);
    }
    slots.into_iter().for_each(|slot| *swapped.entry(slot).or_default() += 1);
}

fn swap_entries(m: &Machine, table: &PageTable, slots: &mut Vec<u64>) {
    for (_, entry) in table.used() {
        slots.extend(entry.as_swap());
        if let Some(below) = entry.as_table().and_then(|id| m.memory.table(id)) {
            swap_entries(m, &below, slots);
        }
    }
}

/// Adds what is swapped out of a file of shared memory to the entries of the slots.
fn check_shmem(m: &Machine, file: &Inode, swapped: &mut BTreeMap<u64, u32>) {
    let Some(shmem) = &file.mapping.shmem else { return };
    let slots = shmem.slots(0..u64::MAX);
    if shmem.swapped() != slots.len() as u64 {
        let text = format!("file {} counts {} pages swapped out, but has {}", file.id, shmem.swapped(), slots.len());
        sched::finding(Invariant::SwapMismatch, text);
    }
    if !slots.is_empty() && !m.swap.is_on_swaplist(file) {
        sched::finding(Invariant::SwapMismatch, format!("file {} has pages swapped out and is on no list", file.id));
    }
    for (index, slot) in slots {
        if file.mapping.peek(index).is_some() {
            sched::finding(Invariant::SwapMismatch, format!("page {index} of file {} is in two places", file.id));
        }
        *swapped.entry(slot).or_default() += 1;
    }
}

/// Holds the counts of the swap device against the entries and the swap cache.
fn check_swap(m: &Machine, swapped: &BTreeMap<u64, u32>) {
    let taken = m.swap.taken();
    let cached: BTreeMap<_, _> = m.swap.cached().into_iter().collect();
    for &(slot, users, has_cache) in &taken {
        let entries = swapped.get(&slot).copied().unwrap_or(0);
        if users != entries || has_cache != cached.contains_key(&slot) {
            let text = format!("slot {slot} counts {users} users (cached: {has_cache}), but {entries} entries use it");
            sched::finding(Invariant::SwapMismatch, text);
        }
    }
    let lost = swapped.keys().chain(cached.keys()).find(|slot| !taken.iter().any(|(taken, ..)| taken == *slot));
    if let Some(slot) = lost {
        sched::finding(Invariant::SwapMismatch, format!("slot {slot} is used, but free"));
    }
    if m.swap.in_use() != taken.len() as u64 {
        let text = format!("{} slots are taken, but {} are counted", taken.len(), m.swap.in_use());
        sched::finding(Invariant::SwapMismatch, text);
    }
    if let Some((slot, _)) = cached.iter().find(|(slot, folio)| folio.swap() != Some(**slot)) {
        sched::finding(Invariant::SwapMismatch, format!("the folio of slot {slot} does not know of it"));
    }
}

/// Checks that the buffers of a folio know it, that nobody uses them, and that they are as dirty as it is.
fn check_buffers(file: &Inode, folio: &Folio) {
    let Some(buffers) = folio.buffers() else { return };
    let is_right = buffers.pfn() == folio.pfn && !buffers.is_busy() && !folio.is_huge();
    if !is_right || buffers.is_dirty() != folio.dirty.load(Relaxed) {
        let text = format!("the buffers of folio {} of file {} are not as it is", folio.pfn, file.id);
        sched::finding(Invariant::BuffersBroken, text);
    }
}

/// Checks that what is dirty of a file is noted.
fn check_dirty(m: &Machine, file: &Inode) {
    for (base, folio) in file.mapping.folios() {
        check_buffers(file, &folio);
        let (dirty, tagged) = (folio.dirty.load(Relaxed), file.mapping.is_tagged(base));
        if dirty != tagged {
            let text = format!("folio {} of file {} is dirty: {dirty}, and noted: {tagged}", folio.pfn, file.id);
            sched::finding(Invariant::DirtyLost, text);
        }
        if dirty && !(file.mapping.is_inode_dirty() && m.wb.contains(file.id)) {
            sched::finding(Invariant::DirtyLost, format!("file {} is dirty and nobody will write it", file.id));
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
    let (swapfiles, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.is_swapfile());
    others.iter().for_each(|file| evict(m, file));
    crate::op::swap::swapoff(m);
    swapfiles.iter().for_each(|file| evict(m, file));
    if m.swap.in_use() > 0 {
        sched::finding(Invariant::Leak, format!("{} slots of the swap device are still taken", m.swap.in_use()));
    }
    m.ksm.forget();
    hugetlb::check_at_end(m);
    if !m.khugepaged.is_empty() {
        sched::finding(Invariant::Leak, "a process that has ended is on khugepaged's list".to_owned());
    }
    check_nodes(m);
    let used = m.memory.used_pages();
    if used != 0 {
        sched::finding(Invariant::Leak, format!("{used} pages are in use although every process has ended"));
    }
}

fn evict(m: &Machine, file: &Arc<Inode>) {
    crate::op::truncate::evict_inode(m, file);
    if !file.mapping.i_mmap.lock().is_empty() {
        sched::finding(Invariant::Leak, format!("file {} is mapped by a process that has ended", file.id));
    }
    if file.is_swapfile() {
        sched::finding(Invariant::Leak, format!("swap is on file {} although it is off", file.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mem::HUGE_PAGES, protocol::Protocol};

    #[test]
    #[should_panic(expected = "folio-used-after-free")]
    fn what_is_freed_and_still_to_be_split_is_found_out() {
        let m = Machine::new(Protocol::V6_12, 2000);
        let folio = m.memory.make_folio(FolioKind::Anon, HUGE_PAGES, 0);
        m.split_queue.add(&folio);
        check_lists(&m);
        m.memory.free_folio(&folio);
        check_lists(&m);
    }
}
