//! What the system calls of a userfaultfd hold: the VMA, from 6.9 on, or the mmap lock before.
//!
//! Lock order: `vma_lock (read, trylock under RCU)`; where that fails, or the VMA has no anon_vma yet,
//! `mmap_lock (read) -> vma_lock (read, waits)`, which is safe because a writer of the VMA needs the mmap lock, and the
//! mmap lock is dropped again. For two VMAs: the second one is only tried while the first one is held, because its writer
//! may wait for the first; if that fails, the first one is dropped and both are taken under the mmap lock, the second one
//! nested.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, Vma, VmaReadGuard},
    op::anon_vma,
    protocol::UserfaultLocks,
    sync::ReadGuard,
};

/// VMAs that stay as they are.
#[must_use]
pub(super) struct Locked {
    pub(super) dst: Arc<Vma>,
    pub(super) src: Arc<Vma>,
    _vmas: Vec<VmaReadGuard>,
    _mmap: Option<ReadGuard>,
}

/// Keeps the VMA of `addr` in place. `None` if nothing is mapped there.
#[inline(never)]
pub(super) fn uffd_mfill_lock(m: &Machine, mm: &Arc<Mm>, addr: u64) -> Option<Locked> {
    if m.protocol.userfault < UserfaultLocks::Ioctls {
        return under_mmap_lock(m, mm, addr, addr);
    }
    let guard = uffd_lock_vma(m, mm, addr, 0)?;
    let vma = guard.vma.clone();
    Some(Locked { dst: vma.clone(), src: vma, _vmas: vec![guard], _mmap: None })
}

/// Keeps the VMAs of two addresses in place.
#[inline(never)]
pub(super) fn uffd_move_lock(m: &Machine, mm: &Arc<Mm>, dst: u64, src: u64) -> Option<Locked> {
    if m.protocol.userfault < UserfaultLocks::Ioctls {
        return under_mmap_lock(m, mm, dst, src);
    }
    let first = uffd_lock_vma(m, mm, dst, 0)?;
    if first.vma.range().contains(&src) {
        let vma = first.vma.clone();
        return Some(Locked { dst: vma.clone(), src: vma, _vmas: vec![first], _mmap: None });
    }
    if m.protocol.has(Bug::MoveWaitsForMmapLock) {
        let second = uffd_lock_vma(m, mm, src, 1)?;
        let (dst, src) = (first.vma.clone(), second.vma.clone());
        return Some(Locked { dst, src, _vmas: vec![second, first], _mmap: None });
    }
    if let Some(second) = lock_vma_under_rcu(m, mm, src) {
        let (dst, src) = (first.vma.clone(), second.vma.clone());
        return Some(Locked { dst, src, _vmas: vec![second, first], _mmap: None });
    }
    drop(first);
    let _mmap = mm.mmap_lock.read();
    let (dst, src) = find_both(m, mm, dst, src)?;
    let first = dst.start_read_locked(mm, 0);
    let level = if m.protocol.has(Bug::MoveLocksNotNested) { 0 } else { 1 };
    let second = (!Arc::ptr_eq(&dst, &src)).then(|| src.start_read_locked(mm, level));
    let vmas = second.into_iter().chain([first]).collect();
    Some(Locked { dst, src, _vmas: vmas, _mmap: None })
}

fn under_mmap_lock(m: &Machine, mm: &Arc<Mm>, dst: u64, src: u64) -> Option<Locked> {
    let mmap = mm.mmap_lock.read();
    let (dst, src) = find_both(m, mm, dst, src)?;
    Some(Locked { dst, src, _vmas: Vec::new(), _mmap: Some(mmap) })
}

/// Finds two VMAs under the mmap lock, and sees to it that the first one has an anon_vma if it needs one.
fn find_both(m: &Machine, mm: &Mm, dst: u64, src: u64) -> Option<(Arc<Vma>, Arc<Vma>)> {
    let (dst, src) = (mm.find(dst)?, mm.find(src)?);
    if !is_ready(&dst) {
        anon_vma::anon_vma_prepare(m, mm, &dst);
    }
    Some((dst, src))
}

/// Returns whether it needs no anon_vma, or has one.
fn is_ready(vma: &Vma) -> bool {
    vma.flags().shared || vma.anon_vma.lock().is_some()
}

/// Read-locks the VMA of an address, which has an anon_vma then. `level` is 1 if another one is read-locked already.
#[inline(never)]
fn uffd_lock_vma(m: &Machine, mm: &Arc<Mm>, addr: u64, level: u8) -> Option<VmaReadGuard> {
    if let Some(locked) = lock_vma_under_rcu(m, mm, addr)
        && is_ready(&locked.vma)
    {
        return Some(locked);
    }
    let _mmap = mm.mmap_lock.read();
    let (vma, _) = find_both(m, mm, addr, addr)?;
    Some(vma.start_read_locked(mm, level))
}

/// Tries to read-lock the VMA of an address.
#[inline(never)]
fn lock_vma_under_rcu(m: &Machine, mm: &Arc<Mm>, addr: u64) -> Option<VmaReadGuard> {
    let _rcu = m.rcu.read();
    let locked = mm.find(addr)?.start_read(mm)?;
    let is_there = !locked.vma.detached.load(Relaxed) && locked.vma.range().contains(&addr);
    is_there.then_some(locked)
}
