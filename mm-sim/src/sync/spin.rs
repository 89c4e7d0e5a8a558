//! A spinning lock: exclusive, and its holder must not sleep.

use std::sync::Arc;

use lockdep::LockClass;

use super::core::{Core, Hold, Owner, Want};

/// A spinlock.
pub(crate) struct SpinLock(Arc<Core>);

impl SpinLock {
    pub(crate) fn new(class: &'static LockClass, owner: Owner) -> Self {
        Self(Core::new(class, owner, false))
    }

    /// Acquires.
    #[track_caller]
    pub(crate) fn lock(&self) -> SpinGuard {
        self.lock_nested(0)
    }

    /// Acquires under a lock of the same class.
    #[track_caller]
    pub(crate) fn lock_nested(&self, subclass: u8) -> SpinGuard {
        let hold = self.0.lock(Want::Write, subclass);
        SpinGuard(self.0.clone(), hold)
    }

    /// Returns whether this actor holds it.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.is_mine(Want::Write)
    }
}

/// Holds a spinlock.
#[must_use]
pub(crate) struct SpinGuard(Arc<Core>, Hold);

impl Drop for SpinGuard {
    fn drop(&mut self) {
        self.0.unlock(Want::Write, self.1);
    }
}
