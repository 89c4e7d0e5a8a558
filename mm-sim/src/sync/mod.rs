//! The simulator's locks: a `lockdep::LockMap` each, and a state that the scheduler understands.
//!
//! * `core`: the fair state that all of them share, and how an actor waits for it.
//! * [`RwSem`]: a sleeping reader-writer lock with downgrade, the kernel's rwsem.
//! * [`SpinLock`]: spins; who holds one must not sleep. [`Irq`]: the interrupts that it may have to keep out.
//! * [`SleepMutex`]: sleeps; one holder.
//! * [`RwSpinLock`]: spins; readers and a writer.
//! * [`FolioLock`]: the bit lock of a folio.
//! * [`Rcu`]: read sections and grace periods.
//! * [`LocklessWalks`]: walks of page tables with interrupts off, and waiting for them.
//! * [`WaitQueue`]: sleeping until somebody wakes one.
//! * [`Mutation`]: deliberate bugs at run time; [`Survey`]: what there is to mutate; [`Trace`]: what actors did.
//!
//! The data that a lock protects live elsewhere, unprotected by types: a protocol that forgets a lock must be able to
//! run, and be caught by what it breaks.

mod core;
mod folio_lock;
mod irq;
mod lockless;
mod mutation;
mod mutex;
mod rcu;
mod rwlock;
mod rwsem;
mod spin;
mod survey;
mod trace;
mod wait_queue;

pub(crate) use folio_lock::{FolioGuard, FolioLock};
#[allow(unused_imports)]
pub(crate) use irq::{Irq, IrqOff, in_irq, watch_irqs};
pub(crate) use lockless::LocklessWalks;
pub(crate) use mutation::Mutation;
pub use mutation::{Look, Place, Twist};
pub(crate) use mutex::{MutexGuard, SleepMutex};
pub(crate) use rcu::{Rcu, RcuGuard};
pub(crate) use rwlock::RwSpinLock;
pub(crate) use rwsem::{Held, ReadGuard, RwSem, WriteGuard};
pub(crate) use spin::{SpinGuard, SpinLock};
pub(crate) use survey::{LockId, Note, Survey};
pub(crate) use trace::{Step, Taken, Trace, Way, pseudo, unowned};
pub(crate) use wait_queue::WaitQueue;
