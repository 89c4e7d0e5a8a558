//! `vma_modify`: new flags for a part of a VMA.
//!
//! Lock order: `split_vma` at the borders, `mmap_lock (write) -> vma_lock (mark)` for the flags, then `vma_merge`.

use std::{ops::Range, sync::Arc};

use super::{merge, split};
use crate::{
    machine::Machine,
    mem::{Mm, VmFlags, Vma},
};

/// Gives the part of a VMA that is in `range` new flags. Returns the VMA of that part.
#[inline(never)]
pub(crate) fn vma_modify_flags(
    m: &Machine,
    mm: &Arc<Mm>,
    vma: &Arc<Vma>,
    range: &Range<u64>,
    flags: VmFlags,
) -> Arc<Vma> {
    let part = cut_out(m, mm, vma, range);
    part.vma_start_write(mm);
    part.set_flags(flags);
    merge::vma_merge(m, mm, &part)
}

/// Makes a VMA of its own of the part of a VMA that is in `range`. Returns it.
pub(crate) fn cut_out(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, range: &Range<u64>) -> Arc<Vma> {
    let part = if vma.range().start < range.start { split::split_vma(m, mm, vma, range.start) } else { vma.clone() };
    if range.end < part.range().end {
        split::split_vma(m, mm, &part, range.end);
    }
    part
}
