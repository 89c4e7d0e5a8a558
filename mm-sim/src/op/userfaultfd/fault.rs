//! `handle_userfault`: a page fault waits for user code.
//!
//! Lock order: under the VMA lock or the mmap lock `-> fault_pending_wqh` to queue; then it looks at the entry once more,
//! because it may have been filled before it had queued. The lock of the fault is dropped before it sleeps: whoever brings
//! the page takes it. On hugetlbfs `hugetlb vma_lock (read)` comes before the queue, because the table that is looked at may be
//! shared (6.3: b8da2e4660bb).

use std::sync::Arc;

use crate::{
    machine::Machine,
    mem::{Absent, Entry, Level, Message, Mm, Vma},
    op::{
        hugetlb::share,
        vm_fault::{Outcome, VmFault},
    },
    sched,
};

/// Queues a fault on a page that is missing, or `is_protected` from writes. The fault has no pte lock any more.
#[inline(never)]
pub(crate) fn handle_userfault(fault: &VmFault<'_>, is_protected: bool) -> Outcome {
    let _scope = sched::scope("handle_userfault");
    let Some(ctx) = fault.vma.uffd() else { return Outcome::Done };
    if !ctx.queue(Message { addr: fault.addr, is_protected }) {
        return Outcome::Done;
    }
    if userfaultfd_must_wait(fault, is_protected) {
        fault.m.stats.userfaults.add(1);
        return Outcome::Userfault;
    }
    ctx.unqueue();
    Outcome::Done
}

/// Queues a fault on a huge page of hugetlbfs that is missing, or `is_protected` from writes. The fault holds nothing but the
/// VMA lock or the mmap lock.
#[inline(never)]
pub(crate) fn handle_huge_userfault(m: &Machine, mm: &Mm, vma: &Arc<Vma>, addr: u64, is_protected: bool) -> Outcome {
    let _scope = sched::scope("handle_userfault");
    let Some(ctx) = vma.uffd() else { return Outcome::Done };
    let _walk = share::lock_walk(m, vma);
    if !ctx.queue(Message { addr, is_protected }) {
        return Outcome::Done;
    }
    let entry = share::hugetlb_walk(m, mm, vma, addr).map_or(Entry::NONE, |slot| slot.load());
    let must_wait = if is_protected {
        entry.is_page() && entry.is_uffd_wp()
    } else {
        entry.is_none() || entry.as_absent() == Some(Absent::Marker)
    };
    if must_wait {
        m.stats.userfaults.add(1);
        return Outcome::Userfault;
    }
    ctx.unqueue();
    Outcome::Done
}

/// Looks at the entry again, without its lock.
fn userfaultfd_must_wait(fault: &VmFault<'_>, is_protected: bool) -> bool {
    let _rcu = fault.mm.protocol.pte_map_under_rcu.then(|| fault.m.rcu.read());
    fault.mm.check_walk(&fault.vma);
    let entry = fault.mm.slot(fault.m, fault.addr, Level::Pte).map(|slot| slot.load());
    match entry {
        Some(entry) if is_protected => entry.is_page() && entry.is_uffd_wp(),
        Some(entry) => entry.is_none(),
        None => !is_protected,
    }
}
