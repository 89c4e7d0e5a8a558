//! `UFFDIO_COPY` on hugetlbfs: user code brings a huge page in.
//!
//! Lock order: under the VMA lock and `map_changing_lock (read)` as in a page fault, `-> hugetlb_fault_mutex -> hugetlb vma_lock
//! (read) -> ... -> folio_lock(hugetlb) -> pmd_lock`.

use std::sync::Arc;

use super::{
    reserve::{self, For},
    share,
    vm_fault::HugetlbFault,
};
use crate::{
    machine::Machine,
    mem::{Absent, Folio, HUGE_PAGES, Mm, PAGE_SIZE, Slot, Userfaultfd, Vma},
    op::userfaultfd::fill::Filled,
    sched,
};

/// Maps a new huge page whose first word is `word`, where nothing is mapped or cached.
#[inline(never)]
pub(crate) fn hugetlb_mfill_atomic(
    m: &Machine,
    mm: &Arc<Mm>,
    ctx: &Userfaultfd,
    vma: &Arc<Vma>,
    addr: u64,
    word: u64,
) -> Filled {
    let _scope = sched::scope("hugetlb_mfill_atomic");
    let Some(file) = &vma.file else { return Filled::No };
    let fault = HugetlbFault::new(m, mm, vma, file, addr);
    let _serial = fault.lock();
    let Ok(slot) = share::huge_pte_alloc(m, mm, vma, fault.addr) else { return Filled::Again };
    if !is_free(&slot) || file.mapping.peek(fault.index()).is_some() {
        return Filled::Exists;
    }
    let Ok((folio, locked)) = fault.new_page() else { return Filled::Again };
    let shared = vma.flags().shared;
    let filled = {
        let _pmd_lock = slot.table.lock.lock();
        if is_free(&slot) {
            ctx.check_fill(addr);
            fill(&fault, &folio, word, shared);
            fault.set_entry(&slot, &folio, vma.flags().write);
            Filled::Done
        } else {
            Filled::Exists
        }
    };
    if filled == Filled::Exists && !shared {
        reserve::restore_reserve_on_error(file, For::Vma(vma), fault.huge_index(), &folio);
    }
    fault.unlock(Some((folio, locked)));
    filled
}

/// Returns whether no page is there; user code may want to be told of writes.
fn is_free(slot: &Slot) -> bool {
    let entry = slot.load();
    entry.is_none() || entry.as_absent() == Some(Absent::Marker)
}

fn fill(fault: &HugetlbFault<'_>, folio: &Folio, word: u64, shared: bool) {
    let (m, page) = (fault.m, fault.addr / PAGE_SIZE);
    folio.write(folio.pfn, word);
    if shared {
        m.model.fill_file(fault.file.id, fault.index(), word);
        return;
    }
    fault.add_anon_rmap(folio);
    (page..page + HUGE_PAGES).for_each(|page| m.model.privatise(fault.mm.id, page, 0));
    m.model.fill(fault.mm.id, page, word);
}
