//! [`Condvar`]: parking_lot's condition variable over our [`MutexGuard`](crate::MutexGuard).

use std::{
    panic::Location,
    time::{Duration, Instant},
};

pub use parking_lot::WaitTimeoutResult;

use crate::MutexGuard;

/// A condition variable: [`parking_lot::Condvar`] for the guards of this crate.
///
/// A wait lets go of the mutex and acquires it again, under everything else that the thread holds. That acquisition is
/// checked before the wait begins.
#[derive(Debug, Default)]
pub struct Condvar {
    inner: parking_lot::Condvar,
}

impl Condvar {
    /// Returns a condition variable that nobody waits for.
    pub const fn new() -> Self {
        Self { inner: parking_lot::Condvar::new() }
    }

    /// Wakes one waiter. Returns whether there was one.
    #[inline]
    pub fn notify_one(&self) -> bool {
        self.inner.notify_one()
    }

    /// Wakes all waiters. Returns how many there were.
    #[inline]
    pub fn notify_all(&self) -> usize {
        self.inner.notify_all()
    }

    /// Lets go of the mutex, waits for a notification, and acquires the mutex again.
    ///
    /// # Panics
    ///
    /// With the policy `panic`, if acquiring the mutex again under what the thread holds breaks a rule; also if the
    /// condition variable is used with two mutexes at once.
    #[inline]
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.held.wait(Location::caller());
        self.inner.wait(&mut guard.inner);
        guard.held.waited();
    }

    /// As [`wait`](Self::wait), until `deadline` at the latest.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    #[track_caller]
    pub fn wait_until<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, deadline: Instant) -> WaitTimeoutResult {
        guard.held.wait(Location::caller());
        let result = self.inner.wait_until(&mut guard.inner, deadline);
        guard.held.waited();
        result
    }

    /// As [`wait`](Self::wait), for `timeout` at the longest.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    #[track_caller]
    pub fn wait_for<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> WaitTimeoutResult {
        guard.held.wait(Location::caller());
        let result = self.inner.wait_for(&mut guard.inner, timeout);
        guard.held.waited();
        result
    }

    /// Waits as long as `condition` holds.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    #[track_caller]
    pub fn wait_while<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, mut condition: impl FnMut(&mut T) -> bool) {
        while condition(&mut *guard) {
            self.wait(guard);
        }
    }
}
