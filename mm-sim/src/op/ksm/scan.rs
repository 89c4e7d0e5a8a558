//! One round of ksmd.
//!
//! Lock order: `ksm_thread_mutex -> ksm_mmlist_lock` for the next process, `-> mmap_lock (read) -> pte_lock` to find the next
//! page, and per page `merge`. While memory is going offline it waits, without the mutex.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::merge;
use crate::{
    machine::Machine,
    mem::{Candidate, Folio, FolioKind, KsmStable, Mm, PAGE_SIZE},
    sched,
    sync::MutexGuard,
};

/// Scans all pages of all processes once, and merges those that are alike. Returns how many were merged.
#[inline(never)]
pub(crate) fn ksm_do_scan(m: &Machine) -> u64 {
    let _scope = sched::scope("ksm_do_scan");
    let before = m.stats.ksm_merged.get();
    let _mutex = wait_while_offlining(m);
    m.ksm.unstable().clear();
    let mms = {
        let _mmlist = m.ksm.mmlist_lock.lock();
        m.ksm.mms().clone()
    };
    m.might_reclaim(); // alloc_rmap_item()
    for mm in mms {
        scan_mm(m, &mm);
    }
    m.stats.ksm_merged.get() - before
}

/// Takes the mutex while no memory is going offline.
fn wait_while_offlining(m: &Machine) -> MutexGuard {
    loop {
        let mutex = m.ksm.thread_mutex.lock();
        m.ksm.resumed.add(0);
        if !m.ksm.is_offlining.load(Relaxed) {
            m.ksm.resumed.remove();
            return mutex;
        }
        drop(mutex);
        m.ksm.resumed.wait();
    }
}

fn scan_mm(m: &Machine, mm: &Arc<Mm>) {
    let mut next = 0;
    while let Some((addr, folio)) = next_page(m, mm, next) {
        next = addr + PAGE_SIZE;
        cmp_and_merge_page(m, &Candidate { mm: mm.clone(), addr }, &folio);
        m.put_folio(&folio, 1);
    }
}

/// Returns the next anonymous page that may be merged, with a reference.
#[inline(never)]
fn next_page(m: &Machine, mm: &Arc<Mm>, from: u64) -> Option<(u64, Arc<Folio>)> {
    let _mmap = mm.mmap_lock.read();
    if mm.users.load(Relaxed) == 0 {
        return None;
    }
    let _scanned = m.ksm.scan(mm);
    let mut found = None;
    for vma in mm.all().into_iter().filter(|vma| vma.flags().mergeable && vma.range().end > from) {
        let range = vma.range().start.max(from)..vma.range().end;
        mm.walk(m, &vma, range, &mut |_, addr, entry| {
            if found.is_none()
                && let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn))
                && folio.kind == FolioKind::Anon
                && folio.pages() == 1
            {
                folio.get(1);
                found = Some((addr, folio));
            }
        });
        if found.is_some() {
            break;
        }
    }
    found
}

/// Looks for something like a page, among the shared ones and among those seen in this round.
#[inline(never)]
fn cmp_and_merge_page(m: &Machine, item: &Candidate, folio: &Arc<Folio>) {
    if folio.is_ksm() {
        return;
    }
    let word = folio.read(folio.pfn);
    if let Some(stable) = stable_tree_search(m, word) {
        merge::merge_with(m, item, folio, &stable);
        return;
    }
    let Some(other) = m.ksm.unstable().insert(word, item.clone()) else { return };
    let Some(stable) = share_other(m, &other, word) else { return };
    if merge::merge_with(m, item, folio, &stable) {
        m.ksm.unstable().remove(&word);
    }
}

/// Makes the page that was seen before a shared one, if it still is what it was.
fn share_other(m: &Machine, other: &Candidate, word: u64) -> Option<Arc<KsmStable>> {
    let (addr, folio) = next_page(m, &other.mm, other.addr)?;
    let stable = (addr == other.addr && !folio.is_ksm()).then(|| merge::share(m, other, &folio)).flatten();
    let stable = stable.filter(|stable| {
        // Read-only now, so this is what it stays.
        let is_alike = folio.read(folio.pfn) == word;
        m.ksm.stable().insert(folio.read(folio.pfn), stable.clone());
        is_alike
    });
    m.put_folio(&folio, 1);
    stable
}

/// Returns the shared folio of these contents, if it has not been freed.
fn stable_tree_search(m: &Machine, word: u64) -> Option<Arc<KsmStable>> {
    let stable = m.ksm.stable().get(&word).cloned()?;
    let Some(folio) = stable.get_folio() else {
        m.ksm.stable().remove(&word);
        return None;
    };
    m.put_folio(&folio, 1);
    Some(stable)
}
