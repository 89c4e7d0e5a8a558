//! `vma_prepare` and `vma_complete`: VMAs leave the interval trees that they are sorted into by their borders, and come back.
//!
//! Lock order: `mmap_lock (write), vma_lock (marks) -> i_mmap_rwsem (write) -> anon_vma->rwsem (write)`. One file and one
//! family of anonymous mappings: whoever's borders change together shares both. Nothing is allocated under the two.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    mem::{AnonVma, SequenceGuard, Vma},
    protocol::VmaSequence,
    sync::WriteGuard,
};

/// VMAs that are in no interval tree, with the locks of the trees.
#[must_use]
pub(crate) struct Prepared {
    vmas: Vec<Arc<Vma>>,
    _late: Option<SequenceGuard>,
    _anon_vma: Option<WriteGuard>,
    _i_mmap: Option<WriteGuard>,
    _early: Option<SequenceGuard>,
}

/// Locks the reverse maps of a VMA, and takes it out of them, and `adjacent` too if its borders change as well.
#[inline(never)]
pub(crate) fn vma_prepare(vma: &Arc<Vma>, adjacent: Option<&Arc<Vma>>) -> Prepared {
    let vmas: Vec<_> = [Some(vma), adjacent].into_iter().flatten().cloned().collect();
    let early = vma.write_sequence(vma.vma_sequence() == VmaSequence::BeforeImap);
    let i_mmap = vma.file.as_ref().map(|file| file.mapping.i_mmap_rwsem.write());
    let family = vmas.iter().find_map(|vma| vma.anon_vma_chain.lock().first().cloned());
    let anon_vma = family.map(|anon_vma| anon_vma.rwsem().write());
    let late = vma.write_sequence(vma.vma_sequence() == VmaSequence::AfterImap);
    for vma in &vmas {
        each_tree(vma, |anon_vma| {
            anon_vma.vmas.lock().remove(vma);
        });
        if let Some(file) = vma.file.as_ref().filter(|_| vma.is_file_linked.load(Relaxed)) {
            file.mapping.i_mmap.lock().remove(vma);
        }
    }
    Prepared { vmas, _late: late, _anon_vma: anon_vma, _i_mmap: i_mmap, _early: early }
}

impl Prepared {
    /// Puts a new VMA into the interval tree of its file.
    pub(crate) fn link_file(&self, vma: &Arc<Vma>) {
        if let Some(file) = &vma.file {
            file.mapping.i_mmap.lock().insert(vma);
            vma.is_file_linked.store(true, Relaxed);
        }
    }

    /// Takes a VMA that another one swallows out of the interval tree of its file.
    pub(crate) fn unlink_file(&self, vma: &Vma) {
        if let Some(file) = &vma.file {
            file.mapping.i_mmap.lock().remove(vma);
            vma.is_file_linked.store(false, Relaxed);
        }
    }

    /// Puts the VMAs back, with their new borders, and unlocks (`vma_complete`).
    pub(crate) fn complete(self) {
        for vma in &self.vmas {
            each_tree(vma, |anon_vma| anon_vma.vmas.lock().insert(vma));
            if let Some(file) = vma.file.as_ref().filter(|_| vma.is_file_linked.load(Relaxed)) {
                file.mapping.i_mmap.lock().insert(vma);
            }
        }
    }
}

fn each_tree(vma: &Vma, change: impl Fn(&AnonVma)) {
    vma.anon_vma_chain.lock().iter().for_each(|anon_vma| change(anon_vma));
}
