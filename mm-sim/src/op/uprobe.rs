//! uprobes: a breakpoint in a file's code, in every process that has it mapped.
//!
//! Lock order: `dup_mmap_sem (write)` over all, so that no fork copies a process between two steps. Then
//! `-> i_mmap_rwsem (read)` to list the mappings; nothing may be reclaimed under it, because reclaim takes it, so the list
//! grows without waiting, and where it cannot the lock is dropped, `-> fs_reclaim`, and all mappings are looked for anew.
//! Then per process `-> mmap_lock (write) -> vma_lock (mark)`, `-> fs_reclaim` for a private copy of the page,
//! `-> folio_lock -> mmu_notifier_invalidate_range_start`, `-> pte_lock` to put the copy in its place.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{anon_fault, anon_vma, fault, gup, huge_pmd, mmu_notifier, vm_fault::VmFault};
use crate::{
    machine::Machine,
    mem::{Entry, Folio, FolioKind, Inode, Level, Mm, PAGE_SIZE, Vma},
    sched,
};

/// Entries of the list that can be had without waiting.
const NOWAIT: usize = 2;
/// Page faults in a row before it gives up.
const MAX_FAULTS: u32 = 100;

/// Puts `word` into every private, read-only mapping of a page of a file. Returns how many have it.
#[inline(never)]
pub(crate) fn uprobe_register(m: &Machine, file: &Arc<Inode>, index: u64, word: u64) -> u64 {
    let _scope = sched::scope("uprobe_register");
    let _dup = m.dup_mmap_sem.write();
    let found = build_map_info(m, file, index);
    found.iter().filter(|(mm, addr)| install_breakpoint(m, mm, (file, index), *addr, word)).count() as u64
}

/// Returns the processes that have the page mapped as code, and where.
#[inline(never)]
fn build_map_info(m: &Machine, file: &Arc<Inode>, index: u64) -> Vec<(Arc<Mm>, u64)> {
    let mut room = NOWAIT;
    loop {
        let found: Vec<_> = {
            let _i_mmap = file.mapping.i_mmap_rwsem.read();
            let vmas = file.mapping.i_mmap.lock().overlapping(index..index + 1);
            let place = |vma: Arc<Vma>| {
                let mm = vma.mm.upgrade().filter(|mm| mm.users.load(Relaxed) > 0)?;
                is_code(&vma).then(|| (mm, vma.addrs_of(&(index..index + 1)).start))
            };
            vmas.into_iter().filter_map(place).collect()
        };
        if found.len() <= room {
            return found;
        }
        room = found.len();
        m.might_reclaim();
    }
}

/// Returns whether a mapping may have breakpoints (the kernel's `valid_vma`).
fn is_code(vma: &Vma) -> bool {
    let flags = vma.flags();
    flags.read && !flags.write && !flags.shared && !vma.is_hugetlb()
}

fn install_breakpoint(m: &Machine, mm: &Arc<Mm>, page: (&Arc<Inode>, u64), addr: u64, word: u64) -> bool {
    let holds = m.dup_mmap_sem.is_mine_to_write();
    sched::must_hold(holds, || format!("process {} gets a breakpoint without dup_mmap_sem", mm.id));
    let _mmap = mm.mmap_write_lock();
    if mm.users.load(Relaxed) <= 0 {
        return false;
    }
    // It may have been unmapped since, or something else is there.
    let (file, index) = page;
    let is_page = |vma: &Arc<Vma>| {
        vma.file.as_ref().is_some_and(|other| other.id == file.id) && is_code(vma) && vma.pgoff_of(addr) == index
    };
    let Some(vma) = mm.find(addr).filter(is_page) else { return false };
    vma.vma_start_write(mm);
    uprobe_write_opcode(m, mm, &vma, addr, word)
}

/// Gives the process a page of its own with `word` in it.
#[inline(never)]
fn uprobe_write_opcode(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, addr: u64, word: u64) -> bool {
    let foll = gup::Foll { write: false, pin: false };
    for _ in 0..MAX_FAULTS {
        split_huge_page(m, mm, vma, addr);
        if let Some(old) = gup::follow_page(m, mm, vma, addr, foll) {
            let replaced = replace_page(m, mm, vma, addr, &old.folio, old.pfn, word);
            gup::put_user_page(m, old);
            match replaced {
                Some(true) => return true,
                Some(false) => {}
                None => return false,
            }
        }
        if fault::read_fault(m, mm, vma, addr).is_err() {
            return false;
        }
    }
    false
}

/// Takes apart the huge page that maps the code; from then on the range has a table, and stays out of huge pages.
fn split_huge_page(m: &Machine, mm: &Mm, vma: &Vma, addr: u64) {
    if let Some(pmd) = mm.slot(m, addr, Level::Pmd).filter(|pmd| pmd.load().is_page()) {
        huge_pmd::split_huge_pmd(m, mm, vma, addr);
        let _without = mm.pte_alloc(m, &pmd);
    }
}

/// Puts a copy in the place of `old`. Returns whether it was still there; `None` if there is no copy to be had.
#[inline(never)]
fn replace_page(
    m: &Machine,
    mm: &Arc<Mm>,
    vma: &Arc<Vma>,
    addr: u64,
    old: &Arc<Folio>,
    pfn: u64,
    word: u64,
) -> Option<bool> {
    let pmd = mm.pmd_alloc(m, addr).ok()?;
    let fault = VmFault::new(m, mm, vma, addr, pmd);
    anon_vma::vmf_anon_prepare(m, &fault).ok()?;
    let copy = anon_fault::alloc_anon_folio(&fault).ok()?;
    copy.write(copy.pfn, word);
    let replaced = {
        let _locked = old.lock.lock();
        old.check_locked("replaced by one with a breakpoint");
        let _told = mmu_notifier::invalidate_range_start(m, mm, &(addr..addr + PAGE_SIZE));
        let map = fault.map_pte();
        let is_there = |entry: Entry| entry.is_accessible() && entry.as_page() == Some(pfn);
        match map.filter(|map| is_there(map.slot(addr).load()) && !is_pinned(old)) {
            None => false,
            Some(map) => {
                map.slot(addr).store(Entry::NONE);
                m.tlb.flush(mm.id, addr / PAGE_SIZE..addr / PAGE_SIZE + 1);
                m.model.poke(mm.id, addr / PAGE_SIZE, word);
                mm.rss.fetch_sub(1, Relaxed);
                anon_fault::set_anon_pte(&fault, &map, &copy);
                old.unmap();
                m.put_folio(old, 1);
                m.stats.breakpoints.add(1);
                true
            }
        }
    };
    m.put_folio(&copy, 1);
    Some(replaced)
}

/// Somebody writes to the page behind the page tables: it must stay.
fn is_pinned(folio: &Folio) -> bool {
    folio.kind == FolioKind::Anon && folio.is_pinned()
}
