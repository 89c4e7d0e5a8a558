//! Who runs when: actors are real threads, and a backend decides which of them run.
//!
//! * `actor`: what the current thread is in the simulation (its number, the operations it is in, what it may do).
//! * `point`: what operations ask of the scheduler; `backend`: what a scheduler is.
//! * `baton`: the cooperative scheduler that passes the right to run from actor to actor: one runs at a time.
//! * `order`: who is next there: drawn from a seed, or as a schedule or a scheduler of shuttle's says.
//! * `threads`: all run, really at the same time, until a time is up; a watchdog looks for deadlocks.
//! * `raised`, `interrupt`: what devices have to tell, and whom they interrupt with it.
//! * `wait_for`: who waits for whom, when nobody can run any more.
//! * `rng`: the generator.

mod actor;
mod backend;
mod baton;
mod id;
mod interrupt;
mod order;
mod point;
mod raised;
mod rng;
mod threads;
mod wait_for;

pub(crate) use actor::{
    Context, current, defer, disable_irqs, enter_atomic, finding, forget_deferred, forgets, has_irqs_off, in_reclaim,
    is_atomic, leave_atomic, must_hold, note, path, scope, set_in_reclaim, take_deferred, trace, twist,
};
pub(crate) use backend::{Body, Stop};
pub(crate) use baton::Baton;
pub(crate) use id::ActorId;
pub(crate) use interrupt::raise;
pub use order::Schedule;
pub(crate) use order::{Choice, Guide, Order};
pub(crate) use point::{block, drain, idle, idle_while, now, settles, sleep, step, wake};
pub(crate) use rng::Rng;
pub(crate) use threads::Threads;
pub use wait_for::{Deadlock, Wait};
pub(crate) use wait_for::{Holder, Waitable};
