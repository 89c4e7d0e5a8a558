//! Compressing what would be swapped out.
//!
//! Lock order: `fs_reclaim -> acomp_ctx->mutex` to compress, in reclaim. So a processor's buffers must be allocated before
//! the mutex is taken, when the processor comes: C7, [`Bug::ZswapAllocatesUnderMutex`].

use std::sync::atomic::Ordering::Relaxed;

use crate::{Bug, machine::Machine, mem::FolioKind, sched};

/// Compresses a page that is being swapped out. The device gets it all the same.
#[inline(never)]
pub(crate) fn zswap_store(m: &Machine) {
    if m.neighbours.zswap.is_on.load(Relaxed) {
        let _scope = sched::scope("zswap_store");
        let _mutex = m.neighbours.zswap.mutex.write();
        sched::step();
    }
}

/// A processor comes, and gets a compressor.
#[inline(never)]
pub(crate) fn zswap_cpu_comp_prepare(m: &Machine) {
    let _scope = sched::scope("zswap_cpu_comp_prepare");
    let early = (!m.protocol.has(Bug::ZswapAllocatesUnderMutex)).then(|| m.alloc_folio(FolioKind::Anon, 1));
    let buffer = {
        let _mutex = m.neighbours.zswap.mutex.write();
        early.unwrap_or_else(|| m.alloc_folio(FolioKind::Anon, 1))
    };
    if let Ok(buffer) = buffer {
        m.put_folio(&buffer, 1);
    }
}
