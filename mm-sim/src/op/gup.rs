//! `get_user_pages`: the page behind an address of a process, for who uses it otherwise than by the process's page tables.
//!
//! Lock order: `mmap_lock (read) -> pte_lock` (or `pmd_lock`) to look, and where nothing fits, a page fault under the mmap
//! lock: `-> fs_reclaim`, `-> invalidate_lock -> folio_lock`. A reference keeps the page from being freed; a pin also
//! says that somebody writes to it behind the page tables' back, so that it must neither be copied nor shared nor moved
//! while the process has it mapped.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Signal, bus, dirty, fault};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Absent, Entry, Folio, FolioKind, Level, Mm, PAGE_SIZE, Slot, Vma},
    sched,
};

/// Faults in a row before it gives up.
const MAX_FAULTS: u32 = 1000;

/// What is wanted of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foll {
    pub(crate) write: bool,
    pub(crate) pin: bool,
}

/// A page that somebody has a reference to, or has pinned.
#[must_use]
pub(crate) struct UserPage {
    pub(crate) folio: Arc<Folio>,
    pub(crate) pfn: u64,
    pub(crate) foll: Foll,
}

/// Gets the page at an address, faulting it in.
#[inline(never)]
pub(crate) fn get_user_page(m: &Machine, mm: &Arc<Mm>, addr: u64, foll: Foll) -> Result<UserPage, Signal> {
    let _scope = sched::scope("get_user_pages");
    let addr = addr / PAGE_SIZE * PAGE_SIZE;
    for _ in 0..MAX_FAULTS {
        let mmap = mm.mmap_lock.read();
        if mm.is_killed.load(Relaxed) {
            return Err(Signal::Kill);
        }
        let Some(vma) = mm.find(addr).filter(|vma| vma.flags().allows(foll.write)) else {
            return Err(bus::signal(m, mm, addr, foll.write, Signal::Segv));
        };
        if let Some(page) = follow_page(m, mm, &vma, addr, foll) {
            return Ok(page);
        }
        fault::fixup_user_fault(m, mm, (mmap, &vma), addr, foll.write)?;
    }
    sched::finding(Invariant::NoProgress, format!("{MAX_FAULTS} faults at {addr:#x} have mapped nothing"));
    Err(Signal::OutOfMemory)
}

/// Looks at the entry under its lock, and takes its page if it allows what is wanted.
#[inline(never)]
pub(super) fn follow_page(m: &Machine, mm: &Mm, vma: &Vma, addr: u64, foll: Foll) -> Option<UserPage> {
    let pmd = mm.slot(m, addr, Level::Pmd)?;
    if pmd.load().is_page() {
        mm.check_walk(vma);
        let _pmd_lock = pmd.table.lock.lock();
        return take_page(m, &pmd, addr, foll);
    }
    let map = mm.pte_offset_map_lock(m, vma, &pmd, 0)?;
    take_page(m, &map.slot(addr), addr, foll)
}

fn take_page(m: &Machine, slot: &Slot, addr: u64, foll: Foll) -> Option<UserPage> {
    let entry = slot.load();
    let pfn = page_of(entry, slot, addr, foll.write)?;
    let folio = m.memory.folio(pfn)?;
    folio.get(1);
    slot.update(|entry| if foll.write { entry.young(true).dirty() } else { entry.young(true) });
    Some(grab(folio, pfn, foll))
}

/// Returns the frame that a process has at an address, without locks: what an error report of the hardware says.
pub(crate) fn frame_of(m: &Machine, mm: &Mm, addr: u64) -> Option<u64> {
    let _access = m.tlb.access();
    let slot = mm.hardware_slot(m, addr)?;
    page_of(slot.load(), &slot, addr, false)
}

/// Returns the page that an entry has for an address, if it allows a write or none is wanted.
pub(super) fn page_of(entry: Entry, slot: &Slot, addr: u64, write: bool) -> Option<u64> {
    let allowed = entry.is_accessible() && (!write || entry.is_writable());
    let pfn = entry.as_page().filter(|_| allowed)?;
    Some(pfn + addr % slot.table.level.entry_size() / PAGE_SIZE)
}

/// Makes a user page of a reference.
pub(super) fn grab(folio: Arc<Folio>, pfn: u64, foll: Foll) -> UserPage {
    if foll.pin {
        folio.pins.fetch_add(1, Relaxed);
    }
    UserPage { folio, pfn, foll }
}

/// Gives a page back.
pub(crate) fn put_user_page(m: &Machine, page: UserPage) {
    if page.foll.write {
        dirty::folio_mark_dirty(m, &page.folio);
    }
    if page.foll.pin {
        page.folio.pins.fetch_sub(1, Relaxed);
    }
    m.put_folio(&page.folio, 1);
}

/// Writes to a pinned page as a device does: past all page tables. If the process still has the page mapped there, it
/// must see that. Returns whether it has written.
pub(crate) fn write_behind(m: &Machine, mm: &Mm, addr: u64, page: &UserPage, word: u64) -> bool {
    sched::step();
    let _access = m.tlb.access();
    let slot = mm.hardware_slot(m, addr).filter(|_| !mm.is_killed.load(Relaxed));
    let is_accessible = slot.as_ref().is_some_and(|slot| page_of(slot.load(), slot, addr, false) == Some(page.pfn));
    if page.folio.kind == FolioKind::Anon {
        page.folio.dirty.store(true, Relaxed);
    }
    if is_accessible {
        bus::perform(m, mm, addr, &page.folio, page.pfn, Some(word));
        return true;
    }
    if slot.is_some_and(|slot| leads_to(slot.load(), &slot, addr) == Some(page.pfn)) {
        // The process sees it as soon as it may: after a NUMA hint, or when its rights change back.
        m.model.record_store(mm.id, addr / PAGE_SIZE, word);
    } else if page.folio.kind != FolioKind::Anon || page.folio.refs() > 1 {
        // Others have it, or the process at another place, of which nothing is known here: nothing is written.
        return false;
    }
    // If the process has given it up, nobody sees it.
    page.folio.write(page.pfn, word);
    true
}

/// Returns the page that an entry leads to, whatever it allows, and even if somebody is about to move it.
fn leads_to(entry: Entry, slot: &Slot, addr: u64) -> Option<u64> {
    let moving = match entry.as_absent() {
        Some(Absent::Migration(pfn)) => Some(pfn),
        _ => None,
    };
    Some(entry.as_page().or(moving)? + addr % slot.table.level.entry_size() / PAGE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Protocol,
        op::{rmap, swap},
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    /// Reclaim takes a page out of the page tables while somebody has a reference to it, and is about to write.
    fn write_to_what_is_swapped_out(world: &World) -> Plan {
        let mut plan = Plan::default();
        world.swapon(8);
        let Some(process) = plan.spawn(world) else { return plan };
        plan.actor("writer", move || {
            let (m, mm) = (process.machine.clone(), process.mm.clone());
            let heap = process.map_anon(1);
            process.store(heap, 7).expect("there is memory");
            let get = || get_user_page(&m, &mm, heap, Foll { write: true, pin: false }).expect("it may be written");
            let page = get();
            {
                let _locked = page.folio.lock.lock();
                assert!(swap::add_to_swap(&m, &page.folio));
                rmap::try_to_unmap(&m, &page.folio);
            }
            assert!(!write_behind(&m, &mm, heap, &page, 8), "and says so");
            put_user_page(&m, page);
            assert_eq!(process.load(heap), Ok(7));
            let page = get();
            assert!(write_behind(&m, &mm, heap, &page, 9));
            put_user_page(&m, page);
            assert_eq!(process.load(heap), Ok(9));
        });
        plan
    }

    #[test]
    fn who_writes_to_a_page_that_has_been_swapped_out_is_told_that_it_was_not_written() {
        let setup = Setup { id: "write-swapped-out", memory: 100, build: write_to_what_is_swapped_out };
        let outcome = play(&setup, Protocol::V6_12, Expect::Silent, 1);
        assert!(outcome.is_expected, "{} {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
    }
}
