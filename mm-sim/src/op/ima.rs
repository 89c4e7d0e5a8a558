//! The security module that measures files before they are mapped (IMA, the kernel's integrity measurement).
//!
//! Lock order: `i_rwsem (write) -> fs_reclaim`, `-> folio_lock(file)`: it reads the file under the inode lock. So nobody may
//! ask it under the mmap lock, which `write` takes under the inode lock.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::filemap;
use crate::{machine::Machine, mem::Inode, sched};

/// Asks whether a file may be mapped, which measures it once if that is wanted (`security_mmap_file`).
#[inline(never)]
pub(crate) fn security_mmap_file(m: &Machine, file: &Arc<Inode>) {
    if file.is_measured.load(Relaxed) {
        process_measurement(m, file);
    }
}

#[inline(never)]
fn process_measurement(m: &Machine, file: &Arc<Inode>) {
    let _scope = sched::scope("process_measurement");
    let _i_rwsem = file.i_rwsem.write();
    let digest = (0..file.size().min(4)).fold(0, |digest: u64, index| {
        let page = filemap::filemap_fault(m, file, index, |signal| signal).map(|cached| {
            let word = cached.folio.read(cached.pfn);
            drop(cached.locked);
            m.put_folio(&cached.folio, 1);
            word
        });
        digest.rotate_left(7) ^ page.unwrap_or(0)
    });
    file.set_digest(digest);
}
