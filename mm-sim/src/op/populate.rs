//! `mm_populate`: the pages of a new or locked mapping are faulted in at once.
//!
//! Lock order: with the mmap lock of who has made or locked the mapping dropped, `mmap_lock (read)` again, page by page, as
//! `get_user_pages` does: `-> pte_lock` to look, and a page fault under the mmap lock where nothing is there.

use std::{ops::Range, sync::Arc};

use super::{Signal, gup, mmap};
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE},
    sched,
};

/// `mmap` with `MAP_POPULATE`: maps, and faults the pages in. Who cannot have them all has the mapping all the same.
#[inline(never)]
pub(crate) fn mmap_populate(m: &Machine, mm: &Arc<Mm>, request: mmap::Request) -> Option<u64> {
    let _scope = sched::scope("mmap_populate");
    let pages = request.pages;
    let addr = mmap::mmap(m, mm, request)?;
    let _incomplete = mm_populate(m, mm, addr..addr + pages * PAGE_SIZE, false);
    Some(addr)
}

/// Faults in what is missing of a range, or of the locked mappings in it only.
#[inline(never)]
pub(crate) fn mm_populate(m: &Machine, mm: &Arc<Mm>, range: Range<u64>, locked_only: bool) -> Result<(), Signal> {
    let _scope = sched::scope("mm_populate");
    let find = |addr: u64| {
        let _mmap = mm.mmap_lock.read();
        mm.find_from(addr).map(|vma| (vma.range(), vma.flags()))
    };
    let mut addr = range.start;
    while let Some((found, flags)) = find(addr).filter(|(found, _)| found.start < range.end) {
        let wanted = flags.read && !flags.hugetlb && (flags.locked || !locked_only);
        // Who may write gets pages of its own at once.
        let foll = gup::Foll { write: flags.write && !flags.shared, pin: false };
        for addr in (found.start.max(addr)..found.end.min(range.end)).step_by(PAGE_SIZE as usize) {
            if wanted {
                let page = gup::get_user_page(m, mm, addr, foll)?;
                m.put_folio(&page.folio, 1);
                m.stats.populated.add(1);
            }
        }
        addr = found.end;
    }
    Ok(())
}
