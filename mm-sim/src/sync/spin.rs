//! A spinning lock: exclusive, and its holder must not sleep.
//!
//! A lock that a handler of an interrupt takes too must be taken with that interrupt disabled everywhere else, or the
//! handler would wait for whom it has interrupted: [`lock_irq`](SpinLock::lock_irq), [`lock_bh`](SpinLock::lock_bh).

use std::sync::Arc;

use lockdep::LockClass;

use super::{
    core::{Core, Hold, Owner},
    irq::{Irq, IrqOff},
    state::Want,
};

/// A spinlock.
pub(crate) struct SpinLock(Arc<Core>);

impl SpinLock {
    pub(crate) fn new(class: &'static LockClass, owner: Owner) -> Self {
        Self(Core::new(class, owner, false))
    }

    /// Acquires.
    #[track_caller]
    pub(crate) fn lock(&self) -> SpinGuard {
        self.lock_nested(0)
    }

    /// Acquires under a lock of the same class.
    #[track_caller]
    pub(crate) fn lock_nested(&self, subclass: u8) -> SpinGuard {
        let hold = self.0.lock(Want::Write, subclass);
        SpinGuard { core: self.0.clone(), hold, _irqs: None }
    }

    /// Acquires with all interrupts disabled until it is released (the kernel's `spin_lock_irqsave`).
    #[track_caller]
    pub(crate) fn lock_irq(&self) -> SpinGuard {
        self.lock_without(Irq::Hard)
    }

    /// Acquires with soft interrupts disabled until it is released (the kernel's `spin_lock_bh`).
    #[cfg_attr(not(test), expect(dead_code, reason = "all locks that interrupts take are taken by hard ones too"))]
    #[track_caller]
    pub(crate) fn lock_bh(&self) -> SpinGuard {
        self.lock_without(Irq::Soft)
    }

    #[track_caller]
    fn lock_without(&self, irq: Irq) -> SpinGuard {
        let irqs = IrqOff::new(irq);
        let hold = self.0.lock(Want::Write, 0);
        SpinGuard { core: self.0.clone(), hold, _irqs: Some(irqs) }
    }

    /// Acquires, unless that would wait.
    #[track_caller]
    pub(crate) fn try_lock(&self) -> Option<SpinGuard> {
        let hold = self.0.try_lock(Want::Write, 0)?;
        Some(SpinGuard { core: self.0.clone(), hold, _irqs: None })
    }

    /// Returns whether this actor holds it.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.is_mine(Want::Write)
    }
}

/// Holds a spinlock.
#[must_use]
pub(crate) struct SpinGuard {
    core: Arc<Core>,
    hold: Hold,
    /// Enabled again after the lock has been released.
    _irqs: Option<IrqOff>,
}

impl Drop for SpinGuard {
    fn drop(&mut self) {
        self.core.unlock(Want::Write, self.hold);
    }
}
