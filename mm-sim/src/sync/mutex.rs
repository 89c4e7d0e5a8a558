//! A sleeping mutual exclusion, the kernel's `struct mutex`.

use std::sync::Arc;

use lockdep::LockClass;

use super::{
    core::{Core, Hold, Owner},
    state::Want,
};

/// A mutex that one sleeps on.
pub(crate) struct SleepMutex(Arc<Core>);

impl SleepMutex {
    pub(crate) fn new(class: &'static LockClass, owner: Owner) -> Self {
        Self(Core::new(class, owner, true))
    }

    /// Acquires, sleeping.
    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard {
        let hold = self.0.lock(Want::Write, 0);
        MutexGuard(self.0.clone(), hold)
    }

    /// Returns whether this actor holds it.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.is_mine(Want::Write)
    }
}

/// Holds a mutex.
#[must_use]
pub(crate) struct MutexGuard(Arc<Core>, Hold);

impl Drop for MutexGuard {
    fn drop(&mut self) {
        self.0.unlock(Want::Write, self.1);
    }
}
