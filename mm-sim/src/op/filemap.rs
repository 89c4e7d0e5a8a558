//! The page cache, as faults use it.
//!
//! Lock order: `invalidate_lock (read) -> fs_reclaim`, `-> i_pages`, `-> folio_lock(file)`; the invalidate lock is taken
//! only to bring something in, and dropped once the folio is locked.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Signal, buffer};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, FolioKind, Inode, OutOfMemory, Place},
    sched,
    sync::{FolioGuard, Look},
};

/// A locked folio of the page cache, with a reference.
pub(crate) struct Cached {
    pub(crate) folio: Arc<Folio>,
    pub(crate) locked: FolioGuard,
    /// The page that was asked for.
    pub(crate) pfn: u64,
}

/// Brings a page of a file into the cache and locks its folio. `fail` decides what a page beyond the end is.
#[inline(never)]
pub(crate) fn filemap_fault(
    m: &Machine,
    file: &Arc<Inode>,
    index: u64,
    fail: impl Fn(Signal) -> Signal,
) -> Result<Cached, Signal> {
    let _scope = sched::scope("filemap_fault");
    loop {
        if index >= file.size() {
            return Err(fail(Signal::Bus));
        }
        let found = file.mapping.get(index);
        let cold = found.as_ref().is_none_or(|folio| !folio.uptodate.load(Relaxed));
        let _invalidate = cold.then(|| file.mapping.invalidate_lock.read());
        let folio = match found {
            Some(folio) => folio,
            None => add_folio(m, file, index).map_err(|_| Signal::OutOfMemory)?,
        };
        let locked = folio.lock.lock();
        if !folio.is_in(&file.mapping) && !sched::forgets(Look::FolioStillThere) {
            // Truncated, collapsed or reclaimed while we waited: look again.
            drop(locked);
            m.put_folio(&folio, 1);
            continue;
        }
        if !folio.uptodate.load(Relaxed) {
            m.might_reclaim(); // bio_alloc()
        }
        read_folio(file, &folio);
        if index >= file.size() {
            let signal = fail(Signal::Bus);
            drop(locked);
            m.put_folio(&folio, 1);
            return Err(signal);
        }
        let pfn = page_of(&folio, index);
        return Ok(Cached { folio, locked, pfn });
    }
}

/// Returns the page of a cached folio that holds page `index` of the file.
pub(crate) fn page_of(folio: &Folio, index: u64) -> u64 {
    match folio.place() {
        Some(Place::File(_, base)) => folio.pfn + (index - base),
        _ => folio.pfn,
    }
}

/// Adds an empty folio to the cache, or finds the one that somebody else has added. Returns it with a reference.
#[inline(never)]
pub(crate) fn add_folio(m: &Machine, file: &Arc<Inode>, index: u64) -> Result<Arc<Folio>, OutOfMemory> {
    let holds = file.mapping.invalidate_lock.is_mine() || file.i_rwsem.is_mine_to_write();
    sched::must_hold(holds, || format!("a page of file {} is cached while it may be cut", file.id));
    let new = m.alloc_folio(FolioKind::File, 1)?;
    new.set_place(Some(Place::File(file.mapping.clone(), index)));
    if file.mapping.add(index, &new) {
        m.lru.add(&new);
        return Ok(new);
    }
    m.put_folio(&new, 1);
    match file.mapping.get(index) {
        Some(folio) => Ok(folio),
        None => add_folio(m, file, index),
    }
}

/// Reads a locked folio from disk if that has not been done.
pub(crate) fn read_folio(file: &Inode, folio: &Folio) {
    folio.check_locked("read from disk");
    if let Some(Place::File(_, base)) = folio.place()
        && !folio.uptodate.load(Relaxed)
    {
        if let Some(fs) = file.fs() {
            fs.read_folio();
        }
        (0..folio.pages()).for_each(|i| folio.write(folio.pfn + i, file.read_disk(base + i)));
        folio.uptodate.store(true, Relaxed);
    }
}

/// Takes a locked folio that nobody has mapped out of the cache.
pub(crate) fn filemap_remove_folio(m: &Machine, file: &Inode, base: u64, folio: &Arc<Folio>) {
    {
        let _i_lock = file.mapping.i_lock.lock();
        let _i_pages = file.mapping.i_pages.lock_irq();
        folio.check_locked("taken out of the cache");
        if folio.maps() > 0 {
            let text = format!("folio {} leaves the cache of file {} while it is mapped", folio.pfn, file.id);
            sched::finding(Invariant::CountMismatch, text);
        }
        file.mapping.remove(base);
        folio.set_place(None);
    }
    buffer::free_orphan(m, folio);
    m.put_folio(folio, folio.pages());
}
