//! A file system as a whole: what freezing it waits for.

use lockdep::{Acquire, LockMap};

use crate::{
    classes::{SB_PAGEFAULTS, SB_WRITERS},
    sched,
    sync::{Step, Way, pseudo, unowned},
};

/// The kernel's `struct super_block`, as far as its two freeze levels go.
pub(crate) struct SuperBlock {
    writers: LockMap,
    pagefaults: LockMap,
}

impl SuperBlock {
    pub(crate) const fn new() -> Self {
        Self { writers: LockMap::new_in(&SB_WRITERS), pagefaults: LockMap::new_in(&SB_PAGEFAULTS) }
    }

    /// A system call is about to write.
    #[track_caller]
    pub(crate) fn start_write(&self) -> SbGuard<'_> {
        SbGuard::new(&self.writers, SB_WRITERS.name())
    }

    /// A page fault is about to make a page writable.
    #[track_caller]
    pub(crate) fn start_pagefault(&self) -> SbGuard<'_> {
        SbGuard::new(&self.pagefaults, SB_PAGEFAULTS.name())
    }
}

/// Keeps the file system from being frozen.
#[must_use]
pub(crate) struct SbGuard<'a>(&'a LockMap, &'static str);

impl<'a> SbGuard<'a> {
    #[track_caller]
    fn new(map: &'a LockMap, name: &'static str) -> Self {
        map.acquire(Acquire::shared());
        sched::trace(|| pseudo(name, Way::Read));
        SbGuard(map, name)
    }
}

impl Drop for SbGuard<'_> {
    fn drop(&mut self) {
        self.0.release();
        sched::trace(|| Step::Release(unowned(self.1)));
    }
}
