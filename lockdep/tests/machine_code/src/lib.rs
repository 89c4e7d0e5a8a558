//! Functions that use locks as programs do. The test `machine_code` of the crate `lockdep` compiles them twice, with
//! parking_lot's locks and with lockdep's without checking, and compares the instructions.

use std::time::{Duration, Instant};

#[cfg(feature = "lockdep")]
use lockdep::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, WaitTimeoutResult,
};
#[cfg(not(feature = "lockdep"))]
use parking_lot::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, WaitTimeoutResult,
};

/// Two locks, one under the other.
#[derive(Debug, Default)]
pub struct Account {
    balance: Mutex<u64>,
    log: Mutex<Vec<u64>>,
}

/// Locks, changes, unlocks.
#[inline(never)]
pub fn lock(mutex: &Mutex<u64>) {
    *mutex.lock() += 1;
}

/// Returns a guard, which travels in registers or memory.
#[inline(never)]
pub fn guard(mutex: &Mutex<u64>) -> MutexGuard<'_, u64> {
    mutex.lock()
}

/// Drops a guard.
#[inline(never)]
pub fn unlock(guard: MutexGuard<'_, u64>) {
    drop(guard);
}

/// Locks if that is possible at once.
#[inline(never)]
pub fn try_lock(mutex: &Mutex<u64>) -> Option<u64> {
    mutex.try_lock().map(|value| *value)
}

/// Holds one lock while it takes another, in code that may unwind.
#[inline(never)]
pub fn nested_lock(account: &Account, amount: u64) {
    let mut balance = account.balance.lock();
    *balance += amount;
    account.log.lock().push(*balance);
}

/// Holds three locks and releases them in another order.
#[inline(never)]
pub fn crossed_release(a: &Mutex<u64>, b: &RwLock<u64>, c: &Mutex<u64>) -> u64 {
    let first = a.lock();
    let second = b.read();
    let third = c.lock();
    let sum = *first + *second + *third;
    drop(first);
    drop(third);
    drop(second);
    sum
}

/// Reads.
#[inline(never)]
pub fn read(lock: &RwLock<u64>) -> u64 {
    *lock.read()
}

/// Reads even if a writer waits.
#[inline(never)]
pub fn read_recursive(lock: &RwLock<u64>) -> u64 {
    *lock.read_recursive()
}

/// Writes.
#[inline(never)]
pub fn write(lock: &RwLock<u64>, value: u64) {
    *lock.write() = value;
}

/// Reads, and writes if need be.
#[inline(never)]
pub fn upgrade(lock: &RwLock<u64>) -> u64 {
    let reader = lock.upgradable_read();
    if *reader < 10 {
        *RwLockUpgradableReadGuard::upgrade(reader) += 1;
    }
    *lock.read()
}

/// Writes, and goes on reading.
#[inline(never)]
pub fn downgrade(mut writer: RwLockWriteGuard<'_, u64>) -> RwLockReadGuard<'_, u64> {
    *writer += 1;
    RwLockWriteGuard::downgrade(writer)
}

/// Reads if that is possible at once.
#[inline(never)]
pub fn try_read(lock: &RwLock<u64>) -> Option<u64> {
    lock.try_read().map(|value| *value)
}

/// Writes if that is possible at once.
#[inline(never)]
pub fn try_write(lock: &RwLock<u64>, value: u64) -> bool {
    lock.try_write().map(|mut place| *place = value).is_some()
}

/// Holds two locks of one class, the inner one at a level of its own.
#[inline(never)]
pub fn two_levels(outer: &Mutex<u64>, inner: &Mutex<u64>) -> u64 {
    let first = outer.lock();
    #[cfg(feature = "lockdep")]
    let second = inner.lock_nested(lockdep::Subclass::new(1));
    #[cfg(not(feature = "lockdep"))]
    let second = inner.lock();
    *first + *second
}

/// Holds a lock for reading while it takes another for writing.
#[inline(never)]
pub fn write_under_read(map: &RwLock<Vec<u64>>, last: &RwLock<u64>) {
    let map = map.read();
    *last.write() = map.last().copied().unwrap_or_default();
}

/// Waits for a condition.
#[inline(never)]
pub fn wait(ready: &Mutex<bool>, changed: &Condvar) {
    let mut guard = ready.lock();
    while !*guard {
        changed.wait(&mut guard);
    }
    *guard = false;
}

/// Waits for a condition, but not for ever.
#[inline(never)]
pub fn wait_for(guard: &mut MutexGuard<'_, bool>, changed: &Condvar) -> WaitTimeoutResult {
    changed.wait_for(guard, Duration::from_millis(10))
}

/// Waits until a moment.
#[inline(never)]
pub fn wait_until(guard: &mut MutexGuard<'_, bool>, changed: &Condvar, deadline: Instant) -> bool {
    changed.wait_until(guard, deadline).timed_out()
}

/// Tells the waiters.
#[inline(never)]
pub fn notify(ready: &Mutex<bool>, changed: &Condvar) {
    *ready.lock() = true;
    changed.notify_one();
    changed.notify_all();
}
