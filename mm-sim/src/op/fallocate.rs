//! `fallocate`: pages of a file are allocated, or become a hole.
//!
//! Lock order: `sb_writers`, as of every system call that writes, and then what the file system takes (`hole`,
//! `hugetlb::file`, `shmem`), which begins with `i_rwsem (write)`.

use std::{ops::Range, sync::Arc};

use super::{hole, hugetlb, shmem};
use crate::{machine::Machine, mem::Inode, sched};

/// What is to be done to the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallocate {
    /// They are there from now on. Only files of hugetlbfs have a pool to take them from.
    Allocate,
    /// They are gone, and read as zeros (`FALLOC_FL_PUNCH_HOLE`). A file of hugetlbfs loses only whole huge pages.
    PunchHole,
}

/// Does it. Returns whether there were enough pages, and swap is not on the file.
#[inline(never)]
pub(crate) fn vfs_fallocate(m: &Machine, file: &Arc<Inode>, what: Fallocate, pages: Range<u64>) -> bool {
    let _scope = sched::scope("vfs_fallocate");
    let _writers = m.sb.start_write();
    match what {
        Fallocate::Allocate if file.hugetlb.is_some() => return hugetlb::file::hugetlbfs_fallocate(m, file, pages),
        Fallocate::Allocate => {}
        Fallocate::PunchHole if file.hugetlb.is_some() => hugetlb::file::hugetlbfs_punch_hole(m, file, pages),
        Fallocate::PunchHole if file.is_shmem() => shmem::shmem_punch_hole(m, file, pages),
        Fallocate::PunchHole => return hole::punch_hole(m, file, pages),
    }
    true
}
