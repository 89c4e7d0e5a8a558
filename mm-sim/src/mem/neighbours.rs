//! The locks of what memory management meets and is no part of.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{
    classes::{
        ACOMP_CTX_MUTEX, CONSOLE_OWNER, CPU_HOTPLUG_LOCK, MEMCG_PATHS_LOCK, PCP_BATCH_HIGH_LOCK, PI_LOCK, PORT_LOCK,
        RQ_LOCK, SHMEM_INFO_LOCK, SHMLOCK_USER_LOCK, WQ_COMPLETION,
    },
    sync::{PseudoLock, RwSem, SpinLock},
};

/// All of them.
pub(crate) struct Neighbours {
    pub(crate) console: Console,
    pub(crate) cpus: Cpus,
    pub(crate) shmlock: ShmLock,
    pub(crate) trace: Trace,
    pub(crate) workqueue: WorkQueue,
    pub(crate) zswap: Zswap,
}

impl Neighbours {
    pub(crate) fn new() -> Self {
        Self {
            console: Console::new(),
            cpus: Cpus::new(),
            shmlock: ShmLock::new(),
            trace: Trace::new(),
            workqueue: WorkQueue::new(),
            zswap: Zswap::new(),
        }
    }
}

/// A console on a serial port.
pub(crate) struct Console {
    pub(crate) owner: SpinLock,
    pub(crate) port: SpinLock,
}

impl Console {
    pub(crate) fn new() -> Self {
        Self { owner: SpinLock::new(&CONSOLE_OWNER, ("console", 0)), port: SpinLock::new(&PORT_LOCK, ("port", 0)) }
    }
}

/// The locks of processors and of their lists.
pub(crate) struct Cpus {
    pub(crate) hotplug: RwSem,
    pub(crate) batch_high: RwSem,
}

impl Cpus {
    pub(crate) fn new() -> Self {
        Self {
            hotplug: RwSem::new(&CPU_HOTPLUG_LOCK, ("machine", 0)),
            batch_high: RwSem::new(&PCP_BATCH_HIGH_LOCK, ("machine", 0)),
        }
    }
}

/// The locks of one file of shared memory and of the users' counts.
pub(crate) struct ShmLock {
    pub(crate) info: SpinLock,
    pub(crate) user: SpinLock,
}

impl ShmLock {
    pub(crate) fn new() -> Self {
        Self {
            info: SpinLock::new(&SHMEM_INFO_LOCK, ("shared memory", 0)),
            user: SpinLock::new(&SHMLOCK_USER_LOCK, ("users", 0)),
        }
    }
}

/// A processor's run queue, somebody who reads what is traced, and the buffer for names of groups.
pub(crate) struct Trace {
    pub(crate) rq: SpinLock,
    pub(crate) reader: SpinLock,
    pub(crate) memcg_paths: SpinLock,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            rq: SpinLock::new(&RQ_LOCK, ("processor", 0)),
            reader: SpinLock::new(&PI_LOCK, ("task", 0)),
            memcg_paths: SpinLock::new(&MEMCG_PATHS_LOCK, ("processor", 0)),
        }
    }
}

/// The queue of work for every processor.
pub(crate) struct WorkQueue {
    pub(crate) completion: PseudoLock,
}

impl WorkQueue {
    pub(crate) const fn new() -> Self {
        Self { completion: PseudoLock::new(&WQ_COMPLETION) }
    }
}

/// The compressor of one processor.
pub(crate) struct Zswap {
    pub(crate) mutex: RwSem,
    pub(crate) is_on: AtomicBool,
}

impl Zswap {
    pub(crate) fn new() -> Self {
        Self { mutex: RwSem::new(&ACOMP_CTX_MUTEX, ("processor", 0)), is_on: AtomicBool::new(false) }
    }

    /// From now on pages are compressed first.
    pub(crate) fn enable(&self) {
        self.is_on.store(true, Relaxed);
    }
}
