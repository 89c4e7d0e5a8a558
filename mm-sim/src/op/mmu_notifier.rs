//! MMU notifiers: whoever maps a process's memory by tables of its own is told before entries change, and afterwards.
//!
//! Lock order: everything that is held `-> mmu_notifier_invalidate_range_start`, taken and dropped, for lockdep to know
//! that somebody may be told here, whether there is anybody or not; `fs_reclaim` leads to it, because reclaim unmaps. Who is
//! told takes `kvm->mmu_lock` under it. It may sleep, so it comes before pte locks.
//!
//! To register takes all locks of the process's memory ([`take_all_locks`]): nobody is then between
//! the two messages, of which the newcomer would hear only the second.

use std::{ops::Range, sync::Arc};

use super::take_all_locks;
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, Mm, PAGE_SIZE, SecondaryMmu},
    sched,
};

/// While it lives, the entries of a range may change.
#[must_use]
pub(crate) struct Invalidation<'a> {
    mm: &'a Mm,
}

/// Tells everybody that entries of a range of addresses are about to change.
#[inline(never)]
#[track_caller]
pub(crate) fn invalidate_range_start<'a>(m: &Machine, mm: &'a Mm, range: &Range<u64>) -> Invalidation<'a> {
    if sched::is_atomic() {
        sched::finding(Invariant::SleepInAtomic, "a notifier may sleep under a spinning lock".to_owned());
    }
    m.mmu_notifier.acquire();
    let pages = range.start / PAGE_SIZE..range.end.div_ceil(PAGE_SIZE);
    let told = mm.notifiers.lock().clone();
    told.iter().for_each(|other| other.invalidate_start(pages.clone()));
    m.mmu_notifier.release();
    if !told.is_empty() {
        m.tlb.await_accesses();
    }
    Invalidation { mm }
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        let told = self.mm.notifiers.lock().clone();
        told.iter().for_each(|other| other.invalidate_end());
    }
}

/// Makes a guest whose memory is that of a process.
#[inline(never)]
pub(crate) fn mmu_notifier_register(m: &Machine, mm: &Arc<Mm>) -> Arc<SecondaryMmu> {
    let _scope = sched::scope("mmu_notifier_register");
    let locked = mm.mmap_write_lock();
    m.might_reclaim(); // the list of subscriptions
    let guest = Arc::new(SecondaryMmu::new(m.new_id()));
    let all = take_all_locks::mm_take_all_locks(m, &locked);
    if !m.mm_all_locks_mutex.is_mine() {
        let text = format!("process {} gets a guest without mm_all_locks_mutex", mm.id);
        sched::finding(Invariant::NotifierMissed, text);
    }
    mm.notifiers.lock().push(guest.clone());
    drop(all);
    guest
}

/// Takes a guest away.
pub(crate) fn mmu_notifier_unregister(m: &Machine, mm: &Mm, guest: &Arc<SecondaryMmu>) {
    mm.notifiers.lock().retain(|other| !Arc::ptr_eq(other, guest));
    m.tlb.await_accesses();
}

/// The process ends: no guest uses its memory any more.
pub(crate) fn mmu_notifier_release(m: &Machine, mm: &Mm) {
    let told = std::mem::take(&mut *mm.notifiers.lock());
    if told.is_empty() {
        return;
    }
    told.iter().for_each(|guest| guest.invalidate_start(0..u64::MAX));
    m.tlb.await_accesses();
}

/// Checks that all guests have been told of pages whose entries are taken away.
pub(crate) fn check_told(mm: &Mm, pages: Range<u64>) {
    for guest in mm.notifiers.lock().iter() {
        if let Some(page) = guest.has_any(pages.clone()) {
            let text = format!("page {page:#x} of process {} goes, and a guest has not been told", mm.id);
            sched::finding(Invariant::NotifierMissed, text);
        }
    }
}

/// Checks that no guest has a folio mapped that is being freed.
pub(crate) fn check_not_mapped(m: &Machine, folio: &Folio) {
    let frames = folio.pfn..folio.pfn + folio.pages();
    for mm in m.mms.lock().values() {
        for guest in mm.notifiers.lock().iter() {
            if let Some(page) = guest.mapped(&frames) {
                let text =
                    format!("folio {} is freed, but a guest of process {} has it at page {page:#x}", folio.pfn, mm.id);
                sched::finding(Invariant::NotifierMissed, text);
            }
        }
    }
}
