//! `readdir`: the names in a directory, told to user code.
//!
//! Lock order: `i_rwsem (read)` of the directory `-> mmap_lock or VMA lock, and what a page fault takes`: the names are copied
//! out while the directory is locked. A file of hugetlbfs has its own `i_rwsem` taken under the mmap lock, so the two must be
//! of two classes (F3).

use std::sync::Arc;

use super::{Signal, access};
use crate::{
    Bug,
    classes::{DIR_I_RWSEM, HUGETLBFS_I_RWSEM},
    machine::Machine,
    mem::Mm,
    sched,
    sync::RwSem,
};

/// A directory.
pub(crate) struct Directory {
    i_rwsem: RwSem,
}

impl Directory {
    /// A directory of hugetlbfs.
    pub(crate) fn new(m: &Machine) -> Self {
        let class = if m.protocol.has(Bug::DirectoryInFileClass) { &HUGETLBFS_I_RWSEM } else { &DIR_I_RWSEM };
        Self { i_rwsem: RwSem::new(class, ("directory", m.new_id())) }
    }
}

/// Stores a name at `answer` for user code.
#[inline(never)]
pub(crate) fn readdir(m: &Machine, mm: &Arc<Mm>, directory: &Directory, name: u64, answer: u64) -> Result<(), Signal> {
    let _scope = sched::scope("readdir");
    let _i_rwsem = directory.i_rwsem.read();
    access::store(m, mm, answer, name)
}
