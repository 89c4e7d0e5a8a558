//! `MADV_COLLAPSE`: a range gets huge pages at once, whatever khugepaged thinks of it.
//!
//! Lock order: `mmap_lock (read) -> pte_lock` to find the ranges; what makes the huge pages takes its own locks, from none.

use std::{ops::Range, sync::Arc};

use super::walk_vmas;
use crate::{
    machine::Machine,
    mem::{HUGE_PAGES, Inode, Mm, PMD_SIZE},
    op::{
        collapse::{Collapsed, collapse_file},
        collapse_pte_mapped::collapse_pte_mapped_thp,
        retract::Target,
        thp::{
            self,
            scan::{Asker, Found, scan_pmd},
        },
    },
};

/// What is to become a huge page.
enum Candidate {
    Anon(Found),
    File(Arc<Inode>, u64, u64),
}

/// Collapses what can be collapsed.
#[inline(never)]
pub(super) fn collapse(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> bool {
    let mut found = Vec::new();
    let whole = {
        let _mmap = mm.mmap_lock.read();
        walk_vmas(mm, range, |vma, part| {
            for addr in (part.start.next_multiple_of(PMD_SIZE)..part.end).step_by(PMD_SIZE as usize) {
                match &vma.file {
                    _ if addr + PMD_SIZE > part.end || vma.is_hugetlb() => {}
                    None => found.extend(scan_pmd(m, mm, vma, addr, Asker::Madvise).map(Candidate::Anon)),
                    Some(file) => found.push(Candidate::File(file.clone(), vma.pgoff_of(addr), addr)),
                }
            }
        })
    };
    for candidate in found {
        // What cannot be had is not had.
        let _made = match candidate {
            Candidate::Anon(found) => thp::collapse::collapse_huge_page(m, mm, &found),
            Candidate::File(file, index, addr) => collapse_mapped(m, mm, (&file, index), addr),
        };
    }
    whole
}

/// Collapses a range of a file, and maps it with one entry. There may be a huge folio already; what the process maps page by
/// page goes then.
fn collapse_mapped(m: &Machine, mm: &Arc<Mm>, (file, index): (&Arc<Inode>, u64), addr: u64) -> bool {
    if !index.is_multiple_of(HUGE_PAGES) {
        return false;
    }
    match collapse_file(m, file, index, Some(Target { mm: mm.id, addr })) {
        Collapsed::Mapped => true,
        Collapsed::Yes | Collapsed::No => collapse_pte_mapped_thp(m, mm, addr, true),
    }
}
