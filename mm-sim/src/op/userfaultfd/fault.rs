//! `handle_userfault`: a page fault waits for user code.
//!
//! Lock order: under the VMA lock or the mmap lock `-> fault_pending_wqh` to queue; then it looks at the entry once more,
//! because it may have been filled before it had queued. The lock of the fault is dropped before it sleeps: whoever brings
//! the page takes it.

use crate::{
    mem::{Level, Message},
    op::fault::{Outcome, VmFault},
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
