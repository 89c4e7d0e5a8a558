//! [`RwLock`]: parking_lot's readers-writer lock, watched.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
};

use crate::{Acquire, LockClass, LockMap, Mode, Subclass, hooks};

/// A readers-writer lock: [`parking_lot::RwLock`] with a [`LockMap`].
///
/// The modes matter to the validator: a plain reader waits behind a waiting writer, a recursive reader does not, an
/// upgradable reader excludes writers and its like, and an upgrade waits for the readers that are inside.
pub struct RwLock<T: ?Sized> {
    map: LockMap,
    inner: parking_lot::RwLock<T>,
}

impl<T> RwLock<T> {
    /// Returns an unlocked lock whose class is the place of this call.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self { map: LockMap::new(), inner: parking_lot::RwLock::new(value) }
    }

    /// Returns an unlocked lock of an explicit class.
    pub const fn new_in(class: &'static LockClass, value: T) -> Self {
        Self { map: LockMap::new_in(class), inner: parking_lot::RwLock::new(value) }
    }

    /// Returns the value, consuming the lock.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

/// Each acquisition blocks unless its name begins with `try_`.
///
/// # Panics
///
/// With the policy `panic`, every blocking acquisition panics, before it blocks, if it breaks a rule.
impl<T: ?Sized> RwLock<T> {
    /// Acquires for reading. A writer that waits comes first.
    #[inline(always)]
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let watched = self.book(Acquire::shared(), Location::caller());
        let (held, inner) = hooks::get(self.map.record(), watched, || self.inner.try_read(), || self.inner.read());
        RwLockReadGuard { held, inner }
    }

    /// Acquires for reading at a nesting level of the class.
    #[inline]
    #[track_caller]
    pub fn read_nested(&self, subclass: Subclass) -> RwLockReadGuard<'_, T> {
        let watched = self.book(Acquire::shared().nested(subclass), Location::caller());
        let (held, inner) = hooks::get(self.map.record(), watched, || self.inner.try_read(), || self.inner.read());
        RwLockReadGuard { held, inner }
    }

    /// Acquires for reading; the lock is of rank `rank` in the order that its class declares.
    #[track_caller]
    pub fn read_ranked(&self, rank: u64) -> RwLockReadGuard<'_, T> {
        hooks::acquire_ranked(self.map.record(), Acquire::shared(), rank, Location::caller());
        let (held, inner) = hooks::get(self.map.record(), true, || self.inner.try_read(), || self.inner.read());
        RwLockReadGuard { held, inner }
    }

    /// Acquires for reading, one of several of its class, under `nest` (see [`LockMap::acquire_under`]).
    #[track_caller]
    pub fn read_under(&self, nest: &LockMap) -> RwLockReadGuard<'_, T> {
        hooks::acquire_under(self.map.record(), Acquire::shared(), nest.record(), Location::caller());
        let (held, inner) = hooks::get(self.map.record(), true, || self.inner.try_read(), || self.inner.read());
        RwLockReadGuard { held, inner }
    }

    /// Acquires for reading even if a writer waits, so that a thread that reads already can read again.
    #[inline]
    #[track_caller]
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        let watched = self.book(Acquire::shared_recursive(), Location::caller());
        let (held, inner) =
            hooks::get(self.map.record(), watched, || self.inner.try_read_recursive(), || self.inner.read_recursive());
        RwLockReadGuard { held, inner }
    }

    /// Acquires for reading if no writer holds the lock or waits for it.
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let inner = self.inner.try_read()?;
        Some(RwLockReadGuard { held: self.hold(Acquire::shared().trylock(), Location::caller()), inner })
    }

    /// Acquires for reading if no writer holds the lock.
    #[inline]
    #[track_caller]
    pub fn try_read_recursive(&self) -> Option<RwLockReadGuard<'_, T>> {
        let inner = self.inner.try_read_recursive()?;
        Some(RwLockReadGuard { held: self.hold(Acquire::shared_recursive().trylock(), Location::caller()), inner })
    }

    /// Acquires for writing.
    #[inline(always)]
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let watched = self.book(Acquire::exclusive(), Location::caller());
        let (held, inner) = hooks::get(self.map.record(), watched, || self.inner.try_write(), || self.inner.write());
        RwLockWriteGuard { held, inner }
    }

    /// Acquires for writing at a nesting level of the class.
    #[inline]
    #[track_caller]
    pub fn write_nested(&self, subclass: Subclass) -> RwLockWriteGuard<'_, T> {
        let watched = self.book(Acquire::exclusive().nested(subclass), Location::caller());
        let (held, inner) = hooks::get(self.map.record(), watched, || self.inner.try_write(), || self.inner.write());
        RwLockWriteGuard { held, inner }
    }

    /// Acquires for writing; the lock is of rank `rank` in the order that its class declares.
    #[track_caller]
    pub fn write_ranked(&self, rank: u64) -> RwLockWriteGuard<'_, T> {
        hooks::acquire_ranked(self.map.record(), Acquire::exclusive(), rank, Location::caller());
        let (held, inner) = hooks::get(self.map.record(), true, || self.inner.try_write(), || self.inner.write());
        RwLockWriteGuard { held, inner }
    }

    /// Acquires for writing, one of several of its class, under `nest` (see [`LockMap::acquire_under`]).
    #[track_caller]
    pub fn write_under(&self, nest: &LockMap) -> RwLockWriteGuard<'_, T> {
        hooks::acquire_under(self.map.record(), Acquire::exclusive(), nest.record(), Location::caller());
        let (held, inner) = hooks::get(self.map.record(), true, || self.inner.try_write(), || self.inner.write());
        RwLockWriteGuard { held, inner }
    }

    /// Acquires for writing if nobody holds the lock.
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let inner = self.inner.try_write()?;
        Some(RwLockWriteGuard { held: self.hold(Acquire::exclusive().trylock(), Location::caller()), inner })
    }

    /// Acquires for reading with the right to [upgrade](RwLockUpgradableReadGuard::upgrade). One thread at a time.
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) -> RwLockUpgradableReadGuard<'_, T> {
        let watched = self.book(Acquire::upgradable(), Location::caller());
        let (held, inner) = hooks::get(
            self.map.record(),
            watched,
            || self.inner.try_upgradable_read(),
            || self.inner.upgradable_read(),
        );
        RwLockUpgradableReadGuard { held, inner }
    }

    /// Acquires for upgradable reading if no writer or upgradable reader holds the lock.
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        let inner = self.inner.try_upgradable_read()?;
        Some(RwLockUpgradableReadGuard { held: self.hold(Acquire::upgradable().trylock(), Location::caller()), inner })
    }

    /// Returns the value through exclusive access to the lock, which needs no locking.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Returns whether anybody holds the lock at this moment.
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }

    /// Says that this thread may acquire for reading here, whether it does or not (see [`LockMap::might_acquire`]).
    #[inline]
    #[track_caller]
    pub fn might_read(&self) {
        self.map.might_acquire(Acquire::shared());
    }

    /// Says that this thread may acquire for writing here, whether it does or not (see [`LockMap::might_acquire`]).
    #[inline]
    #[track_caller]
    pub fn might_write(&self) {
        self.map.might_acquire(Acquire::exclusive());
    }

    /// Gives the lock another class (see [`LockMap::set_class`]).
    pub fn set_class(&mut self, class: &'static LockClass) {
        self.map.set_class(class);
    }

    /// Returns the record of the lock, for assertions.
    pub const fn map(&self) -> &LockMap {
        &self.map
    }

    #[inline(always)]
    #[track_caller]
    fn book(&self, how: Acquire, site: &'static Location<'static>) -> bool {
        hooks::book(self.map.record(), how, site)
    }

    #[inline(always)]
    #[track_caller]
    fn hold(&self, how: Acquire, site: &'static Location<'static>) -> hooks::Held<'_> {
        hooks::hold(self.map.record(), how, site)
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// Shared access to a [`RwLock`]; lets go when dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Dropped first, here and below: the record lets go before the lock does.
    #[allow(dead_code, reason = "held for its drop")]
    held: hooks::Held<'a>,
    inner: parking_lot::RwLockReadGuard<'a, T>,
}

/// Exclusive access to a [`RwLock`]; lets go when dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    held: hooks::Held<'a>,
    inner: parking_lot::RwLockWriteGuard<'a, T>,
}

/// Shared access to a [`RwLock`] that can become exclusive; lets go when dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockUpgradableReadGuard<'a, T: ?Sized> {
    held: hooks::Held<'a>,
    inner: parking_lot::RwLockUpgradableReadGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Becomes a reader without letting anybody in between.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let Self { held, inner } = this;
        held.set_mode(Mode::Shared);
        RwLockReadGuard { held, inner: parking_lot::RwLockWriteGuard::downgrade(inner) }
    }

    /// Becomes an upgradable reader without letting anybody in between.
    pub fn downgrade_to_upgradable(this: Self) -> RwLockUpgradableReadGuard<'a, T> {
        let Self { held, inner } = this;
        held.set_mode(Mode::Upgradable);
        RwLockUpgradableReadGuard { held, inner: parking_lot::RwLockWriteGuard::downgrade_to_upgradable(inner) }
    }
}

impl<'a, T: ?Sized> RwLockUpgradableReadGuard<'a, T> {
    /// Becomes the writer: waits for the readers that are inside.
    ///
    /// # Panics
    ///
    /// With the policy `panic`, if waiting for them under what the thread holds breaks a rule.
    #[track_caller]
    pub fn upgrade(this: Self) -> RwLockWriteGuard<'a, T> {
        let Self { held, inner } = this;
        held.upgrade(Location::caller());
        RwLockWriteGuard { held, inner: parking_lot::RwLockUpgradableReadGuard::upgrade(inner) }
    }

    /// Becomes the writer if no reader is inside.
    ///
    /// # Errors
    ///
    /// Returns the guard back if there are readers.
    pub fn try_upgrade(this: Self) -> Result<RwLockWriteGuard<'a, T>, Self> {
        let Self { held, inner } = this;
        match parking_lot::RwLockUpgradableReadGuard::try_upgrade(inner) {
            Ok(inner) => {
                held.set_mode(Mode::Exclusive);
                Ok(RwLockWriteGuard { held, inner })
            }
            Err(inner) => Err(Self { held, inner }),
        }
    }

    /// Becomes a plain reader.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let Self { held, inner } = this;
        held.set_mode(Mode::Shared);
        RwLockReadGuard { held, inner: parking_lot::RwLockUpgradableReadGuard::downgrade(inner) }
    }
}

macro_rules! access {
    ($($guard:ident),*) => {$(
        impl<T: ?Sized> Deref for $guard<'_, T> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                &self.inner
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&**self, f)
            }
        }
    )*};
}

access!(RwLockReadGuard, RwLockWriteGuard, RwLockUpgradableReadGuard);

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
