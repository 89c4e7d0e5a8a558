//! The simulator's locks: a `lockdep::LockMap` each, and a state that the scheduler understands.
//!
//! * `id`: which lock; `state`: who holds a lock and who queues for it, fairly; `core`: how an actor acquires one and waits.
//! * [`RwSem`]: a sleeping reader-writer lock with downgrade, the kernel's rwsem.
//! * [`SpinLock`]: spins; who holds one must not sleep. [`Irq`]: the interrupts that it may have to keep out.
//! * [`SleepMutex`]: sleeps; one holder.
//! * [`RwSpinLock`]: spins; readers and a writer.
//! * [`FolioLock`]: the bit lock of a folio.
//! * [`PseudoLock`]: nobody waits for it; lockdep is told.
//! * [`Rcu`]: read sections and grace periods.
//! * [`LocklessWalks`]: walks of page tables with interrupts off, and waiting for them.
//! * [`WaitQueue`]: sleeping until somebody wakes one.
//! * [`Mutation`]: deliberate bugs at run time.
//! * [`Observer`]: who watches a run, by a [`Survey`] of what there is to mutate or a [`Trace`] of what actors did.
//!
//! The data that a lock protects live elsewhere, unprotected by types: a protocol that forgets a lock must be able to
//! run, and be caught by what it breaks.

mod core;
mod folio_lock;
mod id;
mod irq;
mod lockless;
mod mutation;
mod mutex;
mod observer;
mod pseudo;
mod rcu;
mod rwlock;
mod rwsem;
mod spin;
mod state;
mod survey;
mod trace;
mod wait_queue;

pub(crate) use folio_lock::{FolioGuard, FolioLock};
#[allow(unused_imports)]
pub(crate) use id::LockId;
pub(crate) use irq::{Irq, IrqOff, in_irq, watch_irqs};
pub(crate) use lockless::LocklessWalks;
pub(crate) use mutation::Mutation;
pub use mutation::{Look, Place, Twist};
pub(crate) use mutex::{MutexGuard, SleepMutex};
pub(crate) use observer::Observer;
pub(crate) use pseudo::PseudoLock;
pub(crate) use rcu::{Rcu, RcuGuard};
pub(crate) use rwlock::RwSpinLock;
pub(crate) use rwsem::{Held, ReadGuard, RwSem, WriteGuard};
pub(crate) use spin::{SpinGuard, SpinLock};
pub(crate) use survey::{Note, Survey};
pub(crate) use trace::{Step, Taken, Trace, Way};
pub(crate) use wait_queue::WaitQueue;
