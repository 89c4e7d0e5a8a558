//! `remap_file_pages`: a shared mapping shows another part of its file.
//!
//! Lock order: `mmap_lock (read)` to see which file it is; without locks the security module is asked, because that may take
//! `i_rwsem`; then `mmap_lock (write)`, where everything is looked at anew, and the range is unmapped and mapped again.

use std::{ops::Range, sync::Arc};

use super::{
    ima,
    mmap::{self, Request},
    munmap,
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Inode, Mm, PAGE_SIZE, Vma},
    sched,
};

/// Lets a range of a shared mapping show its file from page `offset` on. Returns whether it is one.
#[inline(never)]
pub(crate) fn remap_file_pages(m: &Machine, mm: &Arc<Mm>, range: Range<u64>, offset: u64) -> bool {
    let _scope = sched::scope("remap_file_pages");
    let asked = if m.protocol.has(Bug::SecurityHookUnderMmapLock) { None } else { ask_first(m, mm, &range) };
    let _mmap = mm.mmap_write_lock();
    let Some((vma, file)) = shared_mapping(mm, &range) else { return false };
    match asked {
        Some(asked) if !Arc::ptr_eq(&asked, &file) => return false,
        Some(_) => {}
        None if m.protocol.has(Bug::SecurityHookUnderMmapLock) => ima::security_mmap_file(m, &file),
        None => return false,
    }
    let pages = (range.end - range.start) / PAGE_SIZE;
    let request = Request { addr: Some(range.start), pages, flags: vma.flags(), file: Some((file, offset)) };
    munmap::do_munmap(m, mm, range.clone());
    mmap::do_mmap(m, mm, range.start, request).is_some()
}

/// Asks the security module about the file of a range. Returns the file.
#[inline(never)]
fn ask_first(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> Option<Arc<Inode>> {
    let (_, file) = {
        let _mmap = mm.mmap_lock.read();
        shared_mapping(mm, range)?
    };
    ima::security_mmap_file(m, &file);
    Some(file)
}

/// Returns the one shared mapping that has all of a range, and its file.
fn shared_mapping(mm: &Mm, range: &Range<u64>) -> Option<(Arc<Vma>, Arc<Inode>)> {
    let vma = mm.find(range.start).filter(|vma| vma.flags().shared && range.end <= vma.range().end)?;
    let file = vma.file.clone()?;
    Some((vma, file))
}
