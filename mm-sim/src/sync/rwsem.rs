//! A sleeping reader-writer lock: fair, with trylock and downgrade.

use std::sync::Arc;

use lockdep::LockClass;

use super::{
    core::{Core, Hold, Nesting, Owner},
    state::Want,
};
use crate::sched::Waitable;

/// A reader-writer semaphore.
pub(crate) struct RwSem(Arc<Core>);

impl RwSem {
    pub(crate) fn new(class: &'static LockClass, owner: Owner) -> Self {
        Self(Core::new(class, owner, true))
    }

    /// Acquires for reading.
    #[track_caller]
    pub(crate) fn read(&self) -> ReadGuard {
        self.read_nested(0)
    }

    /// Acquires for reading, under a lock of the same class.
    #[track_caller]
    pub(crate) fn read_nested(&self, subclass: u8) -> ReadGuard {
        let hold = self.0.lock(Want::Read, subclass);
        ReadGuard(self.0.clone(), hold)
    }

    /// Acquires for writing.
    #[track_caller]
    pub(crate) fn write(&self) -> WriteGuard {
        self.write_nested(0)
    }

    /// Acquires for writing, under a lock of the same class.
    #[track_caller]
    pub(crate) fn write_nested(&self, subclass: u8) -> WriteGuard {
        let hold = self.0.lock(Want::Write, subclass);
        WriteGuard(Some(self.0.clone()), hold)
    }

    /// Acquires for writing, beside other locks of the class: the actor has `nest`, and whoever takes several of them does.
    #[track_caller]
    pub(crate) fn write_under(&self, nest: &Self) -> WriteGuard {
        let hold = self.0.lock_nested(Want::Write, Nesting::Under(nest.0.clone()));
        WriteGuard(Some(self.0.clone()), hold)
    }

    /// Acquires for reading, unless that would wait.
    #[track_caller]
    pub(crate) fn try_read(&self) -> Option<ReadGuard> {
        self.0.try_lock(Want::Read, 0).map(|hold| ReadGuard(self.0.clone(), hold))
    }

    /// Acquires for writing, unless that would wait.
    #[track_caller]
    pub(crate) fn try_write(&self) -> Option<WriteGuard> {
        self.0.try_lock(Want::Write, 0).map(|hold| WriteGuard(Some(self.0.clone()), hold))
    }

    /// Tells lockdep that it may be taken for reading here, whether it is or not.
    #[track_caller]
    pub(crate) fn might_read(&self) {
        self.0.might_take(Want::Read);
    }

    /// Acquires for reading, without a guard: for a lock that is looked for again when it is to be released.
    #[track_caller]
    pub(crate) fn down_read(&self) -> Held {
        Held(self.0.lock(Want::Read, 0))
    }

    /// Acquires for writing, without a guard.
    #[track_caller]
    pub(crate) fn down_write(&self) -> Held {
        Held(self.0.lock(Want::Write, 0))
    }

    /// Acquires for writing, without a guard, unless that would wait.
    #[track_caller]
    pub(crate) fn try_down_write(&self) -> Option<Held> {
        self.0.try_lock(Want::Write, 0).map(Held)
    }

    /// Releases what [`down_read`](Self::down_read) got.
    pub(crate) fn up_read(&self, held: Held) {
        self.0.unlock(Want::Read, held.0);
    }

    /// Releases what [`down_write`](Self::down_write) got.
    pub(crate) fn up_write(&self, held: Held) {
        self.0.unlock(Want::Write, held.0);
    }

    /// The memory that it is in is freed: nobody may have it or wait for it, and nobody may take it any more.
    pub(crate) fn destroy(&self) {
        self.0.destroy();
    }

    /// Returns whether this actor holds it in either mode.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.is_mine(Want::Read) || self.is_mine_to_write()
    }

    /// Returns whether this actor holds it for writing.
    pub(crate) fn is_mine_to_write(&self) -> bool {
        self.0.is_mine(Want::Write)
    }

    /// Returns whether nobody holds it.
    pub(crate) fn is_free(&self) -> bool {
        self.0.is_free()
    }

    /// Returns whether anybody but this actor holds it.
    pub(crate) fn is_held_by_others(&self) -> bool {
        self.0.is_held_by_others()
    }

    /// The same lock by another name: for what it protects, to ask who holds it.
    pub(crate) fn again(&self) -> Self {
        Self(self.0.clone())
    }

    /// Returns its name and owner, such as `mapping->i_mmap_rwsem of file 1`.
    pub(crate) fn label(&self) -> String {
        Waitable::label(&*self.0)
    }

    /// What lockdep knows of it, for holds that outlive the lock word.
    pub(crate) fn map(&self) -> &lockdep::LockMap {
        self.0.map()
    }
}

/// What an acquisition without a guard got.
#[derive(Clone, Copy)]
pub(crate) struct Held(Hold);

impl Held {
    /// What somebody who has taken nothing believes to have.
    pub(crate) const NOTHING: Self = Self(Hold::Taken);
}

/// Holds a lock for reading.
#[must_use]
pub(crate) struct ReadGuard(Arc<Core>, Hold);

impl ReadGuard {
    /// Releases it as if it were held for writing: a bug.
    pub(crate) fn unlock_as_writer(self) {
        self.0.unlock(Want::Write, self.1);
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        self.0.unlock(Want::Read, self.1);
    }
}

/// Holds a lock for writing.
#[must_use]
pub(crate) struct WriteGuard(Option<Arc<Core>>, Hold);

impl WriteGuard {
    /// Goes on as a reader, without letting go in between.
    pub(crate) fn downgrade(mut self) -> ReadGuard {
        let core = self.0.take().expect("only downgrade and drop take it, and both end the guard");
        core.downgrade(self.1);
        ReadGuard(core, self.1)
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            core.unlock(Want::Write, self.1);
        }
    }
}
