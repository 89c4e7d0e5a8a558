//! `exit_mmap`: a process ends.
//!
//! Lock order: `ksm_mmlist_lock`, and then `mmap_lock (write)` to wait for a scan, and the same with `khugepaged_mm_lock`;
//! `mmap_lock (read) -> pte_lock` to zap, then `mmap_lock (write) -> vma_lock (marks)`, `-> anon_vma->rwsem`,
//! `-> i_mmap_rwsem`, and all tables are freed.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{gather::Gather, ksm, mmu_notifier, munmap, pgtables, thp::khugepaged, zap};
use crate::{Bug, finding::Invariant, machine::Machine, mem::Mm, sched};

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
    {
        let _mmap = mm.mmap_lock.read();
        mm.all().iter().for_each(|vma| zap::unmap_single_vma(m, mm, vma, vma.range(), &mut gather));
    }
    mm.skip_oom.store(true, Relaxed);
    let vmas = {
        // Who reaps a victim of the OOM killer has finished when the lock is to be had.
        let locked = (!m.protocol.has(Bug::ExitFreesTablesUnlocked)).then(|| mm.mmap_write_lock());
        let vmas = mm.all();
        for vma in &vmas {
            vma.vma_start_write(mm);
            vma.mark_detached(mm);
        }
        pgtables::free_pgtables(m, mm, &vmas, 0..crate::mem::Level::Pgd.table_size(), &(0..u64::MAX), &mut gather);
        mm.vmas.lock().clear();
        drop(locked);
        vmas
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
