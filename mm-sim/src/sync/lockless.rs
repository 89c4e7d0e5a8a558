//! Walks of page tables that take no lock: with interrupts off, and whoever frees a table waits for an interrupt to every
//! processor, or for an RCU grace period, of which such a walk is a read section too.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;

use super::{Irq, IrqOff, Rcu, RcuGuard, WaitQueue};

/// The walks that are under way on one machine.
pub(crate) struct LocklessWalks {
    open: Mutex<(u64, BTreeSet<u64>)>,
    waiting: Arc<WaitQueue>,
}

impl LocklessWalks {
    pub(crate) fn new() -> Self {
        Self { open: Mutex::default(), waiting: WaitQueue::new("an interrupt to every processor".to_owned()) }
    }

    /// Begins a walk.
    #[track_caller]
    pub(crate) fn begin<'a>(&'a self, rcu: &'a Rcu) -> LocklessWalk<'a> {
        let irq_off = IrqOff::new(Irq::Hard);
        let mut open = self.open.lock();
        open.0 += 1;
        let number = open.0;
        open.1.insert(number);
        LocklessWalk { walks: self, number, _rcu: rcu.read(), _irq_off: irq_off }
    }

    /// Waits until all walks that are under way now have ended (the kernel's `tlb_remove_table_sync_one`).
    pub(crate) fn send_interrupts(&self) {
        let before = self.open.lock().0;
        loop {
            self.waiting.add(0);
            if self.open.lock().1.range(..=before).next().is_none() {
                return self.waiting.remove();
            }
            self.waiting.wait();
        }
    }
}

/// A walk with interrupts off.
#[must_use]
pub(crate) struct LocklessWalk<'a> {
    walks: &'a LocklessWalks,
    number: u64,
    _rcu: RcuGuard<'a>,
    _irq_off: IrqOff,
}

impl Drop for LocklessWalk<'_> {
    fn drop(&mut self) {
        self.walks.open.lock().1.remove(&self.number);
        self.walks.waiting.wake(|_| true);
    }
}
