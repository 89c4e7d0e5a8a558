//! Locks under one face: three ways to acquire each.

use std::hint::black_box;

use lockdep::LockClass;

/// A lock together with one way to acquire it.
pub trait Lock: Sized {
    /// What unlocks when dropped.
    type Guard<'a>
    where
        Self: 'a;

    /// Makes a lock; only lockdep asks for its class.
    fn new(class: &'static LockClass) -> Self;

    /// Acquires, at the caller's line.
    #[track_caller]
    fn acquire(&self) -> Self::Guard<'_>;
}

/// Eight classes, as many as a sample ever holds locks of.
pub static CLASSES: [LockClass; 8] = [
    LockClass::new("0"),
    LockClass::new("1"),
    LockClass::new("2"),
    LockClass::new("3"),
    LockClass::new("4"),
    LockClass::new("5"),
    LockClass::new("6"),
    LockClass::new("7"),
];

/// Acquires and releases, `times` times.
#[inline(never)]
pub fn spin<L: Lock>(lock: &L, times: u64) {
    for _ in 0..times {
        drop(black_box(lock).acquire());
    }
}

/// Declares types that implement [`Lock`].
macro_rules! locks {
    ($($(#[$doc:meta])* $name:ident($lock:ty) -> $guard:ty, |$class:ident| $new:expr, |$inner:ident| $acquire:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name($lock);

        impl $crate::locks::Lock for $name {
            type Guard<'a> = $guard;

            fn new($class: &'static lockdep::LockClass) -> Self {
                Self($new)
            }

            // The face must cost nothing of its own.
            #[inline(always)]
            #[track_caller]
            fn acquire(&self) -> Self::Guard<'_> {
                let $inner = &self.0;
                $acquire
            }
        }
    )*};
}

locks! {
    /// parking_lot's mutex: what all others are compared with.
    PlainMutex(parking_lot::Mutex<u64>) -> parking_lot::MutexGuard<'a, u64>,
        |_class| parking_lot::Mutex::new(0), |lock| lock.lock();
    /// parking_lot's readers-writer lock, read.
    PlainRead(parking_lot::RwLock<u64>) -> parking_lot::RwLockReadGuard<'a, u64>,
        |_class| parking_lot::RwLock::new(0), |lock| lock.read();
    /// parking_lot's readers-writer lock, written.
    PlainWrite(parking_lot::RwLock<u64>) -> parking_lot::RwLockWriteGuard<'a, u64>,
        |_class| parking_lot::RwLock::new(0), |lock| lock.write();
    /// lockdep's mutex.
    WatchedMutex(lockdep::Mutex<u64>) -> lockdep::MutexGuard<'a, u64>,
        |class| lockdep::Mutex::new_in(class, 0), |lock| lock.lock();
    /// lockdep's readers-writer lock, read.
    WatchedRead(lockdep::RwLock<u64>) -> lockdep::RwLockReadGuard<'a, u64>,
        |class| lockdep::RwLock::new_in(class, 0), |lock| lock.read();
    /// lockdep's readers-writer lock, written.
    WatchedWrite(lockdep::RwLock<u64>) -> lockdep::RwLockWriteGuard<'a, u64>,
        |class| lockdep::RwLock::new_in(class, 0), |lock| lock.write();
}
