//! Groups of processes whose memory is counted and limited.
//!
//! Moving a process to another group moves its pages' counts, for which its page tables are walked.
//! Lock order: `mmap_lock (read, trylock) -> pte_lock -> folio_lock (trylock) -> memcg move_lock`, when
//! `cgroup_threadgroup_rwsem` has been dropped: a fork waits for that, and somebody who holds the mmap lock may wait for a
//! fork (C1, [`Bug::ChargesMovedUnderThreadgroup`]).
//!
//! A write that finds its group at the limit fails. If it waited until somebody has been killed, the victim might need
//! what the writer holds in order to end (C2, [`Bug::OomWaitsUnderLocks`]).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use crate::{
    Bug,
    classes::{CGROUP_THREADGROUP_RWSEM, MEMCG_MOVE_LOCK},
    machine::Machine,
    mem::{Folio, Mm, OutOfMemory},
    sched,
    sync::{RwSem, SpinLock, WaitQueue},
};

/// The groups of one machine.
pub(crate) struct Memcg {
    pub(crate) threadgroup_rwsem: RwSem,
    move_lock: SpinLock,
    /// Which group a page is counted in, by frame; those of the first group are not here.
    charges: Mutex<BTreeMap<u64, u64>>,
    /// Pages of files that may be cached from now on; `u64::MAX` if nobody counts.
    room: AtomicU64,
    victims: Arc<WaitQueue>,
}

impl Memcg {
    pub(super) fn new() -> Self {
        Self {
            threadgroup_rwsem: RwSem::new(&CGROUP_THREADGROUP_RWSEM, ("machine", 0)),
            move_lock: SpinLock::new(&MEMCG_MOVE_LOCK, ("group", 0)),
            charges: Mutex::default(),
            room: AtomicU64::new(u64::MAX),
            victims: WaitQueue::new("the end of a process that is to be killed".to_owned()),
        }
    }

    /// Limits the pages of files that may be cached from now on.
    pub(crate) fn limit(&self, pages: u64) {
        self.room.store(pages, Relaxed);
    }

    /// A process that was to be killed has ended.
    pub(crate) fn victim_ended(&self) {
        self.room.store(u64::MAX, Relaxed);
        self.victims.wake(|_| true);
    }

    /// Returns how many pages are counted in a group that is not the first.
    pub(crate) fn charged(&self, group: u64) -> usize {
        self.charges.lock().values().filter(|other| **other == group).count()
    }

    /// A page is freed.
    pub(crate) fn uncharge(&self, folio: &Folio) {
        self.charges.lock().remove(&folio.pfn);
    }
}

/// Counts a page of a file that is about to be cached.
#[inline(never)]
pub(crate) fn mem_cgroup_charge(m: &Machine) -> Result<(), OutOfMemory> {
    let memcg = &m.neighbours.memcg;
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
    let memcg = &m.neighbours.memcg;
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
    let memcg = &m.neighbours.memcg;
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
