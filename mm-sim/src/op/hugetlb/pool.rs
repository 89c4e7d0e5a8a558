//! The size of the pool of huge pages (`nr_hugepages`).
//!
//! Lock order: `-> fs_reclaim` for the pages, without a lock, then `hugetlb_lock`.

use crate::{machine::Machine, mem::HUGE_PAGES, sched};

/// Makes the pool `count` huge pages large, as far as there is memory, or as far as the pages are free and not promised.
/// Returns its size.
#[inline(never)]
pub(crate) fn set_max_huge_pages(m: &Machine, count: u64) -> u64 {
    let _scope = sched::scope("set_max_huge_pages");
    let size = m.hugetlb.counts().total;
    if count > size {
        let taken = (size..count).take_while(|_| m.alloc_pages(HUGE_PAGES).is_ok()).count() as u64;
        m.hugetlb.grow(taken);
    } else {
        let given = m.hugetlb.shrink(size - count);
        m.memory.give(given * HUGE_PAGES);
    }
    m.hugetlb.counts().total
}
