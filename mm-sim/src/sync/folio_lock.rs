//! The lock of a folio: a bit that one sleeps on, exclusive.

use std::sync::Arc;

use lockdep::LockClass;

use super::{
    core::{Core, Hold, Owner},
    state::Want,
};

/// A folio's bit lock.
pub(crate) struct FolioLock(Arc<Core>);

impl FolioLock {
    pub(crate) fn new(class: &'static LockClass, owner: Owner) -> Self {
        Self(Core::new(class, owner, true))
    }

    /// Acquires, sleeping.
    #[track_caller]
    pub(crate) fn lock(&self) -> FolioGuard {
        let hold = self.0.lock(Want::Write, 0);
        FolioGuard(self.0.clone(), hold)
    }

    /// Acquires, unless that would wait.
    #[track_caller]
    pub(crate) fn try_lock(&self) -> Option<FolioGuard> {
        self.0.try_lock(Want::Write, 0).map(|hold| FolioGuard(self.0.clone(), hold))
    }

    /// Returns whether nobody holds it.
    pub(crate) fn is_free(&self) -> bool {
        self.0.is_free()
    }

    /// Returns whether this actor holds it.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.is_mine(Want::Write)
    }
}

/// Holds the lock of a folio.
#[must_use]
pub(crate) struct FolioGuard(Arc<Core>, Hold);

impl Drop for FolioGuard {
    fn drop(&mut self) {
        self.0.unlock(Want::Write, self.1);
    }
}
