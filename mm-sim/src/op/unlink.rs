//! `unlink`: takes a file's name out of a directory.
//!
//! Lock order: `sb_writers -> i_rwsem of the directory (write, as a parent) -> i_rwsem of the file (write) ->
//! inode->i_lock`. Directory and file may be of one class, as on file systems in memory: the subclass keeps them apart.

use std::sync::Arc;

use super::swap;
use crate::{
    machine::Machine,
    mem::{Directory, Inode, PARENT},
    sched,
};

/// Takes the name of a file out of a directory. The file lives on while it is in use. Returns whether it had one there and may
/// lose it: one that swap is on may not.
#[inline(never)]
pub(crate) fn vfs_unlink(m: &Machine, directory: &Directory, file: &Arc<Inode>) -> bool {
    let _scope = sched::scope("unlink");
    let _writers = m.sb.start_write();
    let _parent = directory.i_rwsem.write_nested(PARENT);
    let _i_rwsem = file.i_rwsem.write();
    let may = !swap::is_swapfile(m, file) && directory.remove(file.id);
    if may {
        file.drop_link();
    }
    may
}
