//! Moving one folio that is out of all page tables (`migrate_folio_move`).
//!
//! Lock order: both folio locks `-> mapping->private_lock` to see whether its buffers are in use, `-> i_pages` for a cached folio; then `remove_migration_ptes`. The references of the old
//! folio must be those of the cache and the migrator's: whoever else has one might write to it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Unmapped, entries};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{AddressSpace, Folio, Place},
    op::buffer,
    sched,
};

/// References of an isolated folio that is not in a cache.
const OURS: u64 = 1;

/// Moves the pages. Both folios are unlocked afterwards. The old folio if it stays, with the caller's reference.
#[inline(never)]
pub(super) fn move_one(m: &Machine, one: Unmapped) -> Result<(), Arc<Folio>> {
    let Unmapped { src, dst, was_mapped, _locks } = one;
    let moved = move_to_new_folio(&src, &dst);
    if was_mapped {
        entries::remove_migration_ptes(m, &src, if moved { &dst } else { &src });
    }
    drop(_locks);
    if !moved {
        m.put_folio(&dst, 1);
        return Err(src);
    }
    m.lru.add(&dst);
    m.put_folio(&dst, 1);
    m.free_folio(&src);
    Ok(())
}

/// Puts the new folio where the old one was, with its pages. Returns whether nobody else had a reference. The old one has
/// none left then.
#[inline(never)]
fn move_to_new_folio(src: &Arc<Folio>, dst: &Arc<Folio>) -> bool {
    let Some(place) = src.place() else { return false };
    let moved = match &place {
        Place::File(mapping, index) => buffer_migrate_folio(src, dst, &place, mapping, *index),
        Place::Anon(..) | Place::Ksm(_) => {
            let frozen = src.freeze(OURS);
            if frozen {
                copy(src, dst, &place);
            }
            frozen
        }
    };
    if moved && src.is_pinned() {
        sched::finding(Invariant::PinBroken, format!("pinned folio {} is moved", src.pfn));
    }
    moved
}

/// Moves a folio of a file, and its buffers unless somebody uses them (`buffer_migrate_folio_norefs`).
#[inline(never)]
fn buffer_migrate_folio(src: &Folio, dst: &Arc<Folio>, place: &Place, mapping: &AddressSpace, index: u64) -> bool {
    let expected = src.pages() + src.buffer_refs() + OURS;
    let buffers = src.buffers();
    if src.refs() != expected as i64 || buffers.as_ref().is_some_and(|buffers| !buffer::begin_move(mapping, buffers)) {
        return false;
    }
    let frozen = {
        let _i_pages = mapping.i_pages.lock_irq();
        let frozen = src.freeze(expected);
        if frozen {
            // Who looks for the page now, without i_pages, finds a folio that nobody can have.
            sched::step();
            copy(src, dst, place);
            src.move_buffers(dst);
            mapping.put_in_place(index, dst);
        }
        frozen
    };
    if let Some(buffers) = buffers {
        buffers.end_move();
    }
    frozen
}

fn copy(src: &Folio, dst: &Arc<Folio>, place: &Place) {
    (0..src.pages()).for_each(|page| dst.write(dst.pfn + page, src.read(src.pfn + page)));
    dst.dirty.store(src.dirty.load(Relaxed), Relaxed);
    dst.uptodate.store(src.uptodate.load(Relaxed), Relaxed);
    if let Place::Ksm(stable) = place {
        stable.set_folio(dst);
    }
    dst.set_place(Some(place.clone()));
    src.set_place(None);
}
