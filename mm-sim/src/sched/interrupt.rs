//! Interrupts: what devices have to tell, and whom they interrupt with it.
//!
//! Work that is raised waits a while, as a device takes its time, and then runs on the first actor that comes to a step
//! with interrupts enabled, in the middle of whatever that actor is doing. An actor that has nothing to do but wait
//! ([`idle`]) lets time pass.

use std::{
    collections::VecDeque,
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use parking_lot::Mutex;

use super::actor::{self, Actor};
use crate::sync::{Irq, in_irq};

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
    fn raise(&self, irq: Irq, delay: u32, handler: Handler) {
        self.raised.lock().push_back(Raised { delay, irq, handler });
        self.count.fetch_add(1, Relaxed);
    }

    /// Lets a moment pass. Returns what comes now, if the actor lets it.
    fn next(&self, actor: &Actor) -> Option<(Irq, Handler)> {
        if self.is_empty() {
            return None;
        }
        let mut raised = self.raised.lock();
        raised.iter_mut().for_each(|raised| raised.delay = raised.delay.saturating_sub(1));
        let comes = |raised: &Raised| raised.delay == 0 && actor.lets(raised.irq);
        let at = raised.iter().position(comes)?;
        self.count.fetch_sub(1, Relaxed);
        raised.remove(at).map(|raised| (raised.irq, raised.handler))
    }

    fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }
}

/// Raises an interrupt that comes after `delay` steps of anybody. Outside of a run it comes at once.
pub(crate) fn raise(irq: Irq, delay: u32, handler: Handler) {
    match actor::this() {
        Some(actor) => actor.interrupts().raise(irq, delay, handler),
        None => handler(),
    }
}

/// The moment in which an interrupt may come.
pub(super) fn moment(actor: &Rc<Actor>) {
    if thread::panicking() {
        return;
    }
    if let Some((irq, handler)) = actor.interrupts().next(actor) {
        let _scope = actor::scope(irq.as_str());
        in_irq(irq, handler);
    }
}

/// The actor has nothing to do until a device answers. Returns whether any device has yet to.
pub(crate) fn idle() -> bool {
    let Some(actor) = actor::this() else { return false };
    let any = !actor.interrupts().is_empty();
    if any {
        super::step();
    }
    any
}

/// Has nothing to do as long as this holds, which the answer of a device ends.
pub(crate) fn idle_while(waits: impl Fn() -> bool) {
    let mut any = true;
    while any && waits() {
        any = idle();
    }
}

/// Waits until no device has anything to tell.
pub(crate) fn drain() {
    idle_while(|| true);
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    use super::*;
    use crate::{
        classes::I_PAGES,
        sched::{Baton, Body, Context, Order, Rng},
        sync::SpinLock,
    };

    /// What is done with the lock outside of interrupts, while an interrupt that takes it may come.
    fn contend(take: fn(&SpinLock)) -> Vec<lockdep::Report> {
        let context = Context::new();
        let (lock, taken) = (Arc::new(SpinLock::new(&I_PAGES, ("file", 1))), Arc::new(AtomicU32::new(0)));
        let body: Body = Box::new({
            let taken = taken.clone();
            move || {
                let (in_handler, count) = (lock.clone(), taken.clone());
                let handler = move || {
                    drop(in_handler.lock_irq());
                    count.fetch_add(1, Relaxed);
                };
                raise(Irq::Soft, 2, Box::new(handler));
                super::super::drain();
                take(&lock);
            }
        });
        let ran = Baton::run(Order::Drawn(Rng::new(1)), 1000, &context, vec![("actor".to_owned(), body)]);
        assert!(ran.stop.is_none());
        assert_eq!(taken.load(Relaxed), 1, "the interrupt has come, once");
        context.session.reports()
    }

    #[test]
    fn a_lock_of_a_handler_is_taken_with_interrupts_off_or_lockdep_tells() {
        assert!(contend(|lock| drop(lock.lock_irq())).is_empty());
        assert!(contend(|lock| drop(lock.lock_bh())).is_empty());
        let reports = contend(|lock| drop(lock.lock()));
        let codes: Vec<_> = reports.iter().map(|report| report.code).collect();
        assert_eq!(codes, [lockdep::Code::InconsistentUsage]);
    }
}
