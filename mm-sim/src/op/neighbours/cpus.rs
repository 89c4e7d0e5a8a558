//! Processors that come and go, and pages that are taken out of use.
//!
//! Lock order: `cpu_hotplug_lock (write) -> pcp_batch_high_lock` for a new processor's list. A broken huge page is taken
//! out of the pool and its pages out of the allocator; `pcp_batch_high_lock` keeps them from going back into a list
//! meanwhile. Giving a huge page back changes code, which takes `cpu_hotplug_lock`: it must come before
//! (C5, [`Bug::DissolvesUnderPcpLock`]).

use crate::{
    Bug,
    classes::{CPU_HOTPLUG_LOCK, PCP_BATCH_HIGH_LOCK},
    machine::Machine,
    sched,
    sync::RwSem,
};

/// The locks of processors and of their lists.
pub(crate) struct Cpus {
    hotplug: RwSem,
    batch_high: RwSem,
}

impl Cpus {
    pub(super) fn new() -> Self {
        Self {
            hotplug: RwSem::new(&CPU_HOTPLUG_LOCK, ("machine", 0)),
            batch_high: RwSem::new(&PCP_BATCH_HIGH_LOCK, ("machine", 0)),
        }
    }
}

/// A processor comes.
#[inline(never)]
pub(crate) fn cpu_up(m: &Machine) {
    let _scope = sched::scope("cpu_up");
    let _hotplug = m.neighbours.cpus.hotplug.write();
    let _batch_high = m.neighbours.cpus.batch_high.write();
    m.memory.drain_all_pages();
}

/// A huge page is broken: it leaves the pool, and its pages the allocator.
#[inline(never)]
pub(crate) fn page_handle_poison(m: &Machine) {
    let _scope = sched::scope("page_handle_poison");
    if !m.protocol.has(Bug::DissolvesUnderPcpLock) {
        dissolve_free_huge_page(m);
    }
    let _batch_high = m.neighbours.cpus.batch_high.write();
    m.memory.drain_all_pages();
    if m.protocol.has(Bug::DissolvesUnderPcpLock) {
        dissolve_free_huge_page(m);
    }
}

/// Gives the struct pages of a huge page back their memory, which switches code on.
#[inline(never)]
fn dissolve_free_huge_page(m: &Machine) {
    let _hotplug = m.neighbours.cpus.hotplug.read();
    sched::step();
}
