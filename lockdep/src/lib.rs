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
//! # From a program to its first report
//!
//! Use these locks in place of parking_lot's and turn the feature `enabled` on where the tests are built. The acquisition
//! that breaks an order panics before it blocks, with the report as its message. [`Policy`] and the environment variable
//! `LOCKDEP` change that: `LOCKDEP=print,summary` prints and goes on, and ends with a line that counts findings by grade.
//!
//! A report has a code and a fingerprint, in brackets at its end; the same finding has the same fingerprint in every run. Its
//! grade says how near it is: `concurrent` and `few-threads` fail a run, `ordered` and `gated` do not unless
//! `LOCKDEP=fail=all` says so.
//!
//! # When a nesting is meant
//!
//! | what the program does | how it says so |
//! |---|---|
//! | locks of one class nest by levels: parent, child | [`Subclass`], [`Mutex::lock_nested`] |
//! | locks of one class nest by a key, or by address | [`LockClass::ranked`] and [`Mutex::lock_ranked`], [`LockClass::ranked_by_address`]; or as a function compares them: [`LockClass::compared`] |
//! | locks of one class nest in any order under another lock | [`Mutex::lock_under`] |
//! | locks of one class nest in one order that nobody declared | construct them without a class, or [`LockClass::learnt_order`] |
//! | two kinds of objects are made on one line | [`Mutex::new_in`] with a class each, [`Mutex::set_class`]; `#[track_caller]` on the function that makes them |
//! | one thread acquires, another releases | [`LockMap::release_for`]; the feature `send_guard` |
//! | a path that is seldom taken must count every time | [`Mutex::might_lock`], [`LockMap::might_acquire`] |
//! | the order is broken and nothing can be done | [`LockClass::without_order`], [`LockClass::untracked`], [`unwatched`] |
//!
//! # In tests
//!
//! With the feature `enabled`, a `Session` has a validator of its own, so that tests that break an order on purpose do not
//! disturb others. `take_reports` and `Session::reports` return findings as data.
//!
//! # What it does not see
//!
//! Orders that no run takes; waits that are no locks and that nobody declares with a [`LockMap`] (channels, joins, condition
//! variables apart from their mutex); locks of other types. What the kernel's lockdep has and where it is here is told in
//! `KERNEL.md`, beside the crate's manifest.
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
