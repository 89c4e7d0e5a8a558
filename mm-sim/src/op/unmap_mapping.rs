//! Unmapping a range of a file wherever it is mapped.
//!
//! Lock order: `i_mmap_rwsem (read)`, and for each VMA what `zap` takes.

use std::ops::Range;

use super::{gather::Gather, zap};
use crate::{
    machine::Machine,
    mem::{AddressSpace, FolioKind},
    protocol::VmaSequence,
};

/// Unmaps a range of a file wherever it is mapped; with `even_cows` the private copies too.
#[inline(never)]
pub(crate) fn unmap_mapping_pages(m: &Machine, mapping: &AddressSpace, pages: Range<u64>, even_cows: bool) {
    let _i_mmap = mapping.i_mmap_rwsem.read();
    let vmas = mapping.i_mmap.lock().overlapping(pages.clone());
    let mut gather = Gather::default();
    for vma in vmas {
        if let Some(mm) = vma.mm.upgrade() {
            let addrs = vma.addrs_of(&pages);
            let _sequence = vma.write_sequence(mm.protocol.vma_sequence != VmaSequence::None);
            if even_cows {
                zap::unmap_single_vma(m, &mm, &vma, addrs, &mut gather);
            } else {
                gather.zap(m, &mm, &vma, addrs, &|folio| matches!(folio.kind, FolioKind::File | FolioKind::Shmem));
            }
        }
    }
    gather.finish(m);
}
