//! `mmap`: a new VMA, or more of the one beside it.
//!
//! Lock order: `mmap_lock (write)`, and then `vma_expand` if a neighbour is of the same sort, or `-> fs_reclaim`,
//! then what the file system's own `mmap` takes (hugetlbfs: `-> i_rwsem`), and `-> vma_lock (mark) -> i_mmap_rwsem (write)`.
//! The protocols differ in the mark: never, before i_mmap, or (for six days) under it.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{hugetlb, ima, vma::merge};
use crate::{
    machine::Machine,
    mem::{Inode, Mm, PAGE_SIZE, PMD_SIZE, PUD_SIZE, VmFlags, Vma},
    model::{Access, Backing},
    protocol::MmapMark,
    sched,
};

/// Where the first mapping of a process goes.
const MMAP_BASE: u64 = 0x7f00_0000_0000;

/// What is to be mapped.
pub(crate) struct Request {
    /// The first address, or `None` for any free place (2 MiB aligned).
    pub(crate) addr: Option<u64>,
    pub(crate) pages: u64,
    pub(crate) flags: VmFlags,
    /// The file and the offset in it, in pages.
    pub(crate) file: Option<(Arc<Inode>, u64)>,
}

/// Maps. Returns the address, or `None` if something is mapped there already, or the pool cannot promise the huge pages.
#[inline(never)]
pub(crate) fn mmap(m: &Machine, mm: &Arc<Mm>, request: Request) -> Option<u64> {
    let _scope = sched::scope("mmap");
    if let Some((file, _)) = &request.file {
        ima::security_mmap_file(m, file);
    }
    let locked = mm.mmap_write_lock();
    let is_hugetlb = request.file.as_ref().is_some_and(|(file, _)| file.hugetlb.is_some());
    let free = || match is_hugetlb {
        true => get_unmapped_area_hugetlb(mm, request.pages * PAGE_SIZE),
        false => get_unmapped_area(mm),
    };
    let addr = request.addr.unwrap_or_else(free);
    let mapped = do_mmap(m, mm, addr, request);
    drop(locked);
    mapped
}

/// Maps at a fixed address, for a caller who has the mmap lock in write mode.
pub(crate) fn do_mmap(m: &Machine, mm: &Arc<Mm>, addr: u64, request: Request) -> Option<u64> {
    let range = addr..addr + request.pages * PAGE_SIZE;
    if !mm.find_all(&range).is_empty() {
        return None;
    }
    let pages = range.start / PAGE_SIZE..range.end / PAGE_SIZE;
    m.model.map(mm.id, pages.clone(), backing(&request), access_of(request.flags));
    let locked = if request.flags.locked { request.pages as i64 } else { 0 };
    if !mmap_region(m, mm, &range, request) {
        m.model.unmap(mm.id, pages);
        return None;
    }
    mm.account_locked(locked);
    m.model.settle(mm.id, pages);
    Some(addr)
}

pub(crate) fn get_unmapped_area(mm: &Mm) -> u64 {
    let end = mm.all().last().map_or(MMAP_BASE, |vma| vma.range().end.max(MMAP_BASE));
    // One table is left free, so that mappings do not share their page tables.
    (end + PMD_SIZE).next_multiple_of(PMD_SIZE)
}

/// Returns a free place for a mapping of huge pages: one that has a 1 GiB begins at one, so that its tables can be shared.
pub(crate) fn get_unmapped_area_hugetlb(mm: &Mm, len: u64) -> u64 {
    let align = if len >= PUD_SIZE { PUD_SIZE } else { PMD_SIZE };
    get_unmapped_area(mm).next_multiple_of(align)
}

/// What the model is told of flags.
pub(crate) const fn access_of(flags: VmFlags) -> Access {
    Access { read: flags.read, write: flags.write }
}

fn backing(request: &Request) -> Backing {
    match &request.file {
        None => Backing::Anon,
        Some((file, index)) if file.hugetlb.is_some() => {
            Backing::Hugetlb { file: file.id, index: *index, shared: request.flags.shared }
        }
        Some((file, index)) => Backing::File { file: file.id, index: *index, shared: request.flags.shared },
    }
}

#[inline(never)]
fn mmap_region(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>, request: Request) -> bool {
    let (file, pgoff) = request.file.map_or((None, range.start / PAGE_SIZE), |(file, pgoff)| (Some(file), pgoff));
    if merge::vma_expand(m, mm, range, pgoff, request.flags, file.as_ref()).is_some() {
        return true;
    }
    m.might_reclaim(); // vm_area_alloc()
    let vma = Vma::new(m.new_id(), mm, range.clone(), pgoff, request.flags, file);
    if vma.is_hugetlb() && !hugetlb::mmap::hugetlbfs_file_mmap(m, mm, &vma) {
        return false;
    }
    if mm.protocol.mmap_mark == MmapMark::BeforeImap {
        vma.vma_start_write(mm);
    }
    vma_link(mm, &vma);
    true
}

#[inline(never)]
fn vma_link(mm: &Arc<Mm>, vma: &Arc<Vma>) {
    let Some(file) = &vma.file else { return mm.insert(vma) };
    let _i_mmap = file.mapping.i_mmap_rwsem.write();
    if mm.protocol.mmap_mark == MmapMark::UnderImap {
        vma.vma_start_write(mm);
    }
    if mm.protocol.mmap_mark != MmapMark::Never {
        vma.check_write_locked("is published");
    }
    mm.insert(vma);
    file.mapping.i_mmap.lock().insert(vma);
    vma.is_file_linked.store(true, Relaxed);
}
