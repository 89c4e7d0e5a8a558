//! `readdir`: the names in a directory, told to user code.
//!
//! Lock order: `i_rwsem (read)` of the directory `-> mmap_lock or VMA lock, and what a page fault takes`: the names are copied
//! out while the directory is locked. A file of hugetlbfs has its own `i_rwsem` taken under the mmap lock, so the two must be
//! of two classes (F3).

use std::sync::Arc;

use super::{Signal, access};
use crate::{
    machine::Machine,
    mem::{Directory, Mm},
    sched,
};

/// Stores the name of a directory that comes at or after `name` at `answer`, for user code. Returns it, if there is one.
#[inline(never)]
pub(crate) fn readdir(
    m: &Machine,
    mm: &Arc<Mm>,
    directory: &Directory,
    name: u64,
    answer: u64,
) -> Result<Option<u64>, Signal> {
    let _scope = sched::scope("readdir");
    let _i_rwsem = directory.i_rwsem.read();
    let next = directory.next(name);
    if let Some(name) = next {
        access::store(m, mm, answer, name)?;
    }
    Ok(next)
}
