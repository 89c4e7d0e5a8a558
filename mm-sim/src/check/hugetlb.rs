//! The invariants of hugetlbfs at rest: the pool, the promises and the shared tables add up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Inode, Level, Mm, PAGE_SIZE, PMD_SIZE, Vma, huge_index},
    op::hugetlb::{pool, reserve},
    protocol::HugetlbLocking,
    sched,
};

/// Checks everything. `shared` has the tables that are shared, and how many processes have been found to use them.
pub(super) fn check(m: &Machine, mms: &[Arc<Mm>], shared: &BTreeMap<u64, i64>) {
    for (id, users) in shared {
        let counted = m.memory.table(*id).map_or(0, |table| table.shares.load(Relaxed) + 1);
        if counted != *users {
            let text = format!("page table {id} counts {counted} users, but {users} processes use it");
            sched::finding(Invariant::TableSharedWrongly, text);
        }
    }
    mms.iter().for_each(|mm| {
        check_own_tables(m, mm);
        check_promises(m, mm);
    });
    let promised = promised_of_files(m) + mms.iter().map(|mm| promised_to(mm)).sum::<u64>();
    let counts = m.hugetlb.counts();
    if counts.reserved != promised {
        let text = format!("{promised} huge pages are promised and not used, but the pool has {counts:?}");
        sched::finding(Invariant::ReservationBroken, text);
    }
}

/// Checks that who is told of writes shares no tables, and that no page is both protected and writable.
fn check_own_tables(m: &Machine, mm: &Mm) {
    for vma in mm.vmas.lock().values().filter(|vma| vma.flags().wants_own_tables()) {
        let range = vma.range();
        for addr in (range.start..range.end).step_by(PMD_SIZE as usize) {
            let Some(slot) = mm.hardware_slot(m, addr).filter(|slot| slot.table.level == Level::Pmd) else { continue };
            let entry = slot.load();
            if slot.table.is_shared() {
                let text = format!("vma {} is told of writes, but shares page table {}", vma.id, slot.table.id);
                sched::finding(Invariant::TableSharedWrongly, text);
            }
            if entry.is_page() && entry.is_uffd_wp() && entry.is_writable() {
                let text = format!("page {:#x} is protected from writes, but may be written", addr / PAGE_SIZE);
                sched::finding(Invariant::WriteNotTold, text);
            }
        }
    }
}

/// Checks that no private mapping has lost a promise: each is kept, or was used for a page that still is or that is broken.
/// Until 6.6 a page that is given up takes its promise along.
fn check_promises(m: &Machine, mm: &Mm) {
    if m.protocol.hugetlb_locking != HugetlbLocking::EveryVma {
        return;
    }
    for vma in mm.vmas.lock().values().filter(|vma| vma.is_hugetlb()) {
        let Some(map) = vma.hugetlb.resv_map.lock().clone() else { continue };
        let is_gone = |pfn: u64| m.memory.peek_folio(pfn).is_none() && !m.poison.is_handled(pfn);
        if let Some((index, pfn)) = map.users().range(reserve::huge_pages(vma)).find(|(_, pfn)| is_gone(**pfn)) {
            let text = format!(
                "vma {} was promised huge page {index}; folio {pfn} is in the pool again, and the promise is lost",
                vma.id
            );
            sched::finding(Invariant::ReservationBroken, text);
        }
    }
}

/// Returns how many pages of files are promised and not in the cache.
fn promised_of_files(m: &Machine) -> u64 {
    let files = m.files.lock().clone();
    let unused = |file: &Arc<Inode>| {
        check_blocks(file);
        let cached: BTreeSet<u64> = file.mapping.folios().iter().map(|(index, _)| huge_index(*index)).collect();
        file.hugetlb.as_ref().map_or(0, |map| map.pages().difference(&cached).count())
    };
    files.iter().map(unused).sum::<usize>() as u64
}

fn check_blocks(file: &Inode) {
    let cached: u64 = file.mapping.folios().iter().map(|(_, folio)| folio.pages()).sum();
    if file.hugetlb.is_some() && file.blocks() != cached {
        let text = format!("file {} counts {} pages, but {cached} are in its cache", file.id, file.blocks());
        sched::finding(Invariant::CountMismatch, text);
    }
}

/// Returns how many pages are promised to private mappings of a process, and not used.
fn promised_to(mm: &Mm) -> u64 {
    let unused = |vma: &Arc<Vma>| {
        let map = vma.hugetlb.resv_map.lock().clone();
        let pages = reserve::huge_pages(vma);
        map.map_or(0, |map| pages.end - pages.start - map.pages().range(pages).count() as u64)
    };
    mm.vmas.lock().values().filter(|vma| vma.is_hugetlb()).map(unused).sum()
}

/// Checks that all huge pages are back, and gives the pool back to memory.
pub(super) fn check_at_end(m: &Machine) {
    let counts = m.hugetlb.counts();
    if (counts.free, counts.reserved) != (counts.total, 0) {
        let text = format!("every process has ended and every file is gone, but the pool has {counts:?}");
        sched::finding(Invariant::Leak, text);
    }
    pool::set_max_huge_pages(m, 0);
}
