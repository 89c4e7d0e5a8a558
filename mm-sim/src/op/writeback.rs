//! Writeback: dirty folios of a file go to disk.
//!
//! Lock order: `i_pages` to begin, so that what becomes dirty from then on is left to the next one; per folio that is dirty
//! `folio_lock -> i_mmap_rwsem (read) -> pte_lock` to make the entries clean and read-only, `-> i_pages`; the
//! end of a write comes in a soft interrupt and takes `i_pages`. The flusher takes `wb->list_lock -> inode->i_lock` to
//! choose a file.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{dirty, rmap};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, Inode, Place},
    sched,
    sync::Irq,
};

/// Steps that a device takes for a page.
const DEVICE_STEPS: u32 = 24;

/// Writes everything that is dirty, and waits for it.
#[inline(never)]
pub(crate) fn writeback(m: &Machine, file: &Arc<Inode>) {
    let _scope = sched::scope("writeback");
    do_writepages(m, file);
    // What is under writeback has a reference for that: nobody has it frozen, or puts another one in its place.
    for (_, folio) in file.mapping.folios() {
        dirty::wait_on_writeback(&folio);
    }
}

/// The flusher thread writes all dirty files.
#[inline(never)]
pub(crate) fn flush(m: &Machine) {
    let _scope = sched::scope("wb_workfn");
    while let Some(file) = next_dirty(m) {
        do_writepages(m, &file);
    }
}

/// Takes the next file off the list of the dirty ones.
#[inline(never)]
fn next_dirty(m: &Machine) -> Option<Arc<Inode>> {
    loop {
        let _list_lock = m.wb.list_lock.lock();
        let id = m.wb.first()?;
        let file = m.files.lock().iter().find(|file| file.id == id).cloned();
        if let Some(file) = &file {
            let _i_lock = file.mapping.i_lock.lock();
            file.mapping.set_inode_dirty(false);
            m.wb.remove(id);
        } else {
            m.wb.remove(id);
        }
        if file.is_some() {
            return file;
        }
    }
}

fn do_writepages(m: &Machine, file: &Arc<Inode>) {
    if file.is_shmem() {
        return;
    }
    let number = file.mapping.begin_writeback();
    let mut from = 0;
    while let Some((base, folio)) = file.mapping.next_to_write(from, number) {
        write_cache_folio(m, file, &folio);
        from = base + folio.pages();
        m.put_folio(&folio, 1);
    }
    if let Some(index) = file.mapping.missed_by(number) {
        let text =
            format!("page {index} of file {} was dirty before all that is was written, and is so still", file.id);
        sched::finding(Invariant::DirtyLost, text);
    }
}

fn write_cache_folio(m: &Machine, file: &Arc<Inode>, folio: &Arc<Folio>) {
    let _locked = folio.lock.lock();
    if folio.is_in(&file.mapping) {
        dirty::wait_on_writeback(folio);
        rmap::folio_mkclean(m, folio);
        write_out(m, file, folio);
    }
}

/// Begins to write a locked folio that nobody can write to any more, if it is dirty. Returns whether it was.
pub(crate) fn write_out(m: &Machine, file: &Arc<Inode>, folio: &Arc<Folio>) -> bool {
    let Some(Place::File(_, base)) = folio.place() else { return false };
    let started = dirty::start_writeback(folio);
    if started {
        m.stats.writebacks.add(1);
        let (machine, file, folio) = (m.arc(), file.clone(), folio.clone());
        let end_io = move || {
            (0..folio.pages()).for_each(|i| file.write_disk(base + i, folio.read(folio.pfn + i)));
            dirty::end_writeback(&machine, &folio);
        };
        sched::raise(Irq::Soft, DEVICE_STEPS, Box::new(end_io));
    }
    started
}

/// Returns whether a folio is on its way to its device.
pub(crate) fn is_under_writeback(folio: &Folio) -> bool {
    folio.writeback.load(Relaxed)
}
