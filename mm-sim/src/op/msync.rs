//! `msync`: what a shared mapping has changed goes to disk.
//!
//! Lock order: `mmap_lock (read)` to see which files they are; dropped before a file is written, because that may wait for
//! whatever the file system likes.

use std::{ops::Range, sync::Arc};

use super::writeback;
use crate::{machine::Machine, mem::Mm, sched};

/// Writes back the files that are mapped shared in a range.
#[inline(never)]
pub(crate) fn msync(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) {
    let _scope = sched::scope("msync");
    let mut addr = range.start;
    while addr < range.end {
        let found = {
            let _mmap = mm.mmap_lock.read();
            mm.find_from(addr).filter(|vma| vma.range().start < range.end)
        };
        let Some(vma) = found else { return };
        addr = vma.range().end.max(addr + 1);
        if let Some(file) = vma.file.as_ref().filter(|_| vma.flags().shared) {
            writeback::writeback(m, file);
        }
    }
}
