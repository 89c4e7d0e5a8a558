//! Page faults on files of persistent memory (DAX), as they were when they took i_mmap.
//!
//! Lock order: under the mmap lock or the VMA lock `-> jbd2_handle (read)` to find the block; to copy, `-> i_mmap_rwsem (read)` keeps
//! truncation away. The first version held `i_mmap_rwsem (write)` around the transaction: the only page fault of any released
//! kernel that took i_mmap itself, apart from hugetlbfs. The page cache stands in for the memory.

use std::sync::atomic::Ordering::Relaxed;

use super::vm_fault::VmFault;
use crate::{Bug, mem::Inode, sched, sync::ReadGuard};

/// Keeps truncation away from a page that is being copied.
#[must_use]
pub(crate) struct Held(Option<ReadGuard>, bool);

/// Finds the block of a fault, if the file is one of persistent memory.
#[inline(never)]
pub(crate) fn dax_fault(fault: &VmFault<'_>, file: &Inode) {
    if !file.is_dax.load(Relaxed) {
        return;
    }
    let _scope = sched::scope("dax_fault");
    let _i_mmap = fault.m.protocol.has(Bug::DaxBlockUnderImap).then(|| file.mapping.i_mmap_rwsem.write());
    get_block(file);
}

/// The file system looks for a block, or allocates one.
#[inline(never)]
fn get_block(file: &Inode) {
    let _scope = sched::scope("get_block");
    let _handle = file.journal.read();
}

/// Keeps truncation away while a page is copied, if the file is one of persistent memory.
#[inline(never)]
pub(crate) fn hold_for_copy(fault: &VmFault<'_>, file: &Inode) -> Held {
    let held = file.is_dax.load(Relaxed).then(|| file.mapping.i_mmap_rwsem.read());
    Held(held, fault.m.protocol.has(Bug::DaxUnlocksAsWriter))
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(held) = self.0.take().filter(|_| self.1) {
            held.unlock_as_writer();
        }
    }
}
