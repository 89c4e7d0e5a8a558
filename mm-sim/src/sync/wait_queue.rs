//! A wait queue: actors that sleep until somebody wakes them, each for a key of its own.
//!
//! Who waits adds itself first, then looks whether it still has to, and then waits or takes itself out; so that a wake-up
//! in between is not lost. The kernel's lock of the queue is the owner's business.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::sched::{self, ActorId, Holder, Waitable};

struct Waiter {
    actor: ActorId,
    key: u64,
    is_woken: bool,
    sleeps: bool,
}

/// Actors that wait.
pub(crate) struct WaitQueue {
    label: String,
    waiters: Mutex<Vec<Waiter>>,
}

impl WaitQueue {
    /// A queue without waiters; `label` says what for.
    pub(crate) fn new(label: String) -> Arc<Self> {
        Arc::new(Self { label, waiters: Mutex::default() })
    }

    /// Adds the current actor.
    pub(crate) fn add(&self, key: u64) {
        self.waiters.lock().push(Waiter { actor: sched::current(), key, is_woken: false, sleeps: false });
    }

    /// Takes the current actor out again.
    pub(crate) fn remove(&self) {
        self.waiters.lock().retain(|waiter| waiter.actor != sched::current());
    }

    /// Sleeps until the current actor is woken, unless it has been since it was added. It is out of the queue then.
    pub(crate) fn wait(self: &Arc<Self>) {
        let me = sched::current();
        let sleeps = self.waiters.lock().iter_mut().find(|waiter| waiter.actor == me).is_some_and(|mine| {
            mine.sleeps = !mine.is_woken;
            mine.sleeps
        });
        if sleeps {
            sched::block(self.clone(), "wait");
        }
        self.remove();
    }

    /// Wakes all whose key `wants`.
    pub(crate) fn wake(&self, wants: impl Fn(u64) -> bool) {
        let mut waiters = self.waiters.lock();
        for waiter in waiters.iter_mut().filter(|waiter| !waiter.is_woken && wants(waiter.key)) {
            waiter.is_woken = true;
            if waiter.sleeps {
                sched::wake(waiter.actor);
            }
        }
    }
}

impl Waitable for WaitQueue {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn holders(&self) -> Vec<Holder> {
        Vec::new()
    }

    fn blockers(&self, _actor: ActorId) -> Vec<ActorId> {
        Vec::new()
    }
}
