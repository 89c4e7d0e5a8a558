//! khugepaged's list of processes that want huge pages, and its way through it.
//!
//! Lock order: whoever first wants one has the mmap lock or the VMA lock `-> khugepaged_mm_lock`. khugepaged takes that to find
//! the next process, drops it, and tries `mmap_lock (read) -> pte_lock` to look; what it has found is for `collapse`. A
//! process that ends takes itself off; if khugepaged is looking at it, it waits for it by taking the mmap lock in write mode.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::{
    collapse, huge_range,
    scan::{Asker, Found, scan_pmd},
};
use crate::{
    classes::KHUGEPAGED_MM_LOCK,
    machine::Machine,
    mem::{Mm, PMD_SIZE},
    sched,
    sync::SpinLock,
};

/// The processes that want huge pages.
pub(crate) struct Khugepaged {
    mm_lock: SpinLock,
    list: Mutex<List>,
    for_all: AtomicBool,
}

#[derive(Default)]
struct List {
    mms: Vec<Arc<Mm>>,
    /// The process that is being looked at.
    scanned: Option<u64>,
}

impl Khugepaged {
    pub(crate) fn new() -> Self {
        Self {
            mm_lock: SpinLock::new(&KHUGEPAGED_MM_LOCK, ("khugepaged", 0)),
            list: Mutex::default(),
            for_all: AtomicBool::new(false),
        }
    }

    /// Changes the list, under its lock.
    #[track_caller]
    fn with<T>(&self, change: impl FnOnce(&mut List) -> T) -> T {
        let _khugepaged_mm_lock = self.mm_lock.lock();
        sched::must_hold(self.mm_lock.is_mine(), || "khugepaged's list is used without its lock".to_owned());
        change(&mut self.list.lock())
    }

    /// All memory is to have huge pages, whether it asks for them or not.
    pub(crate) fn set_for_all(&self) {
        self.for_all.store(true, Relaxed);
    }

    pub(crate) fn is_for_all(&self) -> bool {
        self.for_all.load(Relaxed)
    }

    /// Returns whether nothing is on the list.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.lock().mms.is_empty()
    }
}

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
    let ids: Vec<u64> = m.khugepaged.with(|list| list.mms.iter().map(|mm| mm.id).collect());
    ids.into_iter().map(|id| scan_mm_slot(m, id)).sum()
}

#[inline(never)]
fn scan_mm_slot(m: &Machine, id: u64) -> u64 {
    let next = m.khugepaged.with(|list| {
        let mm = list.mms.iter().find(|mm| mm.id == id).cloned()?;
        list.scanned = Some(id);
        Some(mm)
    });
    let Some(mm) = next else { return 0 };
    let found = candidates(m, &mm);
    let made = found.into_iter().filter(|found| collapse::collapse_huge_page(m, &mm, found)).count();
    m.khugepaged.with(|list| list.scanned = None);
    made as u64
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
