//! A file system as a whole: what freezing it waits for.

use parking_lot::Mutex;

use crate::{
    classes::{SB_PAGEFAULTS, SB_WRITERS},
    sched::{self, ActorId},
    sync::PseudoLock,
};

/// The kernel's `struct super_block`, as far as its two freeze levels go.
pub(crate) struct SuperBlock {
    writers: PseudoLock,
    /// Who is in a system call that writes.
    writing: Mutex<Vec<ActorId>>,
    pagefaults: PseudoLock,
}

impl SuperBlock {
    pub(crate) const fn new() -> Self {
        Self {
            writers: PseudoLock::for_readers(&SB_WRITERS),
            writing: Mutex::new(Vec::new()),
            pagefaults: PseudoLock::for_readers(&SB_PAGEFAULTS),
        }
    }

    /// A system call is about to write.
    #[track_caller]
    pub(crate) fn start_write(&self) -> SbWriter<'_> {
        let level = SbGuard::new(&self.writers);
        self.writing.lock().push(sched::current());
        SbWriter { sb: self, _level: level }
    }

    /// A page fault is about to make a page writable.
    #[track_caller]
    pub(crate) fn start_pagefault(&self) -> SbGuard<'_> {
        SbGuard::new(&self.pagefaults)
    }

    /// Checks that the file system cannot be frozen while this actor changes a file of it.
    pub(crate) fn check_writing(&self, file: u64, what: &str) {
        let is_writing = self.writing.lock().contains(&sched::current());
        sched::must_hold(is_writing, || format!("file {file} {what} while its file system may be frozen"));
    }
}

/// Keeps the file system from being frozen, at one of its levels.
#[must_use]
pub(crate) struct SbGuard<'a>(&'a PseudoLock);

impl<'a> SbGuard<'a> {
    #[track_caller]
    fn new(lock: &'a PseudoLock) -> Self {
        lock.acquire();
        SbGuard(lock)
    }
}

impl Drop for SbGuard<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// The same for a system call, which says so.
#[must_use]
pub(crate) struct SbWriter<'a> {
    sb: &'a SuperBlock,
    _level: SbGuard<'a>,
}

impl Drop for SbWriter<'_> {
    fn drop(&mut self) {
        let mut writing = self.sb.writing.lock();
        if let Some(at) = writing.iter().rposition(|&actor| actor == sched::current()) {
            writing.swap_remove(at);
        }
    }
}
