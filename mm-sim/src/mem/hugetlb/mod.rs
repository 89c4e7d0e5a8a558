//! Hugetlbfs: files of huge pages from a pool that is set aside.
//!
//! * [`HugetlbPool`]: how many huge pages are free, and how many of those are promised to somebody.
//! * [`FaultMutexes`]: one page of a file is faulted in by one at a time.
//! * [`ResvMap`]: which pages of a file, or of a private mapping, are reserved.
//! * [`HugetlbVma`], [`HugetlbVmaGuard`]: what a VMA has besides, and the lock of its page tables.
//!
//! A page of a file is counted in small pages everywhere, as elsewhere; [`huge_index`] counts in huge ones.

mod fault_mutex;
mod pool;
mod resv_map;
mod vma_lock;

pub(crate) use fault_mutex::FaultMutexes;
pub(crate) use pool::HugetlbPool;
pub(crate) use resv_map::ResvMap;
pub(crate) use vma_lock::{HugetlbVma, HugetlbVmaGuard, Sema};

use super::HUGE_PAGES;

/// Returns which huge page of a file has this page.
pub(crate) const fn huge_index(index: u64) -> u64 {
    index / HUGE_PAGES
}
