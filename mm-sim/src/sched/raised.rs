//! [`Interrupts`]: what devices have raised, and when it comes.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::sync::Irq;

/// What runs in an interrupt.
pub(crate) type Handler = Box<dyn FnOnce() + Send>;

struct Raised {
    /// Looks until it comes.
    delay: u32,
    irq: Irq,
    handler: Handler,
}

/// What the devices of a run have raised and nobody has been interrupted with.
#[derive(Default)]
pub(crate) struct Interrupts {
    raised: Mutex<VecDeque<Raised>>,
    /// How many there are, for who only wants to know whether there are any.
    count: AtomicUsize,
}

impl Interrupts {
    /// Adds what comes after `delay` looks.
    pub(super) fn raise(&self, irq: Irq, delay: u32, handler: Handler) {
        self.raised.lock().push_back(Raised { delay, irq, handler });
        self.count.fetch_add(1, Relaxed);
    }

    /// Lets a moment pass. Returns what comes now, of what the actor lets come.
    pub(super) fn next(&self, lets: impl Fn(Irq) -> bool) -> Option<(Irq, Handler)> {
        if self.is_empty() {
            return None;
        }
        let mut raised = self.raised.lock();
        raised.iter_mut().for_each(|raised| raised.delay = raised.delay.saturating_sub(1));
        let comes = |raised: &Raised| raised.delay == 0 && lets(raised.irq);
        let at = raised.iter().position(comes)?;
        self.count.fetch_sub(1, Relaxed);
        raised.remove(at).map(|raised| (raised.irq, raised.handler))
    }

    /// Returns whether no device has anything to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }
}
