//! Swap: anonymous memory goes to the swap device and comes back.
//!
//! * `out`: reclaim gives a folio a slot, takes it out of the page tables and writes it.
//! * `fault`: a page fault brings it back.
//! * `swapon`: there is a device from now on, or a file that is one.
//! * `swapoff`: everything comes back, and the device is let go.
//!
//! A folio with a slot is in the swap cache until nobody needs the slot any more, or the folio is freed.

mod fault;
mod out;
mod swapoff;
mod swapon;

use std::sync::{Arc, atomic::Ordering::Relaxed};

pub(crate) use self::{
    fault::{do_swap_fault, swapin},
    out::{add_to_swap, unmap_to_swap, write_to_swap},
    swapoff::swapoff,
    swapon::{is_swapfile, swapon, swapon_file},
};
use crate::{machine::Machine, mem::Folio, sched};

/// Checks that nobody else changes the swap devices.
fn check_alone(m: &Machine) {
    let holds = m.swap.swapon_mutex.is_mine_to_write();
    sched::must_hold(holds, || "two may change the swap devices at the same time".to_owned());
}

/// An entry that used a slot is gone. If it was the last one, the folio in the swap cache needs no slot any more either.
///
/// Lock order: under a pte lock `-> swap_cluster->lock`, `-> swap_info->lock`, `-> folio_lock (trylock) -> swap cache`.
#[inline(never)]
pub(crate) fn free_swap_and_cache(m: &Machine, slot: u64) {
    m.swap.free(slot);
    if m.swap.users(slot) > 0 {
        return;
    }
    let Some(folio) = m.swap.cache_get(slot) else { return };
    if let Some(_locked) = folio.lock.try_lock()
        && folio.swap() == Some(slot)
    {
        free_swap(m, &folio);
    }
    m.put_folio(&folio, 1);
}

/// Takes a locked folio out of the swap cache if no entry uses its slot (the kernel's `folio_free_swap`). Returns whether
/// it is not in there any more.
#[inline(never)]
pub(crate) fn free_swap(m: &Machine, folio: &Arc<Folio>) -> bool {
    folio.check_locked("taken out of the swap cache");
    let Some(slot) = folio.swap() else { return true };
    if folio.writeback.load(Relaxed) || m.swap.users(slot) > 0 {
        return false;
    }
    m.swap.cache_delete(folio);
    folio.dirty.store(true, Relaxed);
    m.put_folio(folio, 1);
    true
}
