//! Making folios and files dirty, and clean again.
//!
//! Lock order: under a pte lock or the folio lock `-> mapping->private_lock -> i_pages` for the folio, then
//! `-> inode->i_lock` and `-> wb->list_lock -> inode->i_lock` for the file. `i_pages` is taken by the end of a write too,
//! in an interrupt, so it is taken with interrupts off. (The kernel's `block_dirty_folio` lets go of `private_lock` before it
//! takes `i_pages`. Other paths of the kernel nest the two, as `mm/rmap.c` documents it and a running kernel has learnt it.)

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    machine::Machine,
    mem::{AddressSpace, Folio, Inode, Place},
    sched,
};

/// Marks a folio dirty, and its file too if it is one of the page cache.
#[inline(never)]
pub(crate) fn folio_mark_dirty(m: &Machine, folio: &Folio) {
    let Some(Place::File(mapping, base)) = folio.place() else {
        folio.dirty.store(true, Relaxed);
        return;
    };
    if mapping.shmem.is_some() {
        // Nobody writes it back: reclaim sees the mark, and swaps it out.
        folio.dirty.store(true, Relaxed);
        return;
    }
    let newly_dirty = {
        let _private_lock = mapping.private_lock.lock();
        let holds = mapping.private_lock.is_mine();
        sched::must_hold(holds, || format!("a page of file {} becomes dirty without private_lock", mapping.file));
        set_buffers_dirty(folio, true);
        let newly = !folio.dirty.swap(true, Relaxed);
        if newly {
            let _i_pages = mapping.i_pages.lock_irq();
            mapping.tag_dirty(base, folio);
        }
        newly
    };
    if newly_dirty {
        mark_inode_dirty(m, &mapping);
    }
}

/// Notes of the buffers of a folio, if it has any, whether they have to be written.
fn set_buffers_dirty(folio: &Folio, dirty: bool) {
    if let Some(buffers) = folio.buffers() {
        buffers.set_dirty(dirty);
    }
}

/// Puts a file on the list of those that are to be written, unless it is there.
#[inline(never)]
pub(crate) fn mark_inode_dirty(m: &Machine, mapping: &AddressSpace) {
    if mapping.shmem.is_some() {
        return;
    }
    {
        let _i_lock = mapping.i_lock.lock();
        if mapping.set_inode_dirty(true) {
            return;
        }
    }
    let _list_lock = m.wb.list_lock.lock();
    let _i_lock = mapping.i_lock.lock();
    let holds = mapping.i_lock.is_mine();
    sched::must_hold(holds, || format!("file {} is listed as dirty without i_lock", mapping.file));
    if mapping.is_inode_dirty() {
        m.wb.insert(mapping.file);
    }
}

/// Writes a locked folio to disk at once, if it is dirty.
pub(crate) fn write_now(file: &Inode, folio: &Folio) {
    let Some(Place::File(mapping, base)) = folio.place() else { return };
    folio.check_locked("written to disk");
    if folio.dirty.swap(false, Relaxed) {
        set_buffers_dirty(folio, false);
        (0..folio.pages()).for_each(|i| file.write_disk(base + i, folio.read(folio.pfn + i)));
        let _i_pages = mapping.i_pages.lock_irq();
        mapping.untag(base, folio);
    }
}

/// Begins to write a locked folio that is dirty (`folio_clear_dirty_for_io`, `folio_start_writeback`): from now on it is
/// clean and under writeback. Returns whether it was dirty.
#[inline(never)]
pub(crate) fn start_writeback(folio: &Arc<Folio>) -> bool {
    folio.check_locked("written");
    let was_dirty = folio.dirty.swap(false, Relaxed);
    if was_dirty {
        set_buffers_dirty(folio, false);
        folio.get(1);
        if let Some(Place::File(mapping, base)) = folio.place() {
            let _i_pages = mapping.i_pages.lock_irq();
            folio.writeback.store(true, Relaxed);
            mapping.untag(base, folio);
        } else {
            folio.writeback.store(true, Relaxed);
        }
    }
    was_dirty
}

/// The device has written a folio: in an interrupt (`folio_end_writeback`).
#[inline(never)]
pub(crate) fn end_writeback(m: &Machine, folio: &Arc<Folio>) {
    if folio.reclaim.swap(false, Relaxed) {
        m.lru.rotate(folio);
    }
    match folio.place() {
        Some(Place::File(mapping, _)) => {
            let _i_pages = mapping.i_pages.lock_irq();
            let holds = mapping.i_pages.is_mine();
            sched::must_hold(holds, || format!("writeback of a page of file {} ends without i_pages", mapping.file));
            folio.writeback.store(false, Relaxed);
        }
        _ => folio.writeback.store(false, Relaxed),
    }
    m.put_folio(folio, 1);
}

/// Waits until a locked folio is not under writeback.
pub(crate) fn wait_on_writeback(folio: &Folio) {
    sched::idle_while(|| folio.writeback.load(Relaxed));
}
