//! Loads and stores, as the hardware does them: ask the TLB, walk, and fault if that leads nowhere.
//!
//! The walk, the access and the check against the model are one step, so that an access happens at one moment.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Signal, bus::perform, fault, machine_check};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, Mm, PAGE_SIZE, Slot},
    sched,
};

/// Faults in a row before an access gives up, which never happens unless a fault does not do its work.
const MAX_FAULTS: u32 = 1000;
/// Faults in a row from which on an access pauses between them, for longer each time.
const PATIENCE: u32 = 16;
/// Steps by which each pause is longer than the one before.
const PAUSE: u64 = 4;

/// Who accesses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// User code, which holds nothing: it gets to know at once that a frame has failed.
    User,
    /// The kernel, on behalf of user code.
    Kernel,
}

/// Why an access does not succeed at once.
enum Miss {
    /// It takes a page fault.
    Fault,
    /// The hardware cannot read this frame any more.
    Failed(u64),
}

/// User code reads the word at an address.
pub(crate) fn user_load(m: &Machine, mm: &Arc<Mm>, addr: u64) -> Result<u64, Signal> {
    access(m, mm, addr, None, By::User)
}

/// User code writes the word at an address.
pub(crate) fn user_store(m: &Machine, mm: &Arc<Mm>, addr: u64, word: u64) -> Result<(), Signal> {
    access(m, mm, addr, Some(word), By::User).map(drop)
}

/// Reads the word at an address.
pub(crate) fn load(m: &Machine, mm: &Arc<Mm>, addr: u64) -> Result<u64, Signal> {
    access(m, mm, addr, None, By::Kernel)
}

/// Writes the word at an address.
pub(crate) fn store(m: &Machine, mm: &Arc<Mm>, addr: u64, word: u64) -> Result<(), Signal> {
    access(m, mm, addr, Some(word), By::Kernel).map(drop)
}

/// Reads the word at an address if no fault is needed for that (`copy_from_user` with page faults disabled).
pub(crate) fn load_without_fault(m: &Machine, mm: &Mm, addr: u64) -> Option<u64> {
    sched::step();
    load_inatomic(m, mm, addr)
}

/// Reads the word at an address if that takes no page fault.
pub(crate) fn load_inatomic(m: &Machine, mm: &Mm, addr: u64) -> Option<u64> {
    try_access(m, mm, addr, None, By::Kernel).ok()
}

fn access(m: &Machine, mm: &Arc<Mm>, addr: u64, word: Option<u64>, by: By) -> Result<u64, Signal> {
    for faults in 0..MAX_FAULTS {
        sched::step();
        if faults > PATIENCE {
            // Whoever is in the way may have to run first: on real threads the system decides when.
            sched::sleep(PAUSE * u64::from(faults));
        }
        if mm.is_killed.load(Relaxed) {
            return Err(Signal::Kill);
        }
        match try_access(m, mm, addr, word, by) {
            Ok(value) => {
                m.stats.accesses.add(1);
                return Ok(value);
            }
            Err(Miss::Fault) => fault::do_user_addr_fault(m, mm, addr, word.is_some())?,
            Err(Miss::Failed(pfn)) => machine_check::do_machine_check(m, mm, pfn, word.is_some())?,
        }
    }
    sched::finding(Invariant::NoProgress, format!("{MAX_FAULTS} faults at {addr:#x} have mapped nothing"));
    Err(Signal::OutOfMemory)
}

/// Accesses, if the TLB or the page table allows it. A walk marks the entry used, and the TLB keeps what it found.
fn try_access(m: &Machine, mm: &Mm, addr: u64, word: Option<u64>, by: By) -> Result<u64, Miss> {
    let _access = m.tlb.access();
    let (cpu, page) = (sched::current(), addr / PAGE_SIZE);
    let fails = |pfn| by == By::User && m.poison.has_failed(pfn);
    if let Some(pfn) = m.tlb.lookup(cpu, mm.id, page, word.is_some()) {
        let folio = m.memory.folio(pfn).ok_or(Miss::Fault)?;
        return if fails(pfn) { Err(Miss::Failed(pfn)) } else { Ok(perform(m, mm, addr, &folio, pfn, word)) };
    }
    let slot = mm.hardware_slot(m, addr).ok_or(Miss::Fault)?;
    let _bus = slot.table.bus();
    let (folio, pfn) = translate(m, &slot, addr, word.is_some()).ok_or(Miss::Fault)?;
    m.tlb.fill(cpu, mm.id, page, pfn, word.is_some());
    if fails(pfn) { Err(Miss::Failed(pfn)) } else { Ok(perform(m, mm, addr, &folio, pfn, word)) }
}

/// Finds the page that an entry leads to, and marks the entry used. The caller has the bus.
fn translate(m: &Machine, slot: &Slot, addr: u64, store: bool) -> Option<(Arc<Folio>, u64)> {
    let entry = slot.load();
    if !entry.is_accessible() || store && !entry.is_writable() {
        return None;
    }
    let pfn = entry.as_page()? + offset_in(slot, addr);
    let used = if store { entry.young(true).dirty() } else { entry.young(true) };
    slot.table.touch(slot.index, used);
    Some((m.memory.folio(pfn)?, pfn))
}

/// Returns which page of the entry's page an address is in: 0, but for a huge page.
fn offset_in(slot: &Slot, addr: u64) -> u64 {
    addr % slot.table.level.entry_size() / PAGE_SIZE
}
