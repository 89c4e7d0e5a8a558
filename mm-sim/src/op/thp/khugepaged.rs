//! khugepaged's list of processes that want huge pages, and its way through it.
//!
//! Lock order: whoever first wants one has the mmap lock or the VMA lock `-> khugepaged_mm_lock`. khugepaged takes that to find
//! the next process, drops it, and tries `mmap_lock (read) -> pte_lock` to look; what it has found is for `collapse`. A
//! process that ends takes itself off; if khugepaged is looking at it, it waits for it by taking the mmap lock in write mode.
//! Before it begins it waits for work on every processor, from nothing, so that pages are on the LRU list that it takes off there.
//! For a mapping of a file it tries `mmap_lock (read)`, drops it, and goes on as `collapse_file`, which starts from none.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    collapse, huge_range,
    scan::{Asker, Found, scan_pmd},
};
use crate::{
    machine::Machine,
    mem::{HUGE_PAGES, Inode, Mm, PMD_SIZE},
    op::{
        collapse::{Collapsed, collapse_file},
        neighbours::workqueue::lru_add_drain_all,
    },
    sched,
};

/// Puts a process on the list (`khugepaged_enter_vma`).
#[inline(never)]
pub(crate) fn enter(m: &Machine, mm: &Arc<Mm>) {
    if !mm.wants_huge_pages.swap(true, Relaxed) {
        m.khugepaged.with(|list| list.mms.push(mm.clone()));
    }
}

/// Takes a process that ends off the list (`__khugepaged_exit`).
#[inline(never)]
pub(crate) fn exit(m: &Machine, mm: &Arc<Mm>) {
    if !mm.wants_huge_pages.load(Relaxed) {
        return;
    }
    let scanned = m.khugepaged.with(|list| {
        list.mms.retain(|other| other.id != mm.id);
        list.scanned == Some(mm.id)
    });
    if scanned {
        // khugepaged has the mmap lock while it looks, and then sees that nobody uses the process.
        drop(mm.mmap_write_lock());
    }
}

/// khugepaged goes once through all processes of the list. Returns how many huge pages it has made.
#[inline(never)]
pub(crate) fn scan(m: &Machine) -> u64 {
    let _scope = sched::scope("khugepaged");
    lru_add_drain_all(m);
    let ids: Vec<u64> = m.khugepaged.with(|list| list.mms.iter().map(|mm| mm.id).collect());
    ids.into_iter().map(|id| scan_mm_slot(m, id)).sum()
}

#[inline(never)]
fn scan_mm_slot(m: &Machine, id: u64) -> u64 {
    let look = |mm: &Arc<Mm>| {
        let found = candidates(m, mm);
        found.into_iter().filter(|found| collapse::collapse_huge_page(m, mm, found)).count()
    };
    look_at(m, id, look).unwrap_or(0) as u64
}

/// khugepaged looks at one mapping of a file (`khugepaged_scan_file`). Returns whether there is a new huge folio.
#[inline(never)]
pub(crate) fn scan_file(m: &Machine, mm: &Arc<Mm>, addr: u64) -> bool {
    let _scope = sched::scope("khugepaged");
    lru_add_drain_all(m);
    let look = |mm: &Arc<Mm>| {
        let (file, index) = mapped_file(mm, addr)?;
        Some(collapse_file(m, &file, index, None) != Collapsed::No)
    };
    look_at(m, mm.id, look).flatten().unwrap_or(false)
}

/// khugepaged has come upon 512 pages of a file. Returns whether they are one huge folio now.
pub(crate) fn collapse_pages(m: &Machine, file: &Arc<Inode>, start: u64) -> bool {
    lru_add_drain_all(m);
    collapse_file(m, file, start, None) != Collapsed::No
}

/// Looks at a process, if it is on the list still. Should it end meanwhile, it waits at the mmap lock for as long as that is held.
fn look_at<T>(m: &Machine, id: u64, look: impl FnOnce(&Arc<Mm>) -> T) -> Option<T> {
    let mm = m.khugepaged.with(|list| {
        let mm = list.mms.iter().find(|mm| mm.id == id).cloned()?;
        list.scanned = Some(id);
        Some(mm)
    })?;
    let seen = look(&mm);
    m.khugepaged.with(|list| list.scanned = None);
    Some(seen)
}

/// Returns the file, and the place in it, that 2 MiB of a process map.
#[inline(never)]
fn mapped_file(mm: &Mm, addr: u64) -> Option<(Arc<Inode>, u64)> {
    let _mmap = mm.mmap_lock.try_read()?;
    if mm.users.load(Relaxed) <= 0 {
        return None;
    }
    let vma = mm.find(addr).filter(|vma| !vma.is_hugetlb() && !vma.flags().nohuge)?;
    let index = vma.pgoff_of(addr);
    let file = vma.file.clone().filter(|_| index.is_multiple_of(HUGE_PAGES))?;
    Some((file, index))
}

/// Returns where a huge page could be made.
#[inline(never)]
fn candidates(m: &Machine, mm: &Mm) -> Vec<Found> {
    let Some(_mmap) = mm.mmap_lock.try_read() else { return Vec::new() };
    if mm.users.load(Relaxed) <= 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for vma in mm.all() {
        let range = vma.range();
        let starts = (range.start.next_multiple_of(PMD_SIZE)..range.end).step_by(PMD_SIZE as usize);
        let suits = starts.filter(|&addr| huge_range(m, &vma, addr).is_some());
        found.extend(suits.filter_map(|addr| scan_pmd(m, mm, &vma, addr, Asker::Khugepaged)));
    }
    found
}
