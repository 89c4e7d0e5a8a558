//! [`VmFault`]: a page fault on its way through the handlers, and what a handler did ([`Outcome`]).

use std::{cell::RefCell, sync::Arc};

use super::{Signal, bus, walk::PteMap};
use crate::{
    machine::Machine,
    mem::{Mm, OutOfMemory, PageTable, Slot, Vma},
};

/// What a handler did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The entry is there, or something changed: look again.
    Done,
    /// It cannot be done under the VMA lock.
    Retry,
    /// User code has to bring the page: wait for that, without any lock.
    Userfault,
    /// It cannot be done.
    Fail(Signal),
}

impl From<OutOfMemory> for Outcome {
    fn from(_: OutOfMemory) -> Self {
        Self::Fail(Signal::OutOfMemory)
    }
}

/// A fault on its way through the handlers.
pub(crate) struct VmFault<'a> {
    pub(crate) m: &'a Machine,
    pub(crate) mm: &'a Arc<Mm>,
    pub(crate) vma: Arc<Vma>,
    /// The page's address.
    pub(crate) addr: u64,
    pub(crate) write: bool,
    pub(crate) under_vma_lock: bool,
    /// It is nobody's who needs the page: rather than wait for a folio it gives up.
    pub(crate) gives_up: bool,
    pub(crate) pmd: Slot,
    /// A table made before a folio was locked, for the case that it is needed.
    pub(crate) prealloc: RefCell<Option<Arc<PageTable>>>,
}

impl<'a> VmFault<'a> {
    /// A fault that reads, under the mmap lock.
    pub(crate) fn new(m: &'a Machine, mm: &'a Arc<Mm>, vma: &Arc<Vma>, addr: u64, pmd: Slot) -> Self {
        Self {
            m,
            mm,
            vma: vma.clone(),
            addr,
            write: false,
            under_vma_lock: false,
            gives_up: false,
            pmd,
            prealloc: RefCell::default(),
        }
    }

    /// Maps and locks the PTE table of the fault.
    pub(crate) fn map_pte(&self) -> Option<PteMap<'a>> {
        self.mm.pte_offset_map_lock(self.m, &self.vma, &self.pmd, 0)
    }

    /// Returns the page offset of the fault in its file, or in its anon_vma.
    pub(crate) fn pgoff(&self) -> u64 {
        self.vma.pgoff_of(self.addr)
    }

    /// Ends the fault with a signal.
    pub(crate) fn fail(&self, signal: Signal) -> Outcome {
        Outcome::Fail(bus::signal(self.m, self.mm, self.addr, self.write, signal))
    }
}

impl Drop for VmFault<'_> {
    fn drop(&mut self) {
        if let Some(unused) = self.prealloc.take() {
            self.m.free_table(&unused);
        }
    }
}
