//! [`Mutex`]: parking_lot's mutual exclusion lock, watched.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
};

use crate::{Acquire, LockClass, LockMap, Subclass, hooks};

/// A mutual exclusion lock: [`parking_lot::Mutex`] with a [`LockMap`].
///
/// Its class is the line that constructs it ([`new`](Self::new)) or an explicit one ([`new_in`](Self::new_in)).
pub struct Mutex<T: ?Sized> {
    map: LockMap,
    inner: parking_lot::Mutex<T>,
}

impl<T> Mutex<T> {
    /// Returns an unlocked mutex whose class is the place of this call.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self { map: LockMap::new(), inner: parking_lot::Mutex::new(value) }
    }

    /// Returns an unlocked mutex of an explicit class.
    pub const fn new_in(class: &'static LockClass, value: T) -> Self {
        Self { map: LockMap::new_in(class), inner: parking_lot::Mutex::new(value) }
    }

    /// Returns the value, consuming the mutex.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Acquires the mutex, blocking until it is free.
    ///
    /// # Panics
    ///
    /// With the policy `panic`, if this acquisition breaks a rule; it panics before it blocks.
    #[inline(always)]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_how(Acquire::exclusive())
    }

    /// Acquires the mutex at a nesting level of its class: two mutexes of one class may be held together when the
    /// levels differ and always nest the same way.
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    pub fn lock_nested(&self, subclass: Subclass) -> MutexGuard<'_, T> {
        self.lock_how(Acquire::exclusive().nested(subclass))
    }

    /// Acquires the mutex, which is of rank `rank` in the order that its class declares
    /// ([`LockClass::ranked`]).
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_ranked(&self, rank: u64) -> MutexGuard<'_, T> {
        hooks::acquire_ranked(self.map.record(), Acquire::exclusive(), rank, Location::caller());
        self.get(true)
    }

    /// Acquires the mutex, one of several of its class, while the lock `nest` is held, which keeps others from doing so
    /// (see [`LockMap::acquire_under`]).
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_under(&self, nest: &LockMap) -> MutexGuard<'_, T> {
        hooks::acquire_under(self.map.record(), Acquire::exclusive(), nest.record(), Location::caller());
        self.get(true)
    }

    /// Acquires the mutex if it is free.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let inner = self.inner.try_lock()?;
        let held = hooks::hold(self.map.record(), Acquire::exclusive().trylock(), Location::caller());
        Some(MutexGuard { held, inner })
    }

    /// Returns the value through exclusive access to the mutex, which needs no locking.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Returns whether anybody holds the mutex at this moment.
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }

    /// Says that this thread may acquire the mutex here, whether it does or not (see [`LockMap::might_acquire`]).
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    pub fn might_lock(&self) {
        self.map.might_acquire(Acquire::exclusive());
    }

    /// Gives the mutex another class (see [`LockMap::set_class`]).
    pub fn set_class(&mut self, class: &'static LockClass) {
        self.map.set_class(class);
    }

    /// Returns the record of the mutex, for assertions.
    pub const fn map(&self) -> &LockMap {
        &self.map
    }

    #[inline(always)]
    #[track_caller]
    fn lock_how(&self, how: Acquire) -> MutexGuard<'_, T> {
        let watched = hooks::book(self.map.record(), how, Location::caller());
        self.get(watched)
    }

    #[inline(always)]
    fn get(&self, watched: bool) -> MutexGuard<'_, T> {
        let (held, inner) = hooks::get(self.map.record(), watched, || self.inner.try_lock(), || self.inner.lock());
        MutexGuard { held, inner }
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// The access that a locked [`Mutex`] gives; unlocks when dropped.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    // Dropped first: the record lets go before the lock does, so nobody sees a holder that the record has lost.
    pub(super) held: hooks::Held<'a>,
    pub(super) inner: parking_lot::MutexGuard<'a, T>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
