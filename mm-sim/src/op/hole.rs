//! `fallocate` punches a hole into a file of a disk: its pages are zeros from then on.
//!
//! Lock order: as `truncate`: `sb_writers -> i_rwsem (write) -> invalidate_lock (write) -> i_mmap_rwsem (read) -> pte_lock` to
//! unmap what is in the hole, then per folio `-> folio_lock -> i_mmap_rwsem (read)` and `-> i_pages`. Private copies stay.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{buffer, dirty, filemap, swap, unmap_mapping::unmap_mapping_pages};
use crate::{
    machine::Machine,
    mem::{Folio, Inode},
    sched,
};

/// Punches a hole of these pages. Returns whether it may: a file that swap is on gets none (`ETXTBSY`; the kernel looks before
/// it locks the file).
#[inline(never)]
pub(crate) fn punch_hole(m: &Machine, file: &Arc<Inode>, pages: Range<u64>) -> bool {
    let _scope = sched::scope("punch_hole");
    let _i_rwsem = file.i_rwsem.write();
    if swap::is_swapfile(m, file) {
        return false;
    }
    let _invalidate = file.mapping.invalidate_lock.write();
    let pages = pages.start..pages.end.min(file.size());
    if pages.is_empty() {
        return true;
    }
    let holds = file.i_rwsem.is_mine_to_write() && file.mapping.invalidate_lock.is_mine_to_write();
    sched::must_hold(holds, || format!("file {} gets a hole without its locks", file.id));
    m.sb.check_writing(file.id, "gets a hole");
    m.model.begin_hole(file.id, pages.clone());
    unmap_mapping_pages(m, &file.mapping, pages.clone(), false);
    for (base, folio) in file.mapping.from(pages.start) {
        if base < pages.end && folio.try_get() {
            punch_folio(m, file, base, &folio, &pages);
            m.put_folio(&folio, 1);
        }
    }
    file.cut_disk_range(pages);
    m.model.end_hole(file.id);
    m.stats.holes.add(1);
    true
}

#[inline(never)]
fn punch_folio(m: &Machine, file: &Arc<Inode>, base: u64, folio: &Arc<Folio>, pages: &Range<u64>) {
    let _locked = folio.lock.lock();
    if !folio.is_in(&file.mapping) {
        return;
    }
    dirty::wait_on_writeback(folio);
    let all = base..base + folio.pages();
    let part = all.start.max(pages.start)..all.end.min(pages.end);
    if folio.maps() > 0 {
        // Whoever maps a page of it has to lock the folio: what is unmapped now stays so until it is gone, or zeros.
        unmap_mapping_pages(m, &file.mapping, part.clone(), false);
    }
    if part == all {
        folio.dirty.store(false, Relaxed);
        buffer::block_invalidate_folio(m, &file.mapping, folio);
        filemap::filemap_remove_folio(m, file, base, folio);
    } else {
        part.for_each(|index| folio.write(folio.pfn + (index - base), 0));
        dirty::folio_mark_dirty(m, folio);
    }
}
