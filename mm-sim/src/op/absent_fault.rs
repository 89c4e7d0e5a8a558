//! A fault on an entry whose page is elsewhere (the kernel's `do_swap_page`).
//!
//! Lock order: what is being moved is waited for under the fault's lock, `-> folio_lock`; for what is on the swap device
//! see `swap`.

use std::sync::Arc;

use super::{
    Signal, swap,
    vm_fault::{Outcome, VmFault},
};
use crate::{
    mem::{Absent, Entry, Folio},
    sched,
};

/// Handles a fault on `entry`, which is absent.
#[inline(never)]
pub(crate) fn do_swap_page(fault: &VmFault<'_>, entry: Entry) -> Outcome {
    let _scope = sched::scope("do_swap_page");
    match entry.as_absent() {
        Some(Absent::Migration(pfn)) => migration_entry_wait(fault, entry, pfn),
        Some(Absent::Hwpoison(_)) => fault.fail(Signal::Bus),
        Some(Absent::Marker) => clear_marker(fault, entry),
        Some(Absent::Swap(slot)) => swap::do_swap_fault(fault, entry, slot),
        None => Outcome::Done,
    }
}

/// Waits until a page has arrived where it is being moved to: whoever moves it has its folio locked.
#[inline(never)]
fn migration_entry_wait(fault: &VmFault<'_>, entry: Entry, pfn: u64) -> Outcome {
    match folio_of(fault, entry, pfn) {
        // Without a reference of ours, which whoever moves it would take for that of a user.
        Some(Some(folio)) => drop(folio.lock.lock()),
        // It would wait for ever: the kernel stops.
        Some(None) => return Outcome::Fail(Signal::Kill),
        None => {}
    }
    Outcome::Done
}

/// Returns the folio that is being moved, if the entry says so still.
fn folio_of(fault: &VmFault<'_>, entry: Entry, pfn: u64) -> Option<Option<Arc<Folio>>> {
    let get = || fault.m.memory.moving_folio(pfn);
    if fault.pmd.load() == entry {
        let _pmd_lock = fault.pmd.table.lock.lock();
        return (fault.pmd.load() == entry).then(get);
    }
    let map = fault.map_pte()?;
    (map.slot(fault.addr).load() == entry).then(get)
}

/// Takes a mark away that nobody asks for any more.
fn clear_marker(fault: &VmFault<'_>, entry: Entry) -> Outcome {
    if let Some(map) = fault.map_pte()
        && map.slot(fault.addr).load() == entry
    {
        map.slot(fault.addr).store(Entry::NONE);
    }
    Outcome::Done
}
