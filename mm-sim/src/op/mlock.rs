//! `mlock` and `munlock`: pages that stay in memory.
//!
//! Lock order: `mmap_lock (write)`, per VMA `vma_modify` and `-> vma_lock (mark)`, then `-> pte_lock -> lru_lock` for the pages
//! that are there. The rest is faulted in afterwards (`populate`). How much a process has
//! locked is counted under the mmap lock in write mode, or under page_table_lock by a stack that grows.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{Signal, populate, vma::modify};
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE, VmFlags, Vma},
    sched,
};

/// Pages that a process may lock.
const LOCK_LIMIT: i64 = 2048;

/// Locks a range in memory. Returns whether all of it was mapped and is there now.
#[inline(never)]
pub(crate) fn mlock(m: &Machine, mm: &Arc<Mm>, range: Range<u64>) -> Result<bool, Signal> {
    let _scope = sched::scope("mlock");
    if !apply_vma_lock_flags(m, mm, &range, true) {
        return Ok(false);
    }
    m.stats.mlocks.add(1);
    populate::mm_populate(m, mm, range, true).map(|()| true)
}

/// Lets the pages of a range go again.
#[inline(never)]
pub(crate) fn munlock(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let _scope = sched::scope("munlock");
    apply_vma_lock_flags(m, mm, range, false)
}

#[inline(never)]
fn apply_vma_lock_flags(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>, locked: bool) -> bool {
    let _mmap = mm.mmap_write_lock();
    let pages = ((range.end - range.start) / PAGE_SIZE) as i64;
    if locked && mm.locked_vm.load(Relaxed) + pages > LOCK_LIMIT {
        return false;
    }
    let mut addr = range.start;
    while addr < range.end {
        let Some(vma) = mm.find(addr) else { return false };
        let part = addr..vma.range().end.min(range.end);
        mlock_fixup(m, mm, &vma, &part, locked);
        addr = part.end;
    }
    true
}

#[inline(never)]
fn mlock_fixup(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, part: &Range<u64>, locked: bool) {
    let old = vma.flags();
    if old.locked == locked || vma.is_hugetlb() {
        return;
    }
    let pages = ((part.end - part.start) / PAGE_SIZE) as i64;
    mm.account_locked(if locked { pages } else { -pages });
    let vma = modify::vma_modify_flags(m, mm, vma, part, VmFlags { locked, ..old });
    mlock_vma_pages_range(m, mm, &vma, part, locked);
}

/// Moves the pages that are there from the list that reclaim looks at, or back to it.
#[inline(never)]
fn mlock_vma_pages_range(m: &Machine, mm: &Mm, vma: &Vma, range: &Range<u64>, locked: bool) {
    mm.walk(m, vma, range.clone(), &mut |_, _, entry| {
        if let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) {
            m.lru.set_mlocked(&folio, locked);
        }
    });
}
