//! The first touch of anonymous memory.
//!
//! Lock order: under the VMA lock or the mmap lock `-> fs_reclaim` (table, anon_vma, folio), and then
//! `-> pte_lock -> lru_lock`. Nothing is allocated under the pte lock.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    anon_vma, userfaultfd,
    vm_fault::{Outcome, VmFault},
    walk::PteMap,
};
use crate::{
    mem::{Entry, Folio, FolioKind, Place, Vma, local_node},
    sched,
};

/// Maps a new page of zeros.
#[inline(never)]
pub(crate) fn do_anonymous_page(fault: &VmFault<'_>) -> Outcome {
    try_anonymous_page(fault).map_or_else(|outcome| outcome, |()| Outcome::Done)
}

fn try_anonymous_page(fault: &VmFault<'_>) -> Result<(), Outcome> {
    let _scope = sched::scope("do_anonymous_page");
    let m = fault.m;
    fault.mm.pte_alloc(m, &fault.pmd)?;
    anon_vma::vmf_anon_prepare(m, fault)?;
    let folio = alloc_anon_folio(fault)?;
    if let Some(map) = fault.map_pte()
        && map.slot(fault.addr).load().is_none()
    {
        if fault.vma.flags().uffd_missing {
            drop(map);
            m.put_folio(&folio, 1);
            return Err(userfaultfd::fault::handle_userfault(fault, false));
        }
        set_anon_pte(fault, &map, &folio);
    }
    m.put_folio(&folio, 1);
    Ok(())
}

/// Allocates a page of zeros for the fault, on the node that the VMA's policy says.
#[inline(never)]
pub(crate) fn alloc_anon_folio(fault: &VmFault<'_>) -> Result<Arc<Folio>, Outcome> {
    let node = policy_node(&fault.vma);
    Ok(fault.m.alloc_folio_on(node, FolioKind::Anon, 1)?)
}

/// Returns the node that new pages of a VMA come from. The caller keeps the VMA in place, and so has the policy without a
/// reference.
#[inline(never)]
pub(crate) fn policy_node(vma: &Vma) -> u8 {
    let policy = vma.policy();
    sched::step();
    policy.iter().for_each(|policy| policy.check_alive());
    policy.map_or_else(local_node, |policy| policy.node)
}

/// Maps a new anonymous folio where nothing is mapped. The caller has the pte lock.
pub(crate) fn set_anon_pte(fault: &VmFault<'_>, map: &PteMap<'_>, folio: &Arc<Folio>) {
    fault.mm.check_install(&fault.vma);
    fault.vma.check_node(folio);
    let anon_vma = fault.vma.anon_vma.lock().clone();
    folio.set_place(anon_vma.map(|anon_vma| Place::Anon(anon_vma, fault.pgoff())));
    folio.map();
    fault.m.lru.add(folio);
    map.slot(fault.addr).store(Entry::page(folio.pfn).writable(fault.vma.flags().write));
    fault.mm.rss.fetch_add(1, Relaxed);
}
