//! [`ReentrantMutex`]: parking_lot's mutex that its holder can lock again, watched.

use std::{fmt, ops::Deref, panic::Location};

use crate::{Acquire, LockClass, LockMap, Subclass, hooks};

/// A mutual exclusion lock that the thread which holds it can acquire again: [`parking_lot::ReentrantMutex`] with a
/// [`LockMap`].
///
/// Acquiring it again waits for nobody, so that nothing which is held by then leads to it.
///
/// ```
/// use lockdep::{Mutex, ReentrantMutex};
///
/// let (tree, log) = (ReentrantMutex::new(7), Mutex::new(()));
/// let outer = tree.lock();
/// let _log = log.lock();
/// assert_eq!(*tree.lock(), *outer); // not log -> tree
/// ```
pub struct ReentrantMutex<T: ?Sized> {
    map: LockMap,
    inner: parking_lot::ReentrantMutex<T>,
}

impl<T> ReentrantMutex<T> {
    /// Returns an unlocked mutex whose class is the place of this call.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self { map: LockMap::new(), inner: parking_lot::ReentrantMutex::new(value) }
    }

    /// Returns an unlocked mutex of an explicit class.
    pub const fn new_in(class: &'static LockClass, value: T) -> Self {
        Self { map: LockMap::new_in(class), inner: parking_lot::ReentrantMutex::new(value) }
    }

    /// Returns the value, consuming the mutex.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Acquires the mutex, blocking while another thread holds it.
    ///
    /// # Panics
    ///
    /// With the policy `panic`, if this acquisition breaks a rule; it panics before it blocks.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        self.lock_how(Acquire::exclusive())
    }

    /// Acquires the mutex at a nesting level of its class.
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    pub fn lock_nested(&self, subclass: Subclass) -> ReentrantMutexGuard<'_, T> {
        self.lock_how(Acquire::exclusive().nested(subclass))
    }

    /// Acquires the mutex if no other thread holds it.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<ReentrantMutexGuard<'_, T>> {
        let inner = self.inner.try_lock()?;
        let held = hooks::hold(self.map.record(), Acquire::exclusive().trylock(), Location::caller());
        Some(ReentrantMutexGuard { _held: held, inner })
    }

    /// Returns the value through exclusive access to the mutex, which needs no locking.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Returns whether anybody holds the mutex at this moment.
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }

    /// Returns whether this thread holds the mutex.
    pub fn is_owned_by_current_thread(&self) -> bool {
        self.inner.is_owned_by_current_thread()
    }

    /// Returns the record of the mutex, for assertions.
    pub const fn map(&self) -> &LockMap {
        &self.map
    }

    #[inline]
    #[track_caller]
    fn lock_how(&self, how: Acquire) -> ReentrantMutexGuard<'_, T> {
        // Who has it already waits for nobody.
        let how = if hooks::ENABLED && self.inner.is_owned_by_current_thread() { how.trylock() } else { how };
        let watched = hooks::book(self.map.record(), how, Location::caller());
        let (held, inner) = hooks::get(self.map.record(), watched, || self.inner.try_lock(), || self.inner.lock());
        ReentrantMutexGuard { _held: held, inner }
    }
}

impl<T: Default> Default for ReentrantMutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// The access that a locked [`ReentrantMutex`] gives; unlocks when dropped, unless the thread has another one.
#[must_use = "if unused the ReentrantMutex will immediately unlock"]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    // Dropped first, as in the other guards.
    _held: hooks::Held<'a>,
    inner: parking_lot::ReentrantMutexGuard<'a, T>,
}

impl<T: ?Sized> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
