//! `MADV_REMOVE`: a range of a shared mapping, and that part of the file, are zeros from now on.
//!
//! Lock order: `mmap_lock (read)` to see which file it is; dropped before the file system punches the hole, which takes
//! `sb_writers -> i_rwsem`: `write` takes them before the mmap lock (90ed52ebe481). Then `mmap_lock (read)` again, which
//! `madvise` expects its caller to have when it goes on to the next mapping.

use std::{ops::Range, sync::Arc};

use super::walk_vmas;
use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, PAGE_SIZE},
    op::fallocate::{self, Fallocate},
};

/// Punches the hole.
#[inline(never)]
pub(super) fn remove(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let mut files = Vec::new();
    let mmap = mm.mmap_lock.read();
    let whole = walk_vmas(mm, range, |vma, part| {
        let flags = vma.flags();
        if let Some(file) = vma.file.as_ref().filter(|_| flags.shared && flags.write && !flags.locked) {
            let first = vma.pgoff_of(part.start);
            files.push((file.clone(), first..first + (part.end - part.start) / PAGE_SIZE));
        }
    });
    let kept = m.protocol.has(Bug::HolePunchedUnderMmapLock).then_some(mmap);
    for (file, pages) in files {
        fallocate::vfs_fallocate(m, &file, Fallocate::PunchHole, pages);
        if kept.is_none() {
            let _mmap = mm.mmap_lock.read();
        }
    }
    whole
}
