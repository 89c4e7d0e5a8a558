//! `UFFDIO_COPY` and `UFFDIO_ZEROPAGE`: user code brings a page in.
//!
//! Lock order: `vma_lock (read) -> map_changing_lock (read) -> fs_reclaim` for the folio and the table, `-> pte_lock` to map
//! it (6.1: under `mmap_lock (read)` instead). What is copied comes from user memory: if that is not there, everything is
//! dropped before it is faulted in.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::lock::uffd_mfill_lock;
use crate::{
    machine::Machine,
    mem::{Entry, Folio, FolioKind, Mm, PAGE_SIZE, Place, Userfaultfd, Vma},
    op::{Signal, access, anon_fault, hugetlb},
    sched,
};

/// What a page is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Zeros,
    /// The page at this address of the process.
    User(u64),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The page is there.
    Done,
    /// There was a page already.
    Exists,
    /// Mappings are being changed, or there is no memory: try again.
    Again,
    /// Nothing that is registered is mapped there, or the source could not be read.
    No,
}

/// Fills the page at `addr`, and wakes who waits for it; nobody if it does not fill it.
#[inline(never)]
pub(crate) fn mfill_atomic(m: &Machine, mm: &Arc<Mm>, ctx: &Arc<Userfaultfd>, addr: u64, source: Source) -> Filled {
    let _scope = sched::scope("mfill_atomic");
    let mut word = (source == Source::Zeros).then_some(0);
    let filled = loop {
        match mfill_once(m, mm, ctx, addr, source, word) {
            Ok(filled) => break filled,
            // With all locks dropped the source may be faulted in.
            Err(source) => match access::load(m, mm, source) {
                Ok(read) => word = Some(read),
                Err(Signal::OutOfMemory) => break Filled::Again,
                Err(_) => break Filled::No,
            },
        }
    };
    if filled == Filled::Done {
        ctx.wake(&(addr..addr + PAGE_SIZE));
    }
    filled
}

/// One attempt. An address that has to be faulted in first is an error.
fn mfill_once(
    m: &Machine,
    mm: &Arc<Mm>,
    ctx: &Arc<Userfaultfd>,
    addr: u64,
    source: Source,
    word: Option<u64>,
) -> Result<Filled, u64> {
    let Some(locked) = uffd_mfill_lock(m, mm, addr) else { return Ok(Filled::No) };
    let _changing = ctx.map_changing_lock.read();
    if ctx.is_changing() {
        return Ok(Filled::Again);
    }
    let is_ours = locked.dst.uffd().is_some_and(|other| Arc::ptr_eq(&other, ctx));
    if !is_ours || !locked.dst.flags().uffd_missing {
        return Ok(Filled::No);
    }
    if locked.dst.is_hugetlb() {
        let word = word.or_else(|| match source {
            Source::User(from) => access::load_without_fault(m, mm, from),
            Source::Zeros => Some(0),
        });
        return match (word, source) {
            (Some(word), _) => Ok(hugetlb::mfill::hugetlb_mfill_atomic(m, mm, ctx, &locked.dst, addr, word)),
            (None, Source::User(from)) => Err(from),
            (None, Source::Zeros) => Ok(Filled::Again),
        };
    }
    let Ok(folio) = m.alloc_folio_on(anon_fault::policy_node(&locked.dst), FolioKind::Anon, 1) else {
        return Ok(Filled::Again);
    };
    let word = match (word, source) {
        (Some(word), _) => Some(word),
        (None, Source::User(from)) => access::load_without_fault(m, mm, from),
        (None, Source::Zeros) => Some(0),
    };
    let result = match (word, source) {
        (Some(word), _) => {
            folio.write(folio.pfn, word);
            Ok(mfill_pte(m, mm, ctx, &locked.dst, addr, &folio))
        }
        (None, Source::User(from)) => Err(from),
        (None, Source::Zeros) => Ok(Filled::Again),
    };
    m.put_folio(&folio, 1);
    result
}

/// Maps the folio where nothing is mapped.
#[inline(never)]
fn mfill_pte(m: &Machine, mm: &Arc<Mm>, ctx: &Userfaultfd, vma: &Arc<Vma>, addr: u64, folio: &Arc<Folio>) -> Filled {
    let Ok(pmd) = mm.pmd_alloc(m, addr) else { return Filled::Again };
    if pmd.load().is_page() {
        return Filled::Exists;
    }
    if mm.pte_alloc(m, &pmd).is_err() {
        return Filled::Again;
    }
    let Some(map) = mm.pte_offset_map_lock(m, vma, &pmd, 0) else { return Filled::Again };
    let slot = map.slot(addr);
    if !slot.load().is_none() {
        return Filled::Exists;
    }
    mm.check_install(vma);
    vma.check_node(folio);
    ctx.check_fill(addr);
    folio.set_place(vma.anon_vma.lock().clone().map(|anon_vma| Place::Anon(anon_vma, vma.pgoff_of(addr))));
    folio.map();
    m.lru.add(folio);
    m.model.fill(mm.id, addr / PAGE_SIZE, folio.read(folio.pfn));
    slot.store(Entry::page(folio.pfn).writable(vma.flags().write).dirty());
    mm.rss.fetch_add(1, Relaxed);
    Filled::Done
}
