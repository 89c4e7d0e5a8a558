//! A spinning reader-writer lock, the kernel's `rwlock_t`.

use std::sync::Arc;

use lockdep::LockClass;

use super::{
    core::{Core, Hold, Owner},
    irq::{Irq, IrqOff},
    state::Want,
};

/// A reader-writer lock that one spins on.
pub(crate) struct RwSpinLock(Arc<Core>);

impl RwSpinLock {
    pub(crate) fn new(class: &'static LockClass, owner: Owner) -> Self {
        Self(Core::new(class, owner, false))
    }

    /// Acquires for reading.
    #[track_caller]
    pub(crate) fn read(&self) -> RwSpinGuard {
        self.take(Want::Read, None)
    }

    /// Acquires for writing with all interrupts disabled until it is released (the kernel's `write_lock_irq`).
    #[track_caller]
    pub(crate) fn write_irq(&self) -> RwSpinGuard {
        self.take(Want::Write, Some(IrqOff::new(Irq::Hard)))
    }

    #[track_caller]
    fn take(&self, want: Want, irqs: Option<IrqOff>) -> RwSpinGuard {
        let hold = self.0.lock(want, 0);
        RwSpinGuard { core: self.0.clone(), want, hold, _irqs: irqs }
    }

    /// Returns whether this actor holds it in either mode.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.is_mine(Want::Read) || self.is_mine_to_write()
    }

    /// Returns whether this actor holds it for writing.
    pub(crate) fn is_mine_to_write(&self) -> bool {
        self.0.is_mine(Want::Write)
    }
}

/// Holds a spinning reader-writer lock.
#[must_use]
pub(crate) struct RwSpinGuard {
    core: Arc<Core>,
    want: Want,
    hold: Hold,
    /// Enabled again after the lock has been released.
    _irqs: Option<IrqOff>,
}

impl Drop for RwSpinGuard {
    fn drop(&mut self) {
        self.core.unlock(self.want, self.hold);
    }
}
