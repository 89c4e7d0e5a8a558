//! Locks that nobody waits for: what is told to lockdep, so that it knows what may be waited for, and nothing else.

use lockdep::{Acquire, LockClass, LockMap};

use super::{
    id::unowned,
    trace::{Step, Taken, Way},
};
use crate::sched;

/// A lock that is a `LockMap` alone: there is no state behind it.
pub(crate) struct PseudoLock {
    map: LockMap,
    class: &'static LockClass,
    way: Way,
}

impl PseudoLock {
    /// One that stands for something to wait for: reclaim, a message, the end of some work.
    pub(crate) const fn new(class: &'static LockClass) -> Self {
        Self { map: LockMap::new_in(class), class, way: Way::Map }
    }

    /// One that whoever uses something has for reading: a file system that must not be frozen meanwhile.
    pub(crate) const fn for_readers(class: &'static LockClass) -> Self {
        Self { map: LockMap::new_in(class), class, way: Way::Read }
    }

    /// Tells lockdep that the actor is inside.
    #[track_caller]
    pub(crate) fn acquire(&self) {
        let how = if self.way == Way::Read { Acquire::shared() } else { Acquire::exclusive() };
        self.map.acquire(how);
        sched::trace(|| pseudo(self.class.name(), self.way));
    }

    /// Tells lockdep that the actor is outside again.
    pub(crate) fn release(&self) {
        self.map.release();
        sched::trace(|| Step::Release(unowned(self.class.name())));
    }
}

/// The acquisition of something that has no owner.
pub(super) const fn pseudo(class: &'static str, way: Way) -> Step {
    Step::Take(Taken { lock: unowned(class), way, tries: false, level: 0, under: false })
}
