//! `truncate`: a new size of a file.
//!
//! Lock order: `sb_writers -> i_rwsem (write) -> invalidate_lock (write) -> i_mmap_rwsem (read) -> pte_lock` to unmap what is cut off,
//! then per folio `-> folio_lock -> i_mmap_rwsem (read)` if somebody has mapped it meanwhile, `-> private_lock` for
//! its buffers, and `-> inode->i_lock -> i_pages`.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{buffer, dirty, filemap, hugetlb, shmem, swap, unmap_mapping::unmap_mapping_pages};
use crate::{
    machine::Machine,
    mem::{Folio, Inode},
    sched,
    sync::Look,
};

/// Sets the size of a file, in pages. Returns whether it may have it: one that swap is on is not cut (`ETXTBSY`).
#[inline(never)]
pub(crate) fn truncate(m: &Machine, file: &Arc<Inode>, pages: u64) -> bool {
    let _scope = sched::scope("truncate");
    let _writers = m.sb.start_write();
    let _i_rwsem = file.i_rwsem.write();
    if pages < file.size() && swap::is_swapfile(m, file) {
        return false;
    }
    m.sb.check_writing(file.id, "gets a new size");
    m.stats.truncations.add(1);
    if file.hugetlb.is_some() {
        hugetlb::file::hugetlb_vmtruncate(m, file, pages);
        return true;
    }
    if pages >= file.size() {
        m.model.end_truncate(file.id, pages);
        file.set_size(pages);
        return true;
    }
    let _invalidate = (!file.is_shmem()).then(|| file.mapping.invalidate_lock.write());
    m.model.begin_truncate(file.id, pages);
    file.set_size(pages);
    {
        // Persistent memory is cut within a transaction.
        let _handle = file.is_dax.load(Relaxed).then(|| file.journal.read());
        truncate_pagecache(m, file, pages);
    }
    file.cut_disk(pages);
    m.model.end_truncate(file.id, pages);
    true
}

/// Drops the whole cache of a file, as unmounting does. A fault that came during a truncation may have left a folio beyond
/// the end, where nobody can map it.
pub(crate) fn evict_inode(m: &Machine, file: &Arc<Inode>) {
    let _scope = sched::scope("evict_inode");
    truncate(m, file, 0);
    if file.hugetlb.is_none() {
        truncate_inode_pages(m, file, 0);
    }
    if file.is_shmem() {
        shmem::shmem_evict_inode(m, file);
    }
}

#[inline(never)]
fn truncate_pagecache(m: &Machine, file: &Arc<Inode>, from: u64) {
    // Once so that few folios are mapped any more, and once more for the private copies, and the stores to a huge folio
    // across the new end, that were made in between.
    unmap_mapping_pages(m, &file.mapping, from..u64::MAX, true);
    truncate_inode_pages(m, file, from);
    if !sched::forgets(Look::UnmapAgain) {
        unmap_mapping_pages(m, &file.mapping, from..u64::MAX, true);
        truncate_inode_pages(m, file, from);
    }
}

#[inline(never)]
fn truncate_inode_pages(m: &Machine, file: &Arc<Inode>, from: u64) {
    if file.is_shmem() {
        return shmem::shmem_undo_range(m, file, from..u64::MAX);
    }
    for (base, folio) in file.mapping.from(from) {
        if folio.try_get() {
            truncate_folio(m, file, base, &folio, from);
            m.put_folio(&folio, 1);
        }
    }
}

#[inline(never)]
fn truncate_folio(m: &Machine, file: &Arc<Inode>, base: u64, folio: &Arc<Folio>, from: u64) {
    let _locked = folio.lock.lock();
    dirty::wait_on_writeback(folio);
    if !folio.is_in(&file.mapping) {
        return;
    }
    if base < from {
        // A huge folio across the new end stays; what is cut off of it is zeros.
        folio.check_locked("cut");
        (from - base..folio.pages()).for_each(|i| folio.write(folio.pfn + i, 0));
        m.split_queue.add(folio);
        return;
    }
    if folio.maps() > 0 && !sched::forgets(Look::FolioMappedAgain) {
        // By a page fault that had seen the old size, and had the folio locked until now.
        unmap_mapping_pages(m, &file.mapping, base..base + folio.pages(), false);
    }
    folio.dirty.store(false, Relaxed);
    buffer::block_invalidate_folio(m, &file.mapping, folio);
    filemap::filemap_remove_folio(m, file, base, folio);
}
