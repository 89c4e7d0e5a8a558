//! `MADV_MERGEABLE` and `MADV_UNMERGEABLE`, and the end of all sharing.
//!
//! Lock order: `mmap_lock (write) -> vma_modify`, `-> ksm_mmlist_lock` to enter a process; to break what is shared, a page
//! fault for each page, under the mmap lock and the mark of the VMA: `-> fs_reclaim`, `-> pte_lock`. For all processes:
//! `ksm_thread_mutex -> ksm_mmlist_lock`, `-> mmap_lock (read) -> ...`. A child of a fork enters under
//! the mmap locks of both, before it has any mapping or (from 6.12 on) when it has all of them. A process that ends leaves the list, and waits with
//! `mmap_lock (write)` for a scan of it.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    machine::Machine,
    mem::{Folio, Mm, PAGE_SIZE, VmFlags, Vma},
    op::{fault, vma::modify},
    sched,
};

/// Lets the pages of a range be merged, or no more.
#[inline(never)]
pub(crate) fn ksm_madvise(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>, mergeable: bool) {
    let _scope = sched::scope("ksm_madvise");
    let _mmap = mm.mmap_write_lock();
    let suits = |vma: &Arc<Vma>| vma.file.is_none() && !vma.flags().shared && vma.flags().mergeable != mergeable;
    for vma in mm.find_all(range).into_iter().filter(suits) {
        let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
        if mergeable {
            ksm_enter(m, mm);
        } else {
            unmerge_ksm_pages(m, mm, &vma, part.clone());
        }
        modify::vma_modify_flags(m, mm, &vma, &part, VmFlags { mergeable, ..vma.flags() });
    }
}

/// Puts a process on the list of those that are scanned. Its mmap lock keeps the scan away until the caller is done with it.
fn ksm_enter(m: &Machine, mm: &Arc<Mm>) {
    if mm.is_mergeable.load(Relaxed) {
        return;
    }
    m.might_reclaim(); // mm_slot_alloc()
    let holds = mm.mmap_lock.is_mine_to_write();
    sched::must_hold(holds, || format!("process {} is scanned before its mappings are complete", mm.id));
    {
        let _mmlist = m.ksm.mmlist_lock.lock();
        m.ksm.mms().push(mm.clone());
    }
    mm.is_mergeable.store(true, Relaxed);
}

/// A child of a fork is scanned if the parent is. The caller has the mmap locks of both.
#[inline(never)]
pub(crate) fn ksm_fork(m: &Machine, parent: &Mm, child: &Arc<Mm>) {
    if parent.is_mergeable.load(Relaxed) {
        ksm_enter(m, child);
    }
}

/// A process ends: it is not scanned any more, and who was scanning it has finished.
#[inline(never)]
pub(crate) fn ksm_exit(m: &Machine, mm: &Arc<Mm>) {
    if !mm.is_mergeable.load(Relaxed) {
        return;
    }
    {
        let _mmlist = m.ksm.mmlist_lock.lock();
        m.ksm.mms().retain(|other| !Arc::ptr_eq(other, mm));
    }
    mm.is_mergeable.store(false, Relaxed);
    drop(mm.mmap_write_lock());
    m.ksm.check_not_scanned(mm);
}

/// Gives every place of a range that shares a page a copy of its own. The caller has the mmap lock in write mode.
#[inline(never)]
fn unmerge_ksm_pages(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, range: Range<u64>) {
    vma.vma_start_write(mm);
    range.step_by(PAGE_SIZE as usize).for_each(|addr| break_ksm(m, mm, vma, addr));
}

/// Gives the place a page of its own if it shares one.
#[inline(never)]
fn break_ksm(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64) {
    while is_shared(m, mm, vma, addr) {
        if fault::unshare_fault(m, mm, vma, addr).is_err() {
            return;
        }
    }
}

fn is_shared(m: &Machine, mm: &Mm, vma: &Vma, addr: u64) -> bool {
    let mut shared = false;
    mm.walk(m, vma, addr..addr + PAGE_SIZE, &mut |_, _, entry| {
        shared = entry.as_page().and_then(|pfn| m.memory.folio(pfn)).is_some_and(|folio: Arc<Folio>| folio.is_ksm());
    });
    shared
}

/// Ends all sharing (`echo 2 > /sys/kernel/mm/ksm/run`).
#[inline(never)]
pub(crate) fn unmerge_and_remove_all_rmap_items(m: &Machine) {
    let _scope = sched::scope("unmerge_all");
    let _mutex = m.ksm.thread_mutex.lock();
    let mms = {
        let _mmlist = m.ksm.mmlist_lock.lock();
        m.ksm.mms().clone()
    };
    for mm in mms {
        let _mmap = mm.mmap_lock.read();
        // It may have left the list since. Its memory is being given back, and a copy would come after that.
        if mm.users.load(Relaxed) <= 0 {
            continue;
        }
        for vma in mm.all().into_iter().filter(|vma| vma.flags().mergeable) {
            vma.range().step_by(PAGE_SIZE as usize).for_each(|addr| break_ksm(m, &mm, &vma, addr));
        }
    }
    m.ksm.unstable().clear();
    m.ksm.stable().clear();
}

#[cfg(test)]
mod tests {
    use crate::{
        PAGE_SIZE, Protocol,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    /// A process ends while all sharing is ended.
    fn exit_and_unmerge(world: &World) -> Plan {
        let mut plan = Plan::default();
        let Some(process) = plan.spawn(world) else { return plan };
        plan.processes.clear();
        let heap = process.map_anon(4);
        process.set_mergeable(heap..heap + 4 * PAGE_SIZE, true);
        (0..4).for_each(|page| process.store(heap + page * PAGE_SIZE, 7).expect("there is memory"));
        world.ksm_scan();
        plan.actor("exit", move || process.exit());
        let kernel = world.clone();
        plan.actor("unmerge", move || kernel.ksm_unmerge());
        plan
    }

    #[test]
    fn nothing_is_copied_into_a_process_that_ends() {
        let setup = Setup { id: "exit-and-unmerge", memory: 100, build: exit_and_unmerge };
        for seed in 1..=200 {
            let outcome = play(&setup, Protocol::V6_12, Expect::Silent, seed);
            assert!(outcome.is_expected, "seed {seed}: {} {:?}", outcome.verdict, outcome.findings);
        }
    }
}
