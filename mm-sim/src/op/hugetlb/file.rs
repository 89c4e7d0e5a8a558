//! What is done to a file of hugetlbfs: truncation, holes, allocation.
//!
//! Lock order: `sb_writers -> i_rwsem (write) -> i_mmap_rwsem (write) -> hugetlb vma_lock (write, trylock) -> pmd_lock` to unmap the range
//! where that is to be had; then per huge page `-> hugetlb_fault_mutex`, and under it, if it is still mapped,
//! `-> i_mmap_rwsem (write)` with the trylock, or `-> hugetlb vma_lock (write) -> i_mmap_rwsem (write)` in the right order,
//! and `-> folio_lock(hugetlb) -> i_pages`, `-> resv_map->lock`, `-> hugetlb_lock`.

use std::{ops::Range, sync::Arc};

use super::{
    reserve::{self, For},
    unmap::{self, Wanted},
};
use crate::{
    machine::Machine,
    mem::{Folio, HUGE_PAGES, HugetlbVmaGuard, Inode, Sema, Vma, huge_index},
    protocol::HugetlbLocking,
    sched,
    sync::MutexGuard,
};

/// Sets the size of a file, in pages. The caller has `i_rwsem`.
#[inline(never)]
pub(crate) fn hugetlb_vmtruncate(m: &Machine, file: &Arc<Inode>, pages: u64) {
    let old = file.size();
    if pages < old {
        m.model.begin_truncate(file.id, pages);
        file.set_size(pages);
        m.model.blur_file(file.id, pages..old);
        unmap_file_range(m, file, &(pages..old), Wanted::All);
        let freed = remove_inode_hugepages(m, file, pages..old, true);
        reserve::hugetlb_unreserve_pages(m, file, huge_index(pages)..u64::MAX, freed);
        m.model.blur_file(file.id, pages..old);
    }
    m.model.end_truncate(file.id, pages);
    file.set_size(pages);
}

/// Makes a hole of a range of huge pages: they read as zeros.
#[inline(never)]
pub(crate) fn hugetlbfs_punch_hole(m: &Machine, file: &Arc<Inode>, pages: Range<u64>) {
    let _scope = sched::scope("hugetlbfs_punch_hole");
    let _i_rwsem = file.i_rwsem.write();
    let pages = pages.start.next_multiple_of(HUGE_PAGES)..pages.end / HUGE_PAGES * HUGE_PAGES;
    if pages.start < pages.end {
        m.sb.check_writing(file.id, "gets a hole");
        m.model.blur_file(file.id, pages.clone());
        unmap_file_range(m, file, &pages, Wanted::Content);
        remove_inode_hugepages(m, file, pages.clone(), false);
        m.model.blur_file(file.id, pages);
    }
}

/// Gives a range of a file pages now (`hugetlbfs_fallocate`). Returns whether there were enough.
#[inline(never)]
pub(crate) fn hugetlbfs_fallocate(m: &Machine, file: &Arc<Inode>, pages: Range<u64>) -> bool {
    let _scope = sched::scope("hugetlbfs_fallocate");
    let _i_rwsem = file.i_rwsem.write();
    let done = (huge_index(pages.start)..pages.end.div_ceil(HUGE_PAGES)).all(|index| allocate_one(m, file, index));
    if done && file.size() < pages.end {
        m.model.end_truncate(file.id, pages.end);
        file.set_size(pages.end);
    }
    done
}

fn allocate_one(m: &Machine, file: &Arc<Inode>, index: u64) -> bool {
    reserve::check_file_locked(file, "is given pages");
    m.sb.check_writing(file.id, "is given pages");
    let fault_mutex = m.hugetlb_fault_mutexes.lock(file.id, index);
    if file.mapping.peek(index * HUGE_PAGES).is_some() {
        return true;
    }
    let Ok(folio) = reserve::alloc_hugetlb_folio(m, file, For::File, index, false) else { return false };
    folio.uptodate.store(true, std::sync::atomic::Ordering::Relaxed);
    let locked = folio.lock.lock();
    if !reserve::hugetlb_add_to_page_cache(m, file, index * HUGE_PAGES, &folio) {
        reserve::restore_reserve_on_error(file, For::File, index, &folio);
    }
    drop(fault_mutex);
    drop(locked);
    m.put_folio(&folio, 1);
    true
}

/// Unmaps a range of a file from all mappings whose tables can be locked at once (`hugetlb_vmdelete_list`); the others are
/// left to who removes the pages one by one.
#[inline(never)]
fn unmap_file_range(m: &Machine, file: &Arc<Inode>, pages: &Range<u64>, wanted: Wanted<'_>) {
    let _scope = sched::scope("hugetlb_vmdelete_list");
    let holds = file.i_rwsem.is_mine_to_write();
    sched::must_hold(holds, || format!("pages of file {} are cut without i_rwsem", file.id));
    let _i_mmap = file.mapping.i_mmap_rwsem.write();
    let vmas = file.mapping.i_mmap.lock().overlapping(pages.clone());
    for vma in vmas {
        let Some(mm) = vma.mm.upgrade() else { continue };
        if let Some(lock) = vma.hugetlb_vma_trylock_write(&m.protocol) {
            unmap::unmap_from_file(m, &mm, &vma, vma.addrs_of(pages), wanted);
            drop(lock);
        }
    }
}

/// Takes the pages of a range out of the cache, each under its fault mutex, whether it has a page or not: a fault that was
/// under way may just have put one there. Returns how many there were.
#[inline(never)]
fn remove_inode_hugepages(m: &Machine, file: &Arc<Inode>, pages: Range<u64>, truncate: bool) -> u64 {
    let _scope = sched::scope("remove_inode_hugepages");
    reserve::check_file_locked(file, "loses pages");
    let indices = huge_index(pages.start)..pages.end.div_ceil(HUGE_PAGES);
    indices.filter(|&index| remove_one(m, file, index, truncate)).count() as u64
}

fn remove_one(m: &Machine, file: &Arc<Inode>, index: u64, truncate: bool) -> bool {
    let mut fault_mutex = m.hugetlb_fault_mutexes.lock(file.id, index);
    let Some(folio) = file.mapping.get(index * HUGE_PAGES) else { return false };
    if folio.maps() > 0 {
        fault_mutex = hugetlb_unmap_file_folio(m, file, index, &folio, fault_mutex);
    }
    delete_from_page_cache(m, file, index, &folio);
    if !truncate {
        reserve::hugetlb_unreserve_pages(m, file, index..index + 1, 1);
    }
    drop(fault_mutex);
    m.put_folio(&folio, 1);
    true
}

#[inline(never)]
fn delete_from_page_cache(m: &Machine, file: &Inode, index: u64, folio: &Arc<Folio>) {
    let _locked = folio.lock.lock();
    m.hugetlb_fault_mutexes.check_locked(file.id, index, "is taken out of the cache");
    folio.check_locked("taken out of the cache");
    {
        let _i_pages = file.mapping.i_pages.lock_irq();
        file.mapping.remove(index * HUGE_PAGES);
        folio.set_place(None);
    }
    // Nobody has it mapped, and nobody maps it before the fault mutex is dropped.
    m.model.zero(file.id, index * HUGE_PAGES..(index + 1) * HUGE_PAGES);
    m.put_folio(folio, folio.pages());
}

/// Unmaps a page of the cache wherever it is mapped. The caller has the fault mutex, and has it again afterwards, so the page
/// stays unmapped.
#[inline(never)]
fn hugetlb_unmap_file_folio(
    m: &Machine,
    file: &Arc<Inode>,
    index: u64,
    folio: &Arc<Folio>,
    fault_mutex: MutexGuard,
) -> MutexGuard {
    let _scope = sched::scope("hugetlb_unmap_file_folio");
    let pages = index * HUGE_PAGES..(index + 1) * HUGE_PAGES;
    if m.protocol.hugetlb_locking == HugetlbLocking::Imap {
        // Faults take i_mmap first: so the mutex is dropped for it, and taken again.
        drop(fault_mutex);
        let _i_mmap = file.mapping.i_mmap_rwsem.write();
        let fault_mutex = m.hugetlb_fault_mutexes.lock(file.id, index);
        unmap_where_free(m, file, &pages, folio);
        return fault_mutex;
    }
    while let Some((busy, vma)) = try_unmap_folio(m, file, &pages, folio) {
        // Against the order it could only be tried. In the right order: the reference keeps the lock, not the VMA.
        let held = busy.down_write();
        {
            let _i_mmap = file.mapping.i_mmap_rwsem.write();
            if busy.is_of(&vma)
                && let Some(mm) = vma.mm.upgrade()
            {
                check_unmap(m, &vma);
                unmap::unmap_from_file(m, &mm, &vma, vma.addrs_of(&pages), Wanted::Folio(folio));
            }
        }
        busy.up_write(held);
        busy.put();
    }
    fault_mutex
}

fn check_unmap(m: &Machine, vma: &Vma) {
    let holds = vma.is_hugetlb_locked(&m.protocol, true);
    sched::must_hold(holds, || format!("a page is taken out of vma {} while others use its tables", vma.id));
}

/// Unmaps a page from all VMAs up to the first one whose tables cannot be locked at once. Returns that one and its lock,
/// with a reference.
fn try_unmap_folio(m: &Machine, file: &Arc<Inode>, pages: &Range<u64>, folio: &Arc<Folio>) -> Option<(Sema, Arc<Vma>)> {
    let _i_mmap = file.mapping.i_mmap_rwsem.write();
    unmap_where_free(m, file, pages, folio)
}

/// The same under i_mmap.
fn unmap_where_free(
    m: &Machine,
    file: &Arc<Inode>,
    pages: &Range<u64>,
    folio: &Arc<Folio>,
) -> Option<(Sema, Arc<Vma>)> {
    let vmas = file.mapping.i_mmap.lock().overlapping(pages.clone());
    for vma in vmas {
        let Some(mm) = vma.mm.upgrade() else { continue };
        let Some(lock) = try_lock(m, &vma) else {
            let Some(busy) = vma.hugetlb_sema(&m.protocol) else { continue };
            return Some((busy.get(), vma));
        };
        check_unmap(m, &vma);
        unmap::unmap_from_file(m, &mm, &vma, vma.addrs_of(pages), Wanted::Folio(folio));
        drop(lock);
    }
    None
}

#[inline(never)]
fn try_lock(m: &Machine, vma: &Arc<Vma>) -> Option<HugetlbVmaGuard> {
    vma.hugetlb_vma_trylock_write(&m.protocol)
}
