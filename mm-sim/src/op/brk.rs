//! `brk`: the end of the heap moves.
//!
//! Lock order: `mmap_lock (write)`; to grow, `vma_expand` or a new VMA, as `mmap` does; to shrink, `munmap` with its
//! downgrade.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    mmap::{self, Request},
    munmap,
};
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE, VmFlags},
    sched,
};

/// Where heaps begin.
pub(crate) const HEAP_BASE: u64 = 0x5555_5555_0000;
/// Pages that a heap has at most.
const HEAP_LIMIT: u64 = 4096;

/// Sets the size of the heap, in pages. Returns whether it may be as large.
#[inline(never)]
pub(crate) fn brk(m: &Machine, mm: &Arc<Mm>, pages: u64) -> bool {
    let _scope = sched::scope("brk");
    let locked = mm.mmap_write_lock();
    if pages > HEAP_LIMIT {
        return false;
    }
    let old = mm.heap_pages.load(Relaxed);
    mm.set_heap_pages(pages);
    let address = |pages: u64| HEAP_BASE + pages * PAGE_SIZE;
    if pages < old {
        munmap::munmap_and_unlock(m, locked, address(pages)..address(old));
    } else if pages > old {
        do_brk_flags(m, mm, address(old), pages - old);
    }
    true
}

#[inline(never)]
fn do_brk_flags(m: &Machine, mm: &Arc<Mm>, addr: u64, pages: u64) {
    let request = Request { addr: Some(addr), pages, flags: VmFlags::READ_WRITE, file: None };
    mmap::do_mmap(m, mm, addr, request);
}
