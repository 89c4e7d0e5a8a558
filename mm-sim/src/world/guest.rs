//! A virtual machine on the memory of a process.

use std::sync::Arc;

use super::Process;
use crate::{
    mem::SecondaryMmu,
    op::{self, Signal},
};

/// A virtual machine on the memory of a process.
#[derive(Clone)]
pub struct Guest {
    process: Process,
    mmu: Arc<SecondaryMmu>,
}

impl Process {
    /// Makes a virtual machine whose memory is that of the process.
    pub fn create_guest(&self) -> Guest {
        let mmu = op::mmu_notifier::mmu_notifier_register(&self.machine, &self.mm);
        Guest { process: self.clone(), mmu }
    }
}

impl Guest {
    /// Reads the word at an address of the process.
    ///
    /// # Errors
    ///
    /// The signal that the process would get. The value is checked against the memory model.
    pub fn load(&self, addr: u64) -> Result<u64, Signal> {
        op::guest::access(&self.process.machine, &self.process.mm, &self.mmu, addr, None)
    }

    /// Writes the word at an address of the process.
    ///
    /// # Errors
    ///
    /// The signal that the process would get.
    pub fn store(&self, addr: u64, word: u64) -> Result<(), Signal> {
        op::guest::access(&self.process.machine, &self.process.mm, &self.mmu, addr, Some(word)).map(drop)
    }

    /// Ends the virtual machine; the process goes on.
    pub fn stop(self) {
        op::mmu_notifier::mmu_notifier_unregister(&self.process.machine, &self.process.mm, &self.mmu);
    }
}
