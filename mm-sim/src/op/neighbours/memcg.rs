//! Groups of processes whose memory is counted and limited.
//!
//! Moving a process to another group moves its pages' counts, for which its page tables are walked.
//! Lock order: `mmap_lock (read, trylock) -> pte_lock -> folio_lock (trylock) -> memcg move_lock`, when
//! `cgroup_threadgroup_rwsem` has been dropped: a fork waits for that, and somebody who holds the mmap lock may wait for a
//! fork (C1, [`Bug::ChargesMovedUnderThreadgroup`]).
//!
//! A write that finds its group at the limit fails. If it waited until somebody has been killed, the victim might need
//! what the writer holds in order to end (C2, [`Bug::OomWaitsUnderLocks`]).

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, OutOfMemory},
    sched,
};

/// Counts a page of a file that is about to be cached.
#[inline(never)]
pub(crate) fn mem_cgroup_charge(m: &Machine) -> Result<(), OutOfMemory> {
    let memcg = &m.memcg;
    loop {
        let take = |room: u64| if room == u64::MAX { Some(room) } else { room.checked_sub(1) };
        if memcg.room.fetch_update(Relaxed, Relaxed, take).is_ok() {
            return Ok(());
        }
        if !m.protocol.has(Bug::OomWaitsUnderLocks) {
            return Err(OutOfMemory);
        }
        memcg.victims.add(0);
        memcg.victims.wait();
    }
}

/// Moves a process to another group, and the counts of its pages with it.
#[inline(never)]
pub(crate) fn attach_task(m: &Machine, mm: &Arc<Mm>, group: u64) {
    let _scope = sched::scope("cgroup_attach_task");
    let memcg = &m.memcg;
    {
        let _threadgroup = memcg.threadgroup_rwsem.write();
        if m.protocol.has(Bug::ChargesMovedUnderThreadgroup) {
            let _mmap = mm.mmap_lock.read();
            return move_charges(m, mm, group);
        }
    }
    super::workqueue::lru_add_drain_all(m);
    loop {
        if let Some(_mmap) = mm.mmap_lock.try_read() {
            return move_charges(m, mm, group);
        }
        sched::sleep(1);
    }
}

#[inline(never)]
fn move_charges(m: &Machine, mm: &Mm, group: u64) {
    let memcg = &m.memcg;
    for vma in mm.all() {
        mm.walk(m, &vma, vma.range(), &mut |_, _, entry| {
            let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return };
            if let Some(_locked) = folio.lock.try_lock() {
                let _move_lock = memcg.move_lock.lock_irq();
                memcg.charges.lock().insert(folio.pfn, group);
            }
        });
    }
}
