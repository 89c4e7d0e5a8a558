//! [`Region`]: work that other code may have to wait for without calling it, such as reclaim under an allocation.

use std::{marker::PhantomData, panic::Location};

use crate::{Acquire, LockClass, LockMap, hooks};

/// Work that a thread may be drawn into, or have to wait for, wherever it does something harmless-looking: reclaiming
/// memory under an allocation, flushing a log under a write, running a callback.
///
/// Who does the work says so with [`enter`](Self::enter); who may have to wait for it says [`may_enter`](Self::may_enter)
/// every time, so that the one run in which it does happen is not needed to see the deadlock. Where it cannot happen,
/// [`bar`](Self::bar) it.
///
/// ```
/// use lockdep::{LockClass, Mutex, Region};
///
/// static RECLAIM: LockClass = LockClass::new("reclaim");
/// let (reclaim, cache) = (Region::new_in(&RECLAIM), Mutex::new(0));
/// let allocate = || reclaim.may_enter();
///
/// let shrink = || {
///     let _inside = reclaim.enter();
///     *cache.lock() = 0;
/// };
/// shrink();
/// {
///     let _cache = cache.lock();
///     let _no_reclaim = reclaim.bar(); // without it: cache -> reclaim -> cache
///     allocate();
/// }
/// ```
#[derive(Debug, Default)]
pub struct Region {
    map: LockMap,
}

impl Region {
    /// A region whose class is the place of the call.
    #[track_caller]
    pub const fn new() -> Self {
        Self { map: LockMap::new() }
    }

    /// A region of an explicit class.
    pub const fn new_in(class: &'static LockClass) -> Self {
        Self { map: LockMap::new_in(class) }
    }

    /// Says that this thread does the work until the result is dropped.
    ///
    /// # Panics
    ///
    /// With the policy [`Policy::Panic`](crate::Policy::Panic), if entering breaks a rule.
    #[track_caller]
    pub fn enter(&self) -> InRegion<'_> {
        let held = (!hooks::is_barred(self.map.record()))
            .then(|| hooks::hold(self.map.record(), Acquire::exclusive(), Location::caller()));
        InRegion { _held: held, not_send: PhantomData }
    }

    /// Says that this thread may have to do the work here, or wait for it.
    ///
    /// # Panics
    ///
    /// As [`enter`](Self::enter).
    #[track_caller]
    pub fn may_enter(&self) {
        if !hooks::is_barred(self.map.record()) {
            let _left_at_once = hooks::hold(self.map.record(), Acquire::exclusive(), Location::caller());
        }
    }

    /// Keeps this thread out of the region until the result is dropped. It nests.
    pub fn bar(&self) -> Barred<'_> {
        Barred { _bar: hooks::bar(self.map.record()), not_send: PhantomData }
    }
}

/// This thread is in a [`Region`] until this is dropped.
#[must_use = "if unused the region is left at once"]
#[derive(Debug)]
pub struct InRegion<'a> {
    _held: Option<hooks::Held<'a>>,
    not_send: PhantomData<*const ()>,
}

/// This thread cannot enter a [`Region`] until this is dropped.
#[must_use = "if unused the region can be entered again at once"]
#[derive(Debug)]
pub struct Barred<'a> {
    _bar: hooks::Bar<'a>,
    not_send: PhantomData<*const ()>,
}
