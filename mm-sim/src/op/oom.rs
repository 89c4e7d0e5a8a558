//! The OOM killer's victim gives its memory back before it has ended.
//!
//! Lock order: `mmap_lock (read, trylock for the reaper, waits in process_mrelease) -> mmu_notifier_invalidate_range_start`,
//! `-> pte_lock`. Only what nobody else can see is zapped, and the victim never runs again. `exit_mmap` does the same under
//! the mmap lock in read mode and then takes it in write mode to free the tables: whoever came before has finished by then,
//! and who comes later sees that there is nothing left to do.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{gather::Gather, zap};
use crate::{machine::Machine, mem::Mm, sched};

/// Kills a process: no access of it succeeds any more.
pub(crate) fn kill(mm: &Mm) {
    mm.is_killed.store(true, Relaxed);
}

/// The reaper. Returns whether it had the lock.
#[inline(never)]
pub(crate) fn oom_reap_task_mm(m: &Machine, mm: &Arc<Mm>) -> bool {
    let _scope = sched::scope("oom_reaper");
    let Some(_mmap) = mm.mmap_lock.try_read() else { return false };
    reap(m, mm);
    true
}

/// User code asks for the memory of a process that it has killed. Returns whether that had been killed.
#[inline(never)]
pub(crate) fn process_mrelease(m: &Machine, mm: &Arc<Mm>) -> bool {
    let _scope = sched::scope("process_mrelease");
    if !mm.is_killed.load(Relaxed) {
        return false;
    }
    let _mmap = mm.mmap_lock.read();
    reap(m, mm);
    true
}

fn reap(m: &Machine, mm: &Arc<Mm>) {
    if mm.skip_oom.load(Relaxed) {
        return;
    }
    for vma in mm.all().into_iter().filter(|vma| !vma.flags().hugetlb && !vma.flags().shared) {
        let mut gather = Gather::default();
        zap::unmap_single_vma(m, mm, &vma, vma.range(), &mut gather);
        gather.finish(m);
        m.stats.reaped.add(1);
    }
}
