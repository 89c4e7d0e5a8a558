//! [`Ending`]: who ends a process without its mmap lock.

use parking_lot::Mutex;

use crate::sched::{self, ActorId};

/// Who ends a process, in kernels where that takes no mmap lock: nobody else uses it, so nothing need be locked. Whoever
/// comes from outside all the same, and takes the mmap lock, has kept nobody away by it.
#[derive(Default)]
pub(crate) struct Ending(Mutex<Option<ActorId>>);

impl Ending {
    /// This actor ends the process, from now on.
    pub(crate) fn begin(&self) {
        *self.0.lock() = Some(sched::current());
    }

    /// Returns whether this actor ends it.
    pub(crate) fn is_mine(&self) -> bool {
        *self.0.lock() == Some(sched::current())
    }

    /// Returns whether another actor ends it.
    pub(crate) fn is_of_others(&self) -> bool {
        self.0.lock().is_some_and(|actor| actor != sched::current())
    }
}
