//! `link`: gives a file a name in a directory.
//!
//! Lock order: as `unlink`: `sb_writers -> i_rwsem of the directory (write, as a parent) -> i_rwsem of the file (write) ->
//! inode->i_lock`.

use std::sync::Arc;

use crate::{
    machine::Machine,
    mem::{Directory, Inode, PARENT},
    sched,
};

/// Gives a file a name in a directory. Returns whether it had none there.
#[inline(never)]
pub(crate) fn vfs_link(m: &Machine, directory: &Directory, file: &Arc<Inode>) -> bool {
    let _scope = sched::scope("link");
    let _writers = m.sb.start_write();
    let _parent = directory.i_rwsem.write_nested(PARENT);
    let _i_rwsem = file.i_rwsem.write();
    let is_new = directory.add(file.id);
    if is_new {
        file.add_link();
    }
    is_new
}
