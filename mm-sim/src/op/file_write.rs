//! `write`: a system call writes a page of a file from user memory.
//!
//! Lock order: `i_rwsem (write) -> mmap_lock (read)` or the VMA lock, because copying from user memory may fault; that is done
//! before the folio is locked (`-> fs_reclaim`, `-> folio_lock(file) -> mapping->private_lock`), because the memory may be a mapping of that very folio.

use std::sync::Arc;

use super::{Signal, access, dirty, filemap};
use crate::{
    machine::Machine,
    mem::{Folio, Inode, Mm},
    sched,
};

/// Writes the word at `addr` to page `index` of a file. Returns whether the file has such a page.
#[inline(never)]
pub(crate) fn write(m: &Machine, mm: &Arc<Mm>, file: &Arc<Inode>, index: u64, addr: u64) -> Result<bool, Signal> {
    let _scope = sched::scope("generic_file_write_iter");
    let _i_rwsem = file.i_rwsem.write();
    if index >= file.size() {
        return Ok(false);
    }
    let word = copy_from_user(m, mm, addr)?;
    loop {
        let folio = match file.mapping.get(index) {
            Some(folio) => folio,
            None => filemap::add_folio(m, file, index).map_err(|_| Signal::OutOfMemory)?,
        };
        let written = write_page(m, file, index, &folio, word);
        m.put_folio(&folio, 1);
        if written {
            return Ok(true);
        }
    }
}

#[inline(never)]
fn copy_from_user(m: &Machine, mm: &Arc<Mm>, addr: u64) -> Result<u64, Signal> {
    let _scope = sched::scope("copy_from_user");
    mm.might_fault();
    access::load(m, mm, addr)
}

/// Writes to the folio, if it is still that of the file.
#[inline(never)]
fn write_page(m: &Machine, file: &Arc<Inode>, index: u64, folio: &Arc<Folio>, word: u64) -> bool {
    let _locked = folio.lock.lock();
    if !folio.is_in(&file.mapping) {
        return false;
    }
    filemap::read_folio(file, folio);
    folio.write(filemap::page_of(folio, index), word);
    m.model.write_file(file.id, index, word);
    dirty::folio_mark_dirty(m, folio);
    true
}
