//! A guest: a virtual machine whose memory is that of a process, mapped by page tables of its own.
//!
//! Lock order of its page fault: GUP-fast, or else `get_user_pages` (`mmap_lock (read)` and below), all dropped, then `kvm->mmu_lock`, under
//! which it looks whether the process's entries have changed meanwhile. It keeps no reference to the page. While entries change
//! it holds nothing, and faults again.

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
        // Until the change is over nothing is mapped: the guest runs into one fault after the other, but who changes may have
        // to get the processor first.
        sched::settles(|| !guest.is_changing());
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

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::SeqCst},
        thread,
        time::Duration,
    };

    use parking_lot::Mutex;

    use super::*;
    use crate::{
        Protocol,
        op::mmu_notifier::invalidate_range_start,
        sched::{Body, Context, Threads},
        world::World,
    };

    /// How often who changes entries gives the processor away, unless the guest has used up its faults by then.
    const PAUSES: u32 = 20_000;

    /// On threads that run at the same time: who changes entries does not get to the end of it for as long as a guest takes for
    /// all its faults.
    #[test]
    fn a_guest_waits_for_a_change_that_takes_long() {
        let world = World::new(Protocol::V6_12, 100, 0);
        world.machine.model.switch_off();
        let context = Context::new();
        let run = |actors: Vec<(&str, Body)>| {
            let actors = actors.into_iter().map(|(name, body)| (name.to_owned(), body)).collect();
            let ran = Threads::run(1, Duration::from_secs(60), &context, actors);
            assert_eq!(ran.stop, None);
        };
        let stage = Arc::new(Mutex::new(None));
        let (into, kernel) = (stage.clone(), world.clone());
        let init = move || {
            let process = kernel.spawn().expect("there is memory for a process");
            let heap = process.map_anon(1);
            process.store(heap, 7).expect("there is memory for a page");
            let guest = process.create_guest();
            *into.lock() = Some((process, heap, guest));
        };
        run(vec![("init", Box::new(init))]);
        let (process, heap, guest) = stage.lock().take().expect("init has put it there");
        let has_begun = Arc::new(AtomicBool::new(false));
        let (begins, m, mm) = (has_begun.clone(), world.machine.clone(), process.mm.clone());
        let changes = move || {
            let told = invalidate_range_start(&m, &mm, &(heap..heap + PAGE_SIZE));
            begins.store(true, SeqCst);
            let is_early = |_: &u32| m.stats.gup_fast.get() <= u64::from(MAX_FAULTS);
            (0..PAUSES).take_while(is_early).for_each(|_| thread::yield_now());
            drop(told);
        };
        let accesses = move || {
            while !has_begun.load(SeqCst) {
                thread::yield_now();
            }
            assert_eq!(guest.load(heap), Ok(7));
        };
        run(vec![("changes", Box::new(changes)), ("guest", Box::new(accesses))]);
        assert_eq!(context.findings.count(), 0);
    }
}
