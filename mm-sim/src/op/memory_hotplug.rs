//! Memory goes offline: everything that can move leaves a range of frames.
//!
//! Lock order: `mem_hotplug_lock (write) -> memory_chain.rwsem (read) -> ksm_thread_mutex` when the others are told that
//! memory is going, and once more when it has gone; in between `lru_lock` and `migrate_pages`. KSM must not make folios
//! meanwhile: it is told so by a flag, and the mutex is dropped before the chain is ([`Bug::OfflineKeepsKsmMutex`]).

use std::{ops::Range, sync::atomic::Ordering::Relaxed};

use super::migrate::{self, Mode};
use crate::{Bug, machine::Machine, sched, sync::MutexGuard};

/// Moves everything out of a range of frames. Returns how many folios have moved.
#[inline(never)]
pub(crate) fn offline_pages(m: &Machine, frames: &Range<u64>) -> u64 {
    let _scope = sched::scope("offline_pages");
    let _hotplug = m.mem_hotplug_lock.write();
    let kept = notify_going(m);
    let mut moved = 0;
    for folio in m.lru.isolate(usize::MAX) {
        if frames.contains(&folio.pfn) {
            moved += migrate::migrate_pages(m, vec![folio], None, Mode::Sync);
        } else {
            migrate::putback(m, &folio);
        }
    }
    notify_gone(m, kept);
    moved
}

/// Tells the others that memory is going.
#[inline(never)]
fn notify_going(m: &Machine) -> Option<MutexGuard> {
    let _chain = m.memory_chain_rwsem.read();
    let mutex = m.ksm.thread_mutex.lock();
    check_told(m);
    m.ksm.is_offlining.store(true, Relaxed);
    m.protocol.has(Bug::OfflineKeepsKsmMutex).then_some(mutex)
}

/// Tells them that it has gone.
#[inline(never)]
fn notify_gone(m: &Machine, kept: Option<MutexGuard>) {
    let _chain = m.memory_chain_rwsem.read();
    let _mutex = kept.unwrap_or_else(|| m.ksm.thread_mutex.lock());
    // What was freed meanwhile is not shared any more.
    m.ksm.stable().retain(|_, stable| {
        let folio = stable.get_folio();
        folio.iter().for_each(|folio| m.put_folio(folio, 1));
        folio.is_some()
    });
    check_told(m);
    m.ksm.is_offlining.store(false, Relaxed);
    m.ksm.resumed.wake(|_| true);
}

/// Checks that this is a message to all listeners, from who has memory hotplug to itself.
fn check_told(m: &Machine) {
    let holds = [
        (m.mem_hotplug_lock.is_mine_to_write(), "mem_hotplug_lock"),
        (m.memory_chain_rwsem.is_mine(), "memory_chain.rwsem"),
        (m.ksm.thread_mutex.is_mine(), "ksm_thread_mutex"),
    ];
    for (held, lock) in holds {
        sched::must_hold(held, || format!("KSM is told that memory comes or goes without {lock}"));
    }
}
