//! `swapon`: what is swapped out goes to a device from now on, or to a file.
//!
//! Lock order of a file: `i_rwsem (write)`, under which it becomes one that nobody else changes, `-> folio_lock` and what
//! else writing takes, to write what is dirty of it, and `-> swapon_mutex -> swap_info->lock`. Of a device without the first
//! two: it has no pages in the cache here, and nobody else opens it.

use std::sync::Arc;

use crate::{machine::Machine, mem::Inode, op::writeback, sched, sync::Look};

/// Returns whether swap is on a file, so that nobody else may change it.
pub(crate) fn is_swapfile(m: &Machine, file: &Inode) -> bool {
    let is_one = file.is_swapfile() && !sched::forgets(Look::SwapOnFile);
    m.stats.swap_file_kept.add(u64::from(is_one));
    is_one
}

/// Turns swap on, with a device of at least `slots` slots.
pub(crate) fn swapon(m: &Machine, slots: u64) {
    let _scope = sched::scope("swapon");
    let _swapon_mutex = m.swap.swapon_mutex.write();
    super::check_alone(m);
    m.swap.enable(slots);
}

/// Turns swap on with a file of a disk. Returns whether it is on: not with a file that swap is on already, nor beside another
/// device.
#[inline(never)]
pub(crate) fn swapon_file(m: &Machine, file: &Arc<Inode>) -> bool {
    let _scope = sched::scope("swapon");
    let _i_rwsem = file.i_rwsem.write();
    if file.is_swapfile() || file.is_shmem() || file.hugetlb.is_some() {
        return false;
    }
    // From now on nobody writes to it, so what is written back now is the last (`inode_drain_writes`).
    file.set_swapfile(true);
    writeback::writeback(m, file);
    let _swapon_mutex = m.swap.swapon_mutex.write();
    super::check_alone(m);
    let is_on = m.swap.enable_file(file);
    if is_on {
        m.model.lend(file.id);
        m.stats.swap_files.add(1);
    } else {
        file.set_swapfile(false);
    }
    is_on
}
