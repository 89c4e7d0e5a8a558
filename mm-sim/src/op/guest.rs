//! A guest: a virtual machine whose memory is that of a process, mapped by page tables of its own.
//!
//! Lock order of its page fault: GUP-fast, or else `get_user_pages` (`mmap_lock (read)` and below), all dropped, then `kvm->mmu_lock`, under
//! which it looks whether the process's entries have changed meanwhile. It keeps no reference to the page.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Signal, bus,
    gup::{self, Foll},
    gup_fast,
};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Mm, PAGE_SIZE, SecondaryMmu, Shadow},
    sched,
};

/// Faults in a row before an access gives up.
const MAX_FAULTS: u32 = 1000;

/// Reads the word at an address, or writes one.
pub(crate) fn access(
    m: &Machine,
    mm: &Arc<Mm>,
    guest: &SecondaryMmu,
    addr: u64,
    word: Option<u64>,
) -> Result<u64, Signal> {
    for _ in 0..MAX_FAULTS {
        sched::step();
        if mm.is_killed.load(Relaxed) {
            return Err(Signal::Kill);
        }
        if let Some(value) = try_access(m, mm, guest, addr, word) {
            return Ok(value);
        }
        map_page(m, mm, guest, addr, word.is_some())?;
    }
    sched::finding(Invariant::NoProgress, format!("{MAX_FAULTS} faults of a guest at {addr:#x} have mapped nothing"));
    Err(Signal::OutOfMemory)
}

/// Accesses, if the guest's tables allow it.
fn try_access(m: &Machine, mm: &Mm, guest: &SecondaryMmu, addr: u64, word: Option<u64>) -> Option<u64> {
    let _access = m.tlb.access();
    let pfn = guest.lookup(addr / PAGE_SIZE, word.is_some())?;
    Some(bus::perform(m, mm, addr, &*m.memory.folio(pfn)?, pfn, word))
}

/// Looks a page up in the process and maps it, unless entries have changed meanwhile.
#[inline(never)]
fn map_page(m: &Machine, mm: &Arc<Mm>, guest: &SecondaryMmu, addr: u64, write: bool) -> Result<(), Signal> {
    let _scope = sched::scope("kvm_page_fault");
    let seq = guest.seq();
    let page = gup_fast::get_user_page_fast(m, mm, addr, Foll { write, pin: false })?;
    guest.map(addr / PAGE_SIZE, Shadow { pfn: page.pfn, write }, seq);
    gup::put_user_page(m, page);
    Ok(())
}
