//! The reverse map of anonymous memory: which VMAs may map a folio that was faulted in under this anon_vma.
//!
//! A fork gives the child an anon_vma of its own and links the child's VMA into all of the parent's, so that a folio
//! shared since before the fork finds both. One family has one lock, the root's.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Intervals;
use crate::{classes::ANON_VMA_RWSEM, sync::RwSem};

/// A family member of anonymous mappings.
pub(crate) struct AnonVma {
    root: Option<Arc<AnonVma>>,
    rwsem: RwSem,
    pub(crate) vmas: Mutex<Intervals>,
}

impl AnonVma {
    /// A new family.
    pub(crate) fn root(id: u64) -> Arc<Self> {
        let rwsem = RwSem::new(&ANON_VMA_RWSEM, ("anon_vma", id));
        let vmas = Mutex::new(Intervals::under(&rwsem));
        Arc::new(Self { root: None, rwsem, vmas })
    }

    /// A child in the family of `parent`.
    pub(crate) fn child(id: u64, parent: &Arc<Self>) -> Arc<Self> {
        let root = parent.root.as_ref().unwrap_or(parent).clone();
        let rwsem = RwSem::new(&ANON_VMA_RWSEM, ("anon_vma", id));
        let vmas = Mutex::new(Intervals::under(&root.rwsem));
        Arc::new(Self { root: Some(root), rwsem, vmas })
    }

    /// Returns the first of the family, whose tree has the VMAs of all.
    pub(crate) fn root_of(self: &Arc<Self>) -> Arc<Self> {
        self.root.as_ref().unwrap_or(self).clone()
    }

    /// Returns the lock of the family.
    pub(crate) fn rwsem(&self) -> &RwSem {
        &self.root.as_deref().unwrap_or(self).rwsem
    }
}
