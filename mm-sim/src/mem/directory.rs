//! A directory: which files have names in it, and the lock under which they are read and changed.

use std::collections::BTreeSet;

use lockdep::LockClass;
use parking_lot::Mutex;

use crate::{sched, sync::RwSem};

/// The subclass of a directory whose names are being changed (the kernel's `I_MUTEX_PARENT`).
pub(crate) const PARENT: u8 = 1;

/// A directory. A name is the number of its file.
pub(crate) struct Directory {
    id: u64,
    pub(crate) i_rwsem: RwSem,
    names: Mutex<BTreeSet<u64>>,
}

impl Directory {
    /// One that has its own name alone.
    pub(crate) fn new(class: &'static LockClass, id: u64) -> Self {
        Self { id, i_rwsem: RwSem::new(class, ("directory", id)), names: Mutex::new([id].into()) }
    }

    /// Returns the name that comes at or after `name`. The caller has locked it.
    pub(crate) fn next(&self, name: u64) -> Option<u64> {
        let holds = self.i_rwsem.is_mine();
        sched::must_hold(holds, || format!("directory {} is read without its lock", self.id));
        self.names.lock().range(name..).next().copied()
    }

    /// Adds a name. The caller has locked it for writing. Returns whether it was not there.
    pub(crate) fn add(&self, name: u64) -> bool {
        self.check_write("gets a name");
        self.names.lock().insert(name)
    }

    /// Takes a name out. The caller has locked it for writing. Returns whether it was there.
    pub(crate) fn remove(&self, name: u64) -> bool {
        self.check_write("loses a name");
        self.names.lock().remove(&name)
    }

    fn check_write(&self, what: &str) {
        let holds = self.i_rwsem.is_mine_to_write();
        sched::must_hold(holds, || format!("directory {} {what} without its lock", self.id));
    }
}
