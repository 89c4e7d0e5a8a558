//! Reservations: who maps pages of hugetlbfs is promised them, and a page fault takes what was promised.
//!
//! A shared mapping reserves pages of the file, a private one pages of its own. Lock order: `i_rwsem (write)` or
//! `hugetlb_fault_mutex -> ...`, then, one after the other, `-> fs_reclaim` for the entries of the map,
//! `-> resv_map->lock`, `-> hugetlb_lock`, `-> inode->i_lock`.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, HUGE_PAGES, Inode, OutOfMemory, Place, ResvMap, Vma, huge_index},
    sched,
};

/// On whose behalf a huge page is taken: a mapping, or an allocation that a file was asked for.
#[derive(Clone, Copy)]
pub(crate) enum For<'a> {
    Vma(&'a Vma),
    File,
}

impl For<'_> {
    fn is_shared(self) -> bool {
        match self {
            Self::Vma(vma) => vma.flags().shared,
            Self::File => true,
        }
    }

    /// Returns the map that has what was promised.
    fn map(self, file: &Inode) -> Option<Arc<ResvMap>> {
        match self {
            Self::Vma(vma) if !vma.flags().shared => vma.hugetlb.resv_map.lock().clone(),
            Self::Vma(_) | Self::File => Some(file.resv_map().clone()),
        }
    }

    /// Returns whether a page is taken without a promise (`vma_needs_reservation`).
    fn needs_reservation(self, m: &Machine, file: &Inode, index: u64) -> bool {
        let Some(map) = self.map(file) else { return true };
        m.might_reclaim(); // region_chg()
        map.has(index) != self.is_shared()
    }
}

/// Takes a page out of the pool for a huge page of a file or of a private mapping of it. `avoid_reserve`: whatever was
/// promised has been used up already. The caller has the fault mutex.
#[inline(never)]
pub(crate) fn alloc_hugetlb_folio(
    m: &Machine,
    file: &Inode,
    on_behalf: For<'_>,
    index: u64,
    avoid_reserve: bool,
) -> Result<Arc<Folio>, OutOfMemory> {
    let _scope = sched::scope("alloc_hugetlb_folio");
    m.hugetlb_fault_mutexes.check_locked(file.id, index, "is allocated");
    let needs = on_behalf.needs_reservation(m, file, index);
    let promised = !needs && !avoid_reserve;
    let Some(folio) = m.hugetlb.dequeue(&m.memory, promised) else {
        if promised {
            let text = format!("huge page {index} of file {} was promised, but the pool is empty", file.id);
            sched::finding(Invariant::ReservationBroken, text);
        }
        return Err(OutOfMemory);
    };
    // vma_commit_reservation()
    let added = on_behalf.map(file).map_or(0, |map| map.add(index..index + 1));
    if needs && added == 0 && on_behalf.is_shared() {
        // Somebody has been promised the page since we looked, and will find it there.
        m.hugetlb.unreserve(1);
    }
    Ok(folio)
}

/// Undoes what [`alloc_hugetlb_folio`] has done to the reservations. The page is freed next.
#[inline(never)]
pub(crate) fn restore_reserve_on_error(file: &Inode, on_behalf: For<'_>, index: u64, folio: &Folio) {
    // What was promised is promised again; what was not must not look as if it were.
    if folio.is_promised.load(Relaxed) != on_behalf.is_shared()
        && let Some(map) = on_behalf.map(file)
    {
        map.remove(index..index + 1);
    }
}

/// A private mapping gives up a page of its own that it was promised: it is promised again (`vma_add_reservation`).
/// `is_frozen`: nobody else has it, or gets it, before the pool has it back.
///
/// The kernel promises it again whoever has it, and whether it is broken or not, so that for a while it has promised more
/// than the pool has, or for good. Here a promise goes with a page that is broken, as it does with one that was found broken
/// while it was mapped. For one that somebody has, such as a child, another page is promised at once, if there is one.
pub(crate) fn restore_private(m: &Machine, vma: &Vma, index: u64, folio: &Folio, is_frozen: bool) {
    let Some(map) = vma.hugetlb.resv_map.lock().clone() else { return };
    if folio.is_broken.load(Relaxed) {
        return;
    }
    m.might_reclaim(); // region_chg()
    if !map.has(index) {
        return;
    }
    if is_frozen {
        folio.is_promised.store(true, Relaxed);
    } else if !m.hugetlb.reserve(1) {
        return map.give_up(index);
    }
    map.remove(index..index + 1);
}

/// Promises the pages that a new VMA maps. Returns whether there were enough. The caller has `i_rwsem`.
#[inline(never)]
pub(crate) fn hugetlb_reserve_pages(m: &Machine, file: &Inode, vma: &Arc<Vma>) -> bool {
    let _scope = sched::scope("hugetlb_reserve_pages");
    check_file_locked(file, "is mapped");
    m.might_reclaim();
    vma.hugetlb_vma_lock_alloc(&m.protocol);
    if vma.flags().noreserve {
        return true;
    }
    let pages = huge_pages(vma);
    let done = if vma.flags().shared { reserve_shared(m, file, &pages) } else { reserve_private(m, vma, &pages) };
    if !done {
        vma.hugetlb_vma_lock_free();
    }
    done
}

fn reserve_shared(m: &Machine, file: &Inode, pages: &Range<u64>) -> bool {
    let map = file.resv_map();
    let missing = pages.end - pages.start - map.count(pages.clone());
    if !m.hugetlb.reserve(missing) {
        return false;
    }
    let added = map.add(pages.clone());
    // A page fault may have added pages meanwhile, which took no promise.
    m.hugetlb.unreserve(missing - added);
    true
}

fn reserve_private(m: &Machine, vma: &Vma, pages: &Range<u64>) -> bool {
    let done = m.hugetlb.reserve(pages.end - pages.start);
    if done {
        *vma.hugetlb.resv_map.lock() = Some(Arc::new(ResvMap::new(m.new_id())));
    }
    done
}

/// Takes back what was promised of a range of huge pages of a file; `freed` of its pages were in the cache.
#[inline(never)]
pub(crate) fn hugetlb_unreserve_pages(m: &Machine, file: &Inode, pages: Range<u64>, freed: u64) {
    check_file_locked(file, "loses pages");
    let removed = file.resv_map().remove(pages);
    file.count_blocks(|blocks| blocks.saturating_sub(freed * HUGE_PAGES));
    if removed < freed {
        let text = format!("file {} had {freed} pages in its cache, but only {removed} in its reservations", file.id);
        return sched::finding(Invariant::ReservationBroken, text);
    }
    m.hugetlb.unreserve(removed - freed);
}

/// Puts a page into the cache of its file: the promise is kept. Returns whether there was none yet. The caller has the
/// fault mutex.
#[inline(never)]
pub(crate) fn hugetlb_add_to_page_cache(m: &Machine, file: &Inode, index: u64, folio: &Arc<Folio>) -> bool {
    m.hugetlb_fault_mutexes.check_locked(file.id, huge_index(index), "is cached");
    folio.check_locked("put into the cache");
    folio.set_place(Some(Place::File(file.mapping.clone(), index)));
    let added = file.mapping.add(index, folio);
    if added {
        folio.is_promised.store(false, Relaxed);
        file.count_blocks(|blocks| blocks + HUGE_PAGES);
    } else {
        // It is promised still: it must not break while it is on its way back.
        folio.set_place(None);
    }
    added
}

/// Returns the huge pages of its file that a VMA maps.
pub(crate) fn huge_pages(vma: &Vma) -> Range<u64> {
    let pages = vma.pgoffs();
    huge_index(pages.start)..huge_index(pages.end)
}

/// Returns which huge page of its file a VMA maps at an address.
pub(crate) fn index_of(vma: &Vma, addr: u64) -> u64 {
    huge_index(vma.pgoff_of(addr))
}

/// Checks that this actor may change what a file is made of.
pub(crate) fn check_file_locked(file: &Inode, what: &str) {
    let holds = file.i_rwsem.is_mine_to_write();
    sched::must_hold(holds, || format!("file {} of hugetlbfs {what} without i_rwsem", file.id));
}
