//! Interrupts: what devices have to tell, and whom they interrupt with it.
//!
//! Work that is raised waits a while, as a device takes its time, and then runs on the first actor that comes to a step
//! with interrupts enabled, in the middle of whatever that actor is doing. An actor that has nothing to do but wait
//! ([`idle`](super::idle)) lets time pass.

use std::{rc::Rc, thread};

use super::{
    actor::{self, Actor},
    raised::Handler,
};
use crate::sync::{Irq, in_irq};

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
    if let Some((irq, handler)) = actor.interrupts().next(|irq| actor.lets(irq)) {
        let _scope = actor::scope(irq.as_str());
        in_irq(irq, handler);
    }
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
