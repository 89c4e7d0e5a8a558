//! `fallocate` punches a hole into a file of a disk: its pages are zeros from then on.
//!
//! Lock order: as `truncate`: `sb_writers -> i_rwsem (write) -> invalidate_lock (write) -> i_mmap_rwsem (read) -> pte_lock` to
//! unmap what is in the hole, then per folio `-> folio_lock -> i_mmap_rwsem (read)` and `-> i_pages`. Private copies stay.

use std::{ops::Range, sync::Arc};

use super::{dirty, swap, truncate, unmap_mapping::unmap_mapping_pages};
use crate::{machine::Machine, mem::Inode, sched};

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
    truncate::truncate_inode_pages_range(m, file, pages.clone(), &|folio| dirty::folio_mark_dirty(m, folio));
    truncate::check_gone(file, &pages);
    file.cut_disk_range(pages);
    m.model.end_hole(file.id);
    m.stats.holes.add(1);
    true
}
