//! Writeback: dirty folios of a file go to disk.
//!
//! Lock order: `folio_lock -> i_mmap_rwsem (read) -> pte_lock` to make the entries clean and read-only.

use std::sync::Arc;

use super::filemap;
use crate::{
    machine::Machine,
    mem::{Folio, Inode, rmap},
    sched,
};

/// Writes everything that is dirty.
#[inline(never)]
pub(crate) fn writeback(m: &Machine, file: &Arc<Inode>) {
    let _scope = sched::scope("writeback");
    for (_, folio) in file.mapping.from(0) {
        if folio.try_get() {
            write_cache_folio(m, file, &folio);
            m.put_folio(&folio, 1);
        }
    }
}

fn write_cache_folio(m: &Machine, file: &Arc<Inode>, folio: &Folio) {
    let _locked = folio.lock.lock();
    if folio.is_in(&file.mapping) {
        rmap::folio_mkclean(m, folio);
        filemap::write_folio(file, folio);
    }
}
