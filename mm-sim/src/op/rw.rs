//! `read` and `write`: a word between a page of a file and user memory.
//!
//! Lock order of a write: `sb_writers -> i_rwsem (write) -> inode->i_lock`, `-> wb->list_lock`; then what a page fault takes,
//! to have the user's page at hand; then `-> folio_lock -> mapping->private_lock -> i_pages`. The word is copied with the
//! folio locked, so that must not fault: if the user's page is gone again, the write lets go of the folio and starts anew.
//! A fault there would wait for the mmap lock under the folio lock, and for the folio itself if it is mapped there
//! ([`Bug::WriteFaultsUnderFolioLock`]). A read holds nothing when it copies.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Signal, access, buffer, dirty,
    filemap::{self, Cached},
    neighbours::memcg,
    shmem, swap,
};
use crate::{
    Bug,
    finding::Invariant,
    machine::Machine,
    mem::{Inode, Mm},
    sched,
};

/// Writes the word at `from` of a process's memory to a page of a file. Returns whether it did: not beyond the end, nor to a
/// file that swap is on (`ETXTBSY`).
#[inline(never)]
pub(crate) fn write(m: &Machine, mm: &Arc<Mm>, file: &Arc<Inode>, index: u64, from: u64) -> Result<bool, Signal> {
    let _scope = sched::scope("write");
    let _writers = m.sb.start_write();
    let _i_rwsem = file.i_rwsem.write();
    if swap::is_swapfile(m, file) {
        return Ok(false);
    }
    m.sb.check_writing(file.id, "is written");
    dirty::mark_inode_dirty(m, &file.mapping); // file_update_time()
    while index < file.size() {
        if !m.protocol.has(Bug::WriteFaultsUnderFolioLock) {
            fault_in_readable(m, mm, from)?;
        }
        let Some(cached) = write_begin(m, file, index)? else { break };
        buffer::create_empty_buffers(file, &cached.folio);
        let copied = copy_from_user(m, mm, from);
        if let Ok(Some(word)) = copied {
            cached.folio.write(cached.pfn, word);
            m.model.write_file(file.id, index, word);
            dirty::folio_mark_dirty(m, &cached.folio);
        }
        unlock(m, cached);
        if copied?.is_some() {
            m.stats.writes.add(1);
            return Ok(true);
        }
    }
    Ok(false)
}

#[inline(never)]
fn fault_in_readable(m: &Machine, mm: &Arc<Mm>, from: u64) -> Result<(), Signal> {
    mm.might_fault();
    access::load(m, mm, from).map(drop)
}

/// Reads the user's word, without a fault. `None` if that would take one.
#[inline(never)]
fn copy_from_user(m: &Machine, mm: &Arc<Mm>, from: u64) -> Result<Option<u64>, Signal> {
    if m.protocol.has(Bug::WriteFaultsUnderFolioLock) {
        return access::load(m, mm, from).map(Some);
    }
    sched::step();
    Ok(access::load_inatomic(m, mm, from))
}

/// Finds or makes the folio of a page, locks it and reads it. `None` beyond the end of shared memory.
#[inline(never)]
fn write_begin(m: &Machine, file: &Arc<Inode>, index: u64) -> Result<Option<Cached>, Signal> {
    if file.is_shmem() {
        return shmem::shmem_get_folio(m, file, index).map_err(|_| Signal::OutOfMemory);
    }
    loop {
        let folio = match file.mapping.get(index) {
            Some(folio) => folio,
            None => memcg::mem_cgroup_charge(m)
                .and_then(|()| filemap::add_folio(m, file, index))
                .map_err(|_| Signal::OutOfMemory)?,
        };
        let locked = folio.lock.lock();
        if folio.is_in(&file.mapping) {
            filemap::read_folio(file, &folio);
            let pfn = filemap::page_of(&folio, index);
            return Ok(Some(Cached { folio, locked, pfn }));
        }
        drop(locked);
        m.put_folio(&folio, 1);
    }
}

fn unlock(m: &Machine, cached: Cached) {
    drop(cached.locked);
    m.put_folio(&cached.folio, 1);
}

/// Reads a page of a file and stores its word at `to`. Returns it, or `None` beyond the end.
#[inline(never)]
pub(crate) fn read(m: &Machine, mm: &Arc<Mm>, file: &Arc<Inode>, index: u64, to: u64) -> Result<Option<u64>, Signal> {
    let _scope = sched::scope("read");
    let Some(word) = filemap_read(m, file, index)? else { return Ok(None) };
    access::store(m, mm, to, word)?;
    Ok(Some(word))
}

/// Reads a word through the cache.
#[inline(never)]
fn filemap_read(m: &Machine, file: &Arc<Inode>, index: u64) -> Result<Option<u64>, Signal> {
    while index < file.size() {
        let found = file.mapping.get(index).filter(|folio| {
            let ready = folio.uptodate.load(Relaxed);
            if !ready {
                m.put_folio(folio, 1);
            }
            ready
        });
        let Some(folio) = found else {
            bring_in(m, file, index)?;
            continue;
        };
        let word = folio.is_in(&file.mapping).then(|| folio.read(filemap::page_of(&folio, index)));
        if let Some(Err(text)) = word.map(|word| m.model.check_file(file.id, index, word)) {
            sched::finding(Invariant::WrongRead, text);
        }
        m.put_folio(&folio, 1);
        if word.is_some() {
            return Ok(word);
        }
    }
    Ok(None)
}

/// Reads a page into the cache, which a truncation must not do at the same time.
#[inline(never)]
fn bring_in(m: &Machine, file: &Arc<Inode>, index: u64) -> Result<(), Signal> {
    let _invalidate = (!file.is_shmem()).then(|| file.mapping.invalidate_lock.read());
    if index < file.size()
        && let Some(cached) = write_begin(m, file, index)?
    {
        unlock(m, cached);
    }
    Ok(())
}
