//! `__collapse_huge_page_swapin`: what is elsewhere of a range comes back before a huge page is made of it.
//!
//! Lock order: under `mmap_lock (read)`, per page what a fault on it takes: `-> fs_reclaim`, `-> swap_cluster->lock`,
//! `-> swap_cache`, `-> folio_lock (trylock)`, `-> pte_lock -> swap_cluster->lock`; at the end `-> lruvec->lru_lock`, so that
//! the pages are on the list from which they are isolated. Nobody waits for the lock of a folio here: a fault that would
//! have to lets go of the mmap lock (`VM_FAULT_RETRY`), and then the range stays as it is.

use std::sync::Arc;

use crate::{
    machine::Machine,
    mem::{Absent, HUGE_PAGES, Mm, PAGE_SIZE, Slot, Vma},
    op::{
        absent_fault, fault,
        vm_fault::{Outcome, VmFault},
    },
    sched,
    sync::ReadGuard,
};

/// Brings the pages back. Returns the mmap lock if all could come; if not, it has been dropped.
#[inline(never)]
pub(super) fn collapse_huge_page_swapin(
    m: &Machine,
    mm: &Arc<Mm>,
    mmap: ReadGuard,
    (vma, pmd): (&Arc<Vma>, &Slot),
    start: u64,
) -> Option<ReadGuard> {
    let _scope = sched::scope("collapse_huge_page_swapin");
    let mut brought = 0;
    for addr in (start..start + HUGE_PAGES * PAGE_SIZE).step_by(PAGE_SIZE as usize) {
        let mut fault = VmFault::new(m, mm, vma, addr, pmd.clone());
        fault.gives_up = true;
        let entry = fault::peek_pte(&fault);
        match entry.as_absent() {
            None => continue,
            // It will never come back. The signal is for who touches it.
            Some(Absent::Hwpoison(_)) => return None,
            Some(Absent::Swap(_) | Absent::Migration(_) | Absent::Marker) => {}
        }
        match absent_fault::do_swap_page(&fault, entry) {
            Outcome::Done => brought += 1,
            Outcome::Retry | Outcome::Userfault | Outcome::Fail(_) => {
                m.stats.swapins_given_up.add(1);
                return None;
            }
        }
    }
    if brought > 0 {
        m.lru.add_drain();
        m.stats.swapped_in_to_collapse.add(brought);
    }
    Some(mmap)
}
