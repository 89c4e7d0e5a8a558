//! GUP-fast: the page behind an address without any lock.
//!
//! It walks with interrupts off, so that no table it has reached is freed: whoever frees one waits for an interrupt to
//! every processor, or for RCU. It takes a reference to the page that it finds, unless the last one is gone, and then
//! looks again at the entries that led there (from 6.2 on also at the PMD entry, 70cbc3cc78a9): if they are still the same,
//! the page was still mapped when the reference was taken. A fork write-protects pages meanwhile, and has to see the pins
//! of all walks that it does not stop; so a pin is given up if one has been under way. Whatever it does not find it leaves
//! to `get_user_pages`.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Signal,
    gup::{self, Foll, UserPage},
};
use crate::{
    Bug,
    finding::Invariant,
    machine::Machine,
    mem::{Level, Mm, Slot},
    sched,
};

/// Gets the page at an address, without locks if it is there.
#[inline(never)]
pub(crate) fn get_user_page_fast(m: &Machine, mm: &Arc<Mm>, addr: u64, foll: Foll) -> Result<UserPage, Signal> {
    match lockless_page(m, mm, addr, foll) {
        Some(page) => {
            m.stats.gup_fast.add(1);
            Ok(page)
        }
        None => gup::get_user_page(m, mm, addr, foll),
    }
}

/// Looks whether the page at an address is there, without locks.
pub(crate) fn get_user_page_fast_only(m: &Machine, mm: &Mm, addr: u64) -> bool {
    let page = lockless_page(m, mm, addr, Foll { write: false, pin: false });
    let is_there = page.is_some();
    page.into_iter().for_each(|page| gup::put_user_page(m, page));
    is_there
}

fn lockless_page(m: &Machine, mm: &Mm, addr: u64, foll: Foll) -> Option<UserPage> {
    let _scope = sched::scope("gup_fast");
    let seq = mm.write_protect_seq.load(Relaxed);
    if foll.pin && !seq.is_multiple_of(2) {
        return None;
    }
    let page = {
        let _walk = m.walks.begin(&m.rcu);
        gup_pgd_range(m, mm, addr, foll)
    }?;
    if foll.pin && mm.write_protect_seq.load(Relaxed) != seq {
        gup::put_user_page(m, UserPage { foll: Foll { write: false, ..page.foll }, ..page });
        return None;
    }
    Some(page)
}

#[inline(never)]
fn gup_pgd_range(m: &Machine, mm: &Mm, addr: u64, foll: Foll) -> Option<UserPage> {
    let pmd = mm.slot(m, addr, Level::Pmd)?;
    let table = pmd.load();
    if table.is_page() {
        return gup_entry(m, mm, &pmd, addr, foll, || true);
    }
    let id = table.as_table()?;
    sched::step();
    let pte = Slot { table: m.memory.table(id)?, index: Level::Pte.index(addr) };
    let checks = !m.protocol.has(Bug::FastPmdNotCheckedAgain);
    gup_entry(m, mm, &pte, addr, foll, || !checks || pmd.load() == table)
}

/// Takes the page of an entry, if it is the same still once that is done, and what led there `is_same` too.
#[inline(never)]
fn gup_entry(m: &Machine, mm: &Mm, slot: &Slot, addr: u64, foll: Foll, is_same: impl Fn() -> bool) -> Option<UserPage> {
    let entry = slot.load();
    let pfn = gup::page_of(entry, slot, addr, foll.write)?;
    sched::step();
    let folio = m.memory.peek_folio(pfn).filter(|folio| folio.try_get())?;
    let page = gup::grab(folio, pfn, foll);
    sched::step();
    if !is_same() || slot.load() != entry {
        gup::put_user_page(m, UserPage { foll: Foll { write: false, ..foll }, ..page });
        return None;
    }
    check_is_mapped(m, mm, addr, pfn);
    Some(page)
}

/// Checks that the process has the page at that address, at the moment at which that has been found out.
fn check_is_mapped(m: &Machine, mm: &Mm, addr: u64, pfn: u64) {
    let found = mm.hardware_slot(m, addr).and_then(|slot| gup::page_of(slot.load(), &slot, addr, false));
    if found != Some(pfn) && !m.model.is_off() {
        let text = format!("page {pfn} is given out for {addr:#x} of process {}, which has {found:?} there", mm.id);
        sched::finding(Invariant::PinBroken, text);
    }
}
