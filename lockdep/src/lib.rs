//! A runtime lock-order validator, after the Linux kernel's lockdep.
//!
//! Every lock belongs to a **class**. When a thread acquires a lock of class B while it holds one of class A, the
//! dependency `A -> B` goes into one graph. A cycle in that graph that can really block is a deadlock waiting to
//! happen, and it is reported, with the stacks of every edge, although nothing has hung yet.
//!
//! The module list is a map of the code:
//!
//! * [`Mutex`], [`RwLock`], [`ReentrantMutex`], [`Condvar`]: parking_lot's locks, each with the record that the validator needs (`sync`).
//! * [`LockClass`]: an explicit class; without one, a lock's class is the line that constructs it (`class`).
//! * [`Context`]: code that can interrupt other code (`context`); [`watch_future`]: polls (`future`); [`Region`]: work that
//!   other code may have to wait for (`region`).
//! * [`LockMap`]: that record alone, for anything else that blocks like a lock (`map`), and what can be asserted of what
//!   is held (`assertions`).
//! * [`Policy`]: what a report does (`policy`).
//! * [`thread`]: threads whose beginning and end are known.
//! * `hooks`: the one place that knows whether checking is compiled in, that is, whether the feature `enabled` is on.
//! * `runtime` (only with `enabled`): held stacks of threads, the chain cache in front of the validator, capture of
//!   stacks, the policy's execution, the journal.
//!
//! Without the feature `enabled` every record is zero-sized and every hook is empty.
//!
//! ```
//! use lockdep::{LockClass, Mutex};
//!
//! static ACCOUNT: LockClass = LockClass::new("account");
//! static LEDGER: LockClass = LockClass::new("ledger");
//!
//! let account = Mutex::new_in(&ACCOUNT, 100);
//! let ledger = Mutex::new_in(&LEDGER, Vec::new());
//!
//! let balance = account.lock();
//! ledger.lock().push(*balance); // learns account -> ledger
//! assert_eq!(*ledger.try_lock().unwrap(), [100]);
//! ```

mod assertions;
mod class;
mod context;
mod future;
mod hooks;
mod map;
mod policy;
mod region;
mod sync;
pub mod thread;

pub use assertions::{assert_nothing_held, held_count};
pub use class::LockClass;
pub use context::{Context, Disabled, HARDIRQ, InContext, SIGNAL_HANDLER, SOFTIRQ};
pub use future::{watch_future, watch_future_limited};
pub use hooks::api::*;
pub use map::{Acquire, LockMap, Pinned};
pub use policy::Policy;
pub use region::{Barred, InRegion, Region};
pub use sync::{
    Condvar, Mutex, MutexGuard, ReentrantMutex, ReentrantMutexGuard, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard, WaitTimeoutResult,
};
