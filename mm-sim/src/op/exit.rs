//! `exit_mmap`: a process ends.
//!
//! Lock order: `ksm_mmlist_lock`, and then `mmap_lock (write)` to wait for a scan, and the same with `khugepaged_mm_lock`;
//! `mmap_lock (read) -> pte_lock` to zap, then `mmap_lock (write) -> vma_lock (marks)`, `-> anon_vma->rwsem`,
//! `-> i_mmap_rwsem`, and all tables are freed. Up to 5.14 neither: `-> pte_lock` from none, and from none what frees the
//! tables; only a victim of the OOM killer takes `mmap_lock (write)` in between, and drops it, to wait for the reaper.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{gather::Gather, ksm, mmu_notifier, munmap, pgtables, thp::khugepaged, zap};
use crate::{
    Bug,
    finding::Invariant,
    machine::Machine,
    mem::{Level, Mm, Vma},
    sched,
};

/// Ends a process: unmaps everything and frees all its tables.
#[inline(never)]
pub(crate) fn exit_mmap(m: &Machine, mm: &Arc<Mm>) {
    let _scope = sched::scope("exit_mmap");
    mm.users.fetch_sub(1, Relaxed);
    m.model.exit(mm.id);
    ksm::advise::ksm_exit(m, mm);
    khugepaged::exit(m, mm);
    mmu_notifier::mmu_notifier_release(m, mm);
    let mut gather = Gather::default();
    let vmas = if m.protocol.exit_under_mmap_lock {
        unmap_locked(m, mm, &mut gather)
    } else {
        unmap_unlocked(m, mm, &mut gather)
    };
    gather.finish(m);
    m.swap.mmlist_remove(mm);
    vmas.iter().for_each(|vma| munmap::remove_vma(m, vma));
    check_counts(mm);
    m.free_table(&mm.pgd);
    let _list = m.tasklist_lock.write_irq();
    let holds = m.tasklist_lock.is_mine_to_write();
    sched::must_hold(holds, || format!("process {} leaves the list without tasklist_lock", mm.id));
    m.mms.lock().remove(&mm.id);
}

/// Takes everything out under the mmap lock. Returns the VMAs that there were.
fn unmap_locked(m: &Machine, mm: &Arc<Mm>, gather: &mut Gather) -> Vec<Arc<Vma>> {
    {
        let _mmap = mm.mmap_lock.read();
        unmap_vmas(m, mm, gather);
    }
    mm.skip_oom.store(true, Relaxed);
    // Who reaps a victim of the OOM killer has finished when the lock is to be had.
    let _locked = (!m.protocol.has(Bug::ExitFreesTablesUnlocked)).then(|| mm.mmap_write_lock());
    free_tables(m, mm, gather)
}

/// The same up to 5.14: the process has no users any more, so nobody was kept away, but for who reaps a victim of the OOM
/// killer.
#[inline(never)]
fn unmap_unlocked(m: &Machine, mm: &Arc<Mm>, gather: &mut Gather) -> Vec<Arc<Vma>> {
    mm.ending.begin();
    unmap_vmas(m, mm, gather);
    mm.skip_oom.store(true, Relaxed);
    if mm.is_killed.load(Relaxed) {
        drop(mm.mmap_write_lock());
    }
    free_tables(m, mm, gather)
}

fn unmap_vmas(m: &Machine, mm: &Mm, gather: &mut Gather) {
    mm.all().iter().for_each(|vma| zap::unmap_single_vma(m, mm, vma, vma.range(), gather));
}

fn free_tables(m: &Machine, mm: &Mm, gather: &mut Gather) -> Vec<Arc<Vma>> {
    let vmas = mm.all();
    for vma in &vmas {
        vma.vma_start_write(mm);
        vma.mark_detached(mm);
    }
    pgtables::free_pgtables(m, mm, &vmas, 0..Level::Pgd.table_size(), &(0..u64::MAX), gather);
    mm.vmas.lock().clear();
    vmas
}

fn check_counts(mm: &Mm) {
    let (rss, tables) = (mm.rss.load(Relaxed), mm.tables.load(Relaxed));
    let swaps = mm.swaps.load(Relaxed);
    if (rss, swaps, tables) != (0, 0, 1) {
        let text = format!(
            "process {} ends with an RSS of {rss} pages, {swaps} swapped out, and {} tables",
            mm.id,
            tables - 1
        );
        sched::finding(Invariant::CountMismatch, text);
    }
}
