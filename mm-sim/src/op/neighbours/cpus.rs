//! Processors that come and go, and pages that are taken out of use.
//!
//! Lock order: `cpu_hotplug_lock (write) -> pcp_batch_high_lock` for a new processor's list. A broken huge page is taken
//! out of the pool and its pages out of the allocator; `pcp_batch_high_lock` keeps them from going back into a list
//! meanwhile. Giving a huge page back changes code, which takes `cpu_hotplug_lock`: it must come before
//! (C5, [`Bug::DissolvesUnderPcpLock`]).

use crate::{Bug, machine::Machine, sched};

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
