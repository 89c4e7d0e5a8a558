//! `truncate`: a new size of a file.
//!
//! Lock order: `sb_writers -> i_rwsem (write) -> invalidate_lock (write) -> i_mmap_rwsem (read) -> pte_lock` to unmap what is cut off,
//! then per folio `-> folio_lock -> i_mmap_rwsem (read)` if somebody has mapped it meanwhile, `-> private_lock` for
//! its buffers, and `-> inode->i_lock -> i_pages`.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{buffer, dirty, filemap, hugetlb, shmem, swap, unmap_mapping::unmap_mapping_pages};
use crate::{
    finding::Invariant,
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
        check_gone(file, &(pages..u64::MAX));
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
    // A fault on shared memory may put a page there for a moment, and takes it out itself.
    if !file.is_shmem() {
        check_gone(file, &(pages..u64::MAX));
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
    truncate_inode_pages_range(m, file, from..u64::MAX, &|folio| m.split_queue.add(folio));
}

/// Drops what the cache has of a range, while nobody can bring in anything: what is left of it is looked for again from its beginning,
/// until there is nothing (the kernel's second pass, from the start). Of a huge folio across an end, which stays, the pages become zeros, and `keep` is called.
#[inline(never)]
pub(super) fn truncate_inode_pages_range(
    m: &Machine,
    file: &Arc<Inode>,
    pages: Range<u64>,
    keep: &dyn Fn(&Arc<Folio>),
) {
    let mut left = pages.clone();
    while let Some((base, folio)) = file.mapping.next(&left) {
        if truncate_folio(m, file, base, &folio, &pages, keep) {
            left = if base < left.start { base + folio.pages()..left.end } else { left.start..base };
        }
        m.put_folio(&folio, 1);
    }
}

/// Takes a folio out of the cache, unless it has left it meanwhile. Returns whether it stays instead, because the range has but a part
/// of it.
#[inline(never)]
fn truncate_folio(
    m: &Machine,
    file: &Arc<Inode>,
    base: u64,
    folio: &Arc<Folio>,
    pages: &Range<u64>,
    keep: &dyn Fn(&Arc<Folio>),
) -> bool {
    let _locked = folio.lock.lock();
    dirty::wait_on_writeback(folio);
    if !folio.is_in(&file.mapping) {
        return false;
    }
    let all = base..base + folio.pages();
    let part = all.start.max(pages.start)..all.end.min(pages.end);
    if folio.maps() > 0 && !sched::forgets(Look::FolioMappedAgain) {
        // By a page fault that had the folio locked until now. Whoever maps a page of it has to lock it: what is unmapped now stays
        // so until it is gone, or zeros.
        unmap_mapping_pages(m, &file.mapping, part.clone(), false);
    }
    if part != all {
        folio.check_locked("cut");
        part.for_each(|index| folio.write(folio.pfn + (index - base), 0));
        keep(folio);
        return true;
    }
    folio.dirty.store(false, Relaxed);
    buffer::block_invalidate_folio(m, &file.mapping, folio);
    filemap::filemap_remove_folio(m, file, base, folio);
    false
}

/// Checks that nothing of a range that has been cut off or punched out is cached, while nobody can bring it in.
pub(super) fn check_gone(file: &Inode, pages: &Range<u64>) {
    if let Some(index) = file.mapping.whole_in(pages) {
        let text = format!("page {index} of file {} is cached, although {pages:?} has been cut", file.id);
        sched::finding(Invariant::CutButCached, text);
    }
}
