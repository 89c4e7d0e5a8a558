//! Reservations of buffers that devices share.
//!
//! Lock order, as the kernel shows it to lockdep when it boots: `mmap_lock (read) -> dma_resv -> fs_reclaim ->
//! i_mmap_rwsem (write)`, `-> mmu_notifier_invalidate_range_start`. Nothing is reclaimed and nothing is unmapped: the locks
//! are those of a process and a file that nobody else knows. But from then on lockdep knows that reclaim takes
//! `i_mmap_rwsem`, on every machine, however much memory it has.

use crate::{
    classes::DMA_RESV,
    machine::Machine,
    mem::AddressSpace,
    op::{exit, fork},
    sched,
    sync::SleepMutex,
};

/// Shows lockdep the order of locks, once, at boot.
#[inline(never)]
pub(crate) fn dma_resv_lockdep(m: &Machine) {
    let _scope = sched::scope("dma_resv_lockdep");
    let Ok(mm) = fork::new_mm(m) else { return };
    let mapping = AddressSpace::new(m.new_id());
    let resv = SleepMutex::new(&DMA_RESV, ("buffer", m.new_id()));
    {
        let _mmap = mm.mmap_lock.read();
        let _resv = resv.lock();
        m.fs_reclaim.acquire();
        // `unmap_mapping_range`, and who is told that entries go.
        drop(mapping.i_mmap_rwsem.write());
        m.mmu_notifier.acquire();
        m.mmu_notifier.release();
        m.fs_reclaim.release();
    }
    exit::exit_mmap(m, &mm);
}
