//! Moving one folio that is out of all page tables (`migrate_folio_move`).
//!
//! Lock order: both folio locks `-> i_pages` for a cached folio; then `remove_migration_ptes`. The references of the old
//! folio must be those of the cache and the migrator's: whoever else has one might write to it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Unmapped, entries};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, Place},
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
        Place::File(mapping, index) => {
            let _i_pages = mapping.i_pages.lock_irq();
            let frozen = src.freeze(src.pages() + OURS);
            if frozen {
                mapping.remove(*index);
                copy(src, dst, &place);
                mapping.put_in_place(*index, dst);
                if dst.dirty.load(Relaxed) {
                    mapping.tag_dirty(*index, dst);
                }
            }
            frozen
        }
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
