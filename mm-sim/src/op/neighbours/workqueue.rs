//! Work for every processor, and waiting for it.
//!
//! Lock order: everything that is held `-> (wq_completion)`, taken and dropped, by who waits for the work; the work runs
//! with it held. So who waits must hold nothing that any work takes: C3, [`Bug::DrainsUnderMmapLock`].

use crate::{Bug, machine::Machine, mem::Mm, sched};

/// Empties the batches of all processors, by work on each of them.
#[inline(never)]
#[track_caller]
pub(crate) fn lru_add_drain_all(m: &Machine) {
    let _scope = sched::scope("lru_add_drain_all");
    let completion = &m.neighbours.workqueue.completion;
    completion.acquire();
    completion.release();
    m.lru.add_drain_all();
}

/// A work of somebody else, which looks at a process's memory (an asynchronous page fault).
#[inline(never)]
pub(crate) fn async_pf_execute(m: &Machine, mm: &Mm) {
    let _scope = sched::scope("async_pf_execute");
    let completion = &m.neighbours.workqueue.completion;
    completion.acquire();
    {
        let _mmap = mm.mmap_lock.read();
    }
    completion.release();
}

/// Makes sure that all pages of a process are on the LRU list before they are locked there, as `mlock` does.
#[inline(never)]
pub(crate) fn drain_for_mlock(m: &Machine, mm: &std::sync::Arc<Mm>) {
    let _scope = sched::scope("mlock");
    let early = !m.protocol.has(Bug::DrainsUnderMmapLock);
    if early {
        lru_add_drain_all(m);
    }
    let _mmap = mm.mmap_write_lock();
    if !early {
        lru_add_drain_all(m);
    }
}
