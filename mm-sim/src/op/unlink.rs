//! `unlink`: takes a file's name out of a directory.
//!
//! Lock order: `sb_writers -> i_rwsem of the directory (write, as a parent) -> i_rwsem of the file (write) ->
//! inode->i_lock`. Directory and file may be of one class, as on file systems in memory: the subclass keeps them apart.

use std::sync::Arc;

use super::swap;
use crate::{classes::I_RWSEM, machine::Machine, mem::Inode, sched, sync::RwSem};

/// The subclass of a directory whose entries are being changed (the kernel's `I_MUTEX_PARENT`).
const PARENT: u8 = 1;

/// A directory whose lock is of the same class as those of files.
pub(crate) struct PlainDirectory {
    i_rwsem: RwSem,
}

impl PlainDirectory {
    pub(crate) fn new(m: &Machine) -> Self {
        Self { i_rwsem: RwSem::new(&I_RWSEM, ("directory", m.new_id())) }
    }
}

/// Takes the name of a file out of a directory. The file lives on while it is in use. Returns whether it may lose the name: one
/// that swap is on may not.
#[inline(never)]
pub(crate) fn vfs_unlink(m: &Machine, directory: &PlainDirectory, file: &Arc<Inode>) -> bool {
    let _scope = sched::scope("unlink");
    let _writers = m.sb.start_write();
    let _parent = directory.i_rwsem.write_nested(PARENT);
    let _i_rwsem = file.i_rwsem.write();
    let may = !swap::is_swapfile(m, file);
    if may {
        file.drop_link();
    }
    may
}
