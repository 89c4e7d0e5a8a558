//! Memory failure: the hardware reports that a page is broken.
//!
//! Lock order: `mf_mutex -> lru_lock` to isolate the folio, `-> folio_lock -> i_mmap_rwsem or anon_vma->rwsem (read)` twice:
//! to find the processes that have it, with `-> tasklist_lock (read)` up to 6.6 and under RCU from 6.7 on (d256d1cd8da1: many
//! processes made that a long time to spin for), and to take it out of their page tables,
//! `-> mmu_notifier_invalidate_range_start`, `-> pte_lock`; then `-> inode->i_lock -> i_pages` to drop it from the page cache. What was lost is
//! marked in the page tables: whoever touches it gets a signal. A clean page of a file is not lost, it is read again.
//!
//! Two may find out at the same time that a frame has failed. The second one finds that the page has been handled, and looks
//! for the address to tell its process: `mf_mutex -> mmap_lock (read) -> pte_lock`, or for hugetlbfs `-> hugetlb vma_lock
//! (read)`.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Signal, buffer, bus, hugetlb, mmu_notifier, rmap, writeback};
use crate::{
    machine::Machine,
    mem::{
        Absent, Entry, Folio, FolioKind, Inode, Mm, PAGE_SIZE, Place, Vma,
        rmap::{rmap_walk, rmap_walk_trees},
    },
    sched,
};

/// What it takes to look whether a process wants to be told, and whether a VMA is one of its.
const STEPS_A_PROCESS: u32 = 4;

/// What becomes of a broken page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// Nobody will use it again.
    Recovered,
    /// It had been handled before, and the process that came upon it again has been told.
    Told,
    /// It had been handled before, and nobody asks for it now.
    Already,
    /// Nobody uses it now.
    Free,
    /// Somebody else is doing something with it.
    Ignored,
}

/// The process that has accessed a frame which has failed, and whether to store something there.
pub(crate) type AccessedBy<'a> = Option<(&'a Arc<Mm>, bool)>;

/// Handles the failure of a frame, which somebody has accessed or the hardware has found by itself.
#[inline(never)]
pub(crate) fn memory_failure(m: &Machine, pfn: u64, accessed_by: AccessedBy<'_>) -> Handled {
    let _scope = sched::scope("memory_failure");
    let _mf_mutex = m.mf_mutex.lock();
    sched::must_hold(m.mf_mutex.is_mine(), || format!("page {pfn} may be handled by two at the same time"));
    let folio = m.memory.peek_folio(pfn);
    if let Some(huge) = folio.as_ref().filter(|folio| folio.kind == FolioKind::Hugetlb) {
        return hugetlb::memory_failure::memory_failure_hugetlb(m, huge, pfn, accessed_by);
    }
    if m.poison.is_handled(pfn) {
        return kill_accessing_process(m, pfn, accessed_by);
    }
    let Some(folio) = folio.filter(|folio| folio.try_get()) else { return Handled::Free };
    if folio.pages() > 1 {
        m.put_folio(&folio, 1);
        return Handled::Ignored;
    }
    if !m.lru.remove(&folio) {
        m.put_folio(&folio, 1);
        return Handled::Ignored;
    }
    let handled = {
        let _locked = folio.lock.lock();
        handle_locked(m, &folio)
    };
    if handled == Handled::Recovered {
        m.poison.handle(pfn..pfn + 1);
        m.stats.memory_failures.add(1);
    } else {
        m.lru.add(&folio);
    }
    m.put_folio(&folio, 1);
    handled
}

/// A process has come upon a frame that had been handled by then: looks where the process has it, and tells it so.
#[inline(never)]
pub(super) fn kill_accessing_process(m: &Machine, pfn: u64, accessed_by: AccessedBy<'_>) -> Handled {
    let Some((mm, store)) = accessed_by else { return Handled::Already };
    let _scope = sched::scope("kill_accessing_process");
    let _mmap = mm.mmap_lock.read();
    let vmas: Vec<_> = mm.vmas.lock().values().cloned().collect();
    let mut tell = |addr: u64| {
        bus::signal(m, mm, addr, store, Signal::Bus);
    };
    let is_told = vmas.iter().any(|vma| {
        if vma.is_hugetlb() {
            hugetlb::memory_failure::find_in(m, mm, vma, pfn, &mut tell)
        } else {
            find_in(m, mm, vma, pfn, &mut tell)
        }
    });
    if !is_told {
        return Handled::Already;
    }
    m.stats.told_later.add(1);
    Handled::Told
}

/// Looks for a frame in the page tables of a VMA. Returns whether it is there, after `tell` has been called with the first
/// address.
#[inline(never)]
fn find_in(m: &Machine, mm: &Mm, vma: &Arc<Vma>, pfn: u64, tell: &mut dyn FnMut(u64)) -> bool {
    let mut found = false;
    mm.walk(m, vma, vma.range(), &mut |slot, addr, entry| {
        if let Some(page) = page_in(entry, pfn, slot.table.level.entry_size()).filter(|_| !found) {
            found = true;
            tell(addr + page * PAGE_SIZE);
        }
    });
    found
}

/// Returns which page of an entry is a frame, if the entry maps it or says that it is broken.
pub(super) fn page_in(entry: Entry, pfn: u64, size: u64) -> Option<u64> {
    let first = match entry.as_absent() {
        Some(Absent::Hwpoison(first)) => first,
        _ => entry.as_page()?,
    };
    pfn.checked_sub(first).filter(|page| *page < size / PAGE_SIZE)
}

fn handle_locked(m: &Machine, folio: &Arc<Folio>) -> Handled {
    let is_on_its_way = folio.swap().is_some() || writeback::is_under_writeback(folio);
    let Some(place) = folio.place().filter(|_| !is_on_its_way) else { return Handled::Ignored };
    let file = match &place {
        Place::File(mapping, _) => m.files.lock().iter().find(|file| file.id == mapping.file).cloned(),
        Place::Anon(..) | Place::Ksm(_) => None,
    };
    let is_lost = file.is_none() || {
        rmap::folio_mkclean(m, folio);
        folio.dirty.load(Relaxed)
    };
    let processes = collect_procs(m, folio);
    hwpoison_unmap(m, folio, is_lost);
    sched::must_hold(m.mf_mutex.is_mine(), || format!("folio {} is given up without mf_mutex", folio.pfn));
    folio.is_broken.store(true, Relaxed);
    if let (Place::File(_, index), Some(file)) = (&place, &file) {
        me_pagecache(m, folio, file, *index);
    }
    m.stats.processes_hit.add(processes);
    Handled::Recovered
}

/// Counts the processes that have the page: all processes are looked at, against all VMAs that may map it.
#[inline(never)]
pub(super) fn collect_procs(m: &Machine, folio: &Folio) -> u64 {
    let mut found = 0;
    rmap_walk_trees(folio, true, &mut |vmas, _| {
        let _list = (!m.protocol.memory_failure_rcu).then(|| m.tasklist_lock.read());
        let _rcu = m.protocol.memory_failure_rcu.then(|| m.rcu.read());
        let holds = m.protocol.memory_failure_rcu || m.tasklist_lock.is_mine();
        sched::must_hold(holds, || "all processes are looked at without tasklist_lock".to_owned());
        let processes: Vec<_> = m.mms.lock().values().cloned().collect();
        for mm in processes {
            (0..STEPS_A_PROCESS).for_each(|_| sched::step());
            found += u64::from(vmas.iter().any(|vma| vma.mm.upgrade().is_some_and(|other| other.id == mm.id)));
        }
    });
    found
}

/// Takes the page out of all page tables, and marks the places if it is lost.
#[inline(never)]
fn hwpoison_unmap(m: &Machine, folio: &Arc<Folio>, is_lost: bool) {
    let _scope = sched::scope("try_to_unmap");
    rmap_walk(folio, true, &mut |vma, range| {
        let Some(mm) = vma.mm.upgrade() else { return };
        let _told = mmu_notifier::invalidate_range_start(m, &mm, &range);
        mm.walk(m, vma, range, &mut |slot, addr, entry| {
            let Some(pfn) = entry.as_page().filter(|pfn| folio.has_page(*pfn)) else { return };
            let page = addr / PAGE_SIZE;
            slot.store(if is_lost { Entry::hwpoison(pfn) } else { Entry::NONE });
            m.tlb.flush(mm.id, page..page + 1);
            if is_lost {
                m.model.lose(mm.id, page);
            }
            folio.unmap();
            mm.rss.fetch_sub(1, Relaxed);
            m.put_folio(folio, 1);
        });
    });
}

/// Drops the folio from the page cache. What was not on disk yet is lost.
fn me_pagecache(m: &Machine, folio: &Arc<Folio>, file: &Inode, index: u64) {
    let was_dirty = folio.dirty.swap(false, Relaxed);
    buffer::block_invalidate_folio(m, &file.mapping, folio);
    {
        let _i_lock = file.mapping.i_lock.lock();
        let _i_pages = file.mapping.i_pages.lock_irq();
        if was_dirty {
            file.mapping.untag(index, folio);
        }
        let holds = file.mapping.i_lock.is_mine();
        sched::must_hold(holds, || format!("folio {} leaves its file without inode->i_lock", folio.pfn));
        file.mapping.remove(index);
        folio.set_place(None);
    }
    buffer::free_orphan(m, folio);
    m.put_folio(folio, folio.pages());
    if was_dirty {
        m.model.lose_file(file.id, index, file.read_disk(index));
    }
}
