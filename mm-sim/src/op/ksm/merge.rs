//! Two pages that are alike become one.
//!
//! Lock order: `mmap_lock (read) -> folio_lock (trylock) -> mmu_notifier_invalidate_range_start`, `-> pte_lock` to make the
//! page read-only, and once more to replace it; the lock of the shared folio is taken when the mmap lock has been dropped.
//! Only the process, and whoever isolated the page, may have references: a write through any other would be lost.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    machine::Machine,
    mem::{Candidate, Entry, Folio, FolioKind, KsmStable, Level, Mm, PAGE_SIZE, Place, Vma},
    op::{mmu_notifier, walk::PteMap},
    sched,
};

/// The reference of the scan.
const OURS: i64 = 1;

/// Makes the page of a place a shared one. Returns its stable node.
#[inline(never)]
pub(super) fn share(m: &Machine, item: &Candidate, folio: &Arc<Folio>) -> Option<Arc<KsmStable>> {
    let _scope = sched::scope("try_to_merge_one_page");
    let _mmap = item.mm.mmap_lock.read();
    let vma = find_mergeable_vma(item)?;
    let _scanned = m.ksm.scan(&item.mm);
    let _locked = folio.lock.try_lock()?;
    let Some(Place::Anon(anon_vma, index)) = folio.place() else { return None };
    write_protect_page(m, &item.mm, &vma, item.addr, folio)?;
    let stable = KsmStable::new(folio);
    stable.append(&anon_vma, index);
    if let Some(own) = vma.anon_vma.lock().clone() {
        stable.append(&own, vma.pgoff_of(item.addr));
    }
    folio.check_locked("shared");
    folio.set_place(Some(Place::Ksm(stable.clone())));
    Some(stable)
}

/// Lets a place map a shared folio instead of its own page, which is like it. Returns whether it does.
#[inline(never)]
pub(super) fn merge_with(m: &Machine, item: &Candidate, folio: &Arc<Folio>, stable: &KsmStable) -> bool {
    let Some(shared) = stable.get_folio() else { return false };
    let anon_vma = merge_locked(m, item, folio, &shared);
    let merged = anon_vma.is_some();
    if let Some((anon_vma, index)) = anon_vma {
        let _locked = shared.lock.lock();
        shared.check_locked("shared once more");
        // It may have been freed and moved meanwhile, but nobody else makes shared folios.
        shared.check_locked("given another place");
        stable.append(&anon_vma, index);
    }
    m.put_folio(&shared, 1);
    merged
}

fn merge_locked(
    m: &Machine,
    item: &Candidate,
    folio: &Arc<Folio>,
    shared: &Arc<Folio>,
) -> Option<(Arc<crate::mem::AnonVma>, u64)> {
    let _scope = sched::scope("try_to_merge_one_page");
    let _mmap = item.mm.mmap_lock.read();
    let vma = find_mergeable_vma(item)?;
    let _scanned = m.ksm.scan(&item.mm);
    let _locked = folio.lock.try_lock()?;
    if Arc::ptr_eq(folio, shared) || folio.is_ksm() {
        return None;
    }
    let entry = write_protect_page(m, &item.mm, &vma, item.addr, folio)?;
    if folio.read(folio.pfn) != shared.read(shared.pfn) {
        return None;
    }
    replace_page(m, &item.mm, &vma, item.addr, (folio, entry), shared)?;
    let anon_vma = vma.anon_vma.lock().clone()?;
    Some((anon_vma, vma.pgoff_of(item.addr)))
}

fn find_mergeable_vma(item: &Candidate) -> Option<Arc<Vma>> {
    let is_alive = item.mm.users.load(Relaxed) > 0;
    let vma = item.mm.find(item.addr).filter(|vma| is_alive && vma.flags().mergeable)?;
    let is_ready = vma.anon_vma.lock().is_some();
    is_ready.then_some(vma)
}

fn map_of<'m>(m: &'m Machine, mm: &Mm, vma: &Vma, addr: u64) -> Option<PteMap<'m>> {
    let pmd = mm.slot(m, addr, Level::Pmd).filter(|pmd| pmd.load().as_table().is_some())?;
    mm.pte_offset_map_lock(m, vma, &pmd, 0)
}

/// Makes the entry read-only, if nobody but page tables and the scan has the page. Returns the entry.
#[inline(never)]
fn write_protect_page(m: &Machine, mm: &Mm, vma: &Vma, addr: u64, folio: &Folio) -> Option<Entry> {
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(addr..addr + PAGE_SIZE));
    folio.check_locked("made read-only to be shared");
    let map = map_of(m, mm, vma, addr)?;
    let slot = map.slot(addr);
    let is_ours = slot.load().as_page() == Some(folio.pfn) && folio.kind == FolioKind::Anon && folio.pages() == 1;
    if !is_ours || slot.load().is_uffd_wp() {
        return None;
    }
    // Empty for a moment, so that GUP-fast takes no reference that is not counted below.
    let old = slot.store(Entry::NONE);
    m.tlb.flush(mm.id, addr / PAGE_SIZE..addr / PAGE_SIZE + 1);
    if folio.refs() != folio.maps() + OURS || folio.is_pinned() {
        slot.store(old);
        return None;
    }
    if old.is_dirty() {
        folio.dirty.store(true, Relaxed);
    }
    let entry = old.writable(false).clean();
    slot.store(entry);
    Some(entry)
}

/// Lets the entry map the shared folio, if it is still as it was.
#[inline(never)]
fn replace_page(
    m: &Machine,
    mm: &Mm,
    vma: &Vma,
    addr: u64,
    (folio, entry): (&Arc<Folio>, Entry),
    shared: &Arc<Folio>,
) -> Option<()> {
    folio.check_locked("replaced");
    let _told = mmu_notifier::invalidate_range_start(m, mm, &(addr..addr + PAGE_SIZE));
    {
        let map = map_of(m, mm, vma, addr)?;
        let slot = map.slot(addr);
        if slot.load().young(true) != entry.young(true) {
            return None;
        }
        shared.map();
        slot.store(Entry::NONE);
        m.tlb.flush(mm.id, addr / PAGE_SIZE..addr / PAGE_SIZE + 1);
        slot.store(Entry::page(shared.pfn).accessible(entry.is_accessible()));
        folio.unmap();
    }
    m.put_folio(folio, 1);
    m.stats.ksm_merged.add(1);
    Some(())
}
