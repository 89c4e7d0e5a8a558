//! Who runs when: actors are real threads, of which exactly one runs at a time.
//!
//! * `actor`: what the current thread is in the simulation (its number, the operations it is in, what it may do).
//! * `baton`: the seeded scheduler that passes the right to run from actor to actor.
//! * `wait_for`: who waits for whom, when nobody can run any more.
//! * `rng`: the generator.

mod actor;
mod baton;
mod rng;
mod wait_for;

pub(crate) use actor::{
    ActorId, current, enter_atomic, finding, in_reclaim, is_atomic, leave_atomic, path, scope, set_in_reclaim,
};
pub(crate) use baton::{Baton, Body, Stop, block, sleep, step, wake};
pub(crate) use rng::Rng;
pub use wait_for::{Deadlock, Wait};
pub(crate) use wait_for::{Holder, Waitable};
