//! `mm_take_all_locks`: keeps everybody away from the memory of a process.
//!
//! Lock order: `mmap_lock (write) -> mm_all_locks_mutex -> vma_lock (marks of all, from 6.4)`, `-> i_mmap_rwsem of all
//! files`, those of hugetlbfs first (M1), `-> anon_vma->rwsem of all families`. Many locks of one class are held at once:
//! whoever holds several of them holds this mmap lock (nest lock), and `mm_all_locks_mutex` keeps two processes from doing
//! it at the same time. The VMAs come first, because that is the order of page faults (eeff9a5d47f8).

use std::sync::Arc;

use crate::{
    Bug,
    machine::Machine,
    mem::{MmapWrite, Vma},
    sched,
    sync::{MutexGuard, WriteGuard},
};

/// Holds all locks of a process's memory. They are released in the reverse order.
#[must_use]
pub(crate) struct AllLocks {
    _locks: Vec<WriteGuard>,
    _mutex: MutexGuard,
}

/// Takes all locks of a process's memory. The caller has the mmap lock in write mode and keeps it until they are dropped.
#[inline(never)]
pub(crate) fn mm_take_all_locks(m: &Machine, mm: &MmapWrite) -> AllLocks {
    let _scope = sched::scope("mm_take_all_locks");
    let mutex = m.mm_all_locks_mutex.lock();
    let vmas = mm.all();
    vmas.iter().for_each(|vma| vma.vma_start_write(mm));
    let mut locks = Vec::new();
    if m.protocol.has(Bug::AllLocksInVmaOrder) {
        vm_lock_mappings(mm, &vmas, &|_| true, &mut locks);
    } else {
        // Under the lock of a file of hugetlbfs page tables are allocated: it comes before those that reclaim takes.
        vm_lock_mappings(mm, &vmas, &|vma| vma.is_hugetlb(), &mut locks);
        vm_lock_mappings(mm, &vmas, &|vma| !vma.is_hugetlb(), &mut locks);
    }
    vm_lock_anon_vmas(mm, &vmas, &mut locks);
    vmas.iter().for_each(|vma| check_locked(vma));
    AllLocks { _locks: locks, _mutex: mutex }
}

/// Locks the files of some mappings, each once.
#[inline(never)]
fn vm_lock_mappings(mm: &MmapWrite, vmas: &[Arc<Vma>], which: &dyn Fn(&Vma) -> bool, locks: &mut Vec<WriteGuard>) {
    for file in vmas.iter().filter(|vma| which(vma)).filter_map(|vma| vma.file.as_ref()) {
        if !file.mapping.i_mmap_rwsem.is_mine_to_write() {
            locks.push(file.mapping.i_mmap_rwsem.write_under(&mm.mmap_lock));
        }
    }
}

/// Locks the families of anonymous memory, each once.
#[inline(never)]
fn vm_lock_anon_vmas(mm: &MmapWrite, vmas: &[Arc<Vma>], locks: &mut Vec<WriteGuard>) {
    for vma in vmas {
        let chain = vma.anon_vma_chain.lock().clone();
        for anon_vma in chain.iter().filter(|anon_vma| !anon_vma.rwsem().is_mine_to_write()) {
            locks.push(anon_vma.rwsem().write_under(&mm.mmap_lock));
        }
    }
}

/// Checks that the reverse maps of a VMA stand still.
fn check_locked(vma: &Vma) {
    let by_file = vma.file.as_ref().is_none_or(|file| file.mapping.i_mmap_rwsem.is_mine_to_write());
    let by_anon = vma.anon_vma_chain.lock().iter().all(|anon_vma| anon_vma.rwsem().is_mine_to_write());
    sched::must_hold(by_file && by_anon, || format!("not all locks of vma {} are held", vma.id));
}
