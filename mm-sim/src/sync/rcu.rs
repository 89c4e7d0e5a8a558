//! RCU: read sections, and callbacks that wait until every section that was open has ended.
//!
//! It has no lock class: a read section never waits and nobody waits for it with a lock held, so it orders nothing; but
//! nothing may sleep in one. What it does is real: a callback runs only after its grace period, and not a moment later, which is the hardest case for
//! whoever goes on reading without a section of his own.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::{
    id::unowned,
    pseudo::pseudo,
    trace::{Step, Way},
};
use crate::sched;

/// What a trace calls a read section.
const RCU: &str = "rcu";

type Callback = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    next: u64,
    open: BTreeSet<u64>,
    pending: Vec<(BTreeSet<u64>, Callback)>,
}

/// Read-copy-update of one machine.
#[derive(Default)]
pub(crate) struct Rcu(Mutex<State>);

impl Rcu {
    /// Opens a read section.
    pub(crate) fn read(&self) -> RcuGuard<'_> {
        let mut state = self.0.lock();
        state.next += 1;
        let section = state.next;
        state.open.insert(section);
        sched::enter_atomic();
        sched::trace(|| pseudo(RCU, Way::Read));
        RcuGuard { rcu: self, section }
    }

    /// Runs `callback` when every read section that is open now has ended.
    pub(crate) fn call(&self, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.0.lock();
        if state.open.is_empty() {
            drop(state);
            callback();
        } else {
            let open = state.open.clone();
            state.pending.push((open, Box::new(callback)));
        }
    }

    fn close(&self, section: u64) {
        let ended: Vec<Callback> = {
            let mut state = self.0.lock();
            state.open.remove(&section);
            state.pending.iter_mut().for_each(|(waits_for, _)| {
                waits_for.remove(&section);
            });
            state.pending.extract_if(.., |(waits_for, _)| waits_for.is_empty()).map(|(_, callback)| callback).collect()
        };
        ended.into_iter().for_each(|callback| callback());
    }
}

/// A read section.
#[must_use]
pub(crate) struct RcuGuard<'a> {
    rcu: &'a Rcu,
    section: u64,
}

impl Drop for RcuGuard<'_> {
    fn drop(&mut self) {
        sched::trace(|| Step::Release(unowned(RCU)));
        sched::leave_atomic();
        self.rcu.close(self.section);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[test]
    fn a_callback_waits_for_the_sections_that_were_open_and_for_no_others() {
        let (rcu, runs) = (Rcu::default(), Arc::new(AtomicU32::new(0)));
        let count = |runs: &Arc<AtomicU32>| {
            let runs = runs.clone();
            move || {
                runs.fetch_add(1, Ordering::Relaxed);
            }
        };
        let first = rcu.read();
        rcu.call(count(&runs));
        let later = rcu.read();
        assert_eq!(runs.load(Ordering::Relaxed), 0);
        drop(first);
        assert_eq!(runs.load(Ordering::Relaxed), 1, "the later section does not count");
        rcu.call(count(&runs));
        drop(later);
        rcu.call(count(&runs));
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }
}
