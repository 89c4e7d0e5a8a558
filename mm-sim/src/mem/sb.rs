//! A file system as a whole: what freezing it waits for.

use crate::{
    classes::{SB_PAGEFAULTS, SB_WRITERS},
    sync::PseudoLock,
};

/// The kernel's `struct super_block`, as far as its two freeze levels go.
pub(crate) struct SuperBlock {
    writers: PseudoLock,
    pagefaults: PseudoLock,
}

impl SuperBlock {
    pub(crate) const fn new() -> Self {
        Self { writers: PseudoLock::for_readers(&SB_WRITERS), pagefaults: PseudoLock::for_readers(&SB_PAGEFAULTS) }
    }

    /// A system call is about to write.
    #[track_caller]
    pub(crate) fn start_write(&self) -> SbGuard<'_> {
        SbGuard::new(&self.writers)
    }

    /// A page fault is about to make a page writable.
    #[track_caller]
    pub(crate) fn start_pagefault(&self) -> SbGuard<'_> {
        SbGuard::new(&self.pagefaults)
    }
}

/// Keeps the file system from being frozen.
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
