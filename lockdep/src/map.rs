//! The record that a lock carries, and the hooks for anything that blocks like one. What can be asserted of it is in
//! `assertions`.

use std::{marker::PhantomData, panic::Location};

use crate::{Holder, LockClass, Mode, Subclass, hooks};

/// How a lock is acquired: the mode, whether the acquisition may block, and the subclass.
///
/// ```
/// use lockdep::{Acquire, Subclass};
///
/// let how = Acquire::exclusive().nested(Subclass::new(1)).trylock();
/// assert_ne!(how, Acquire::exclusive());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Acquire {
    pub(crate) mode: Mode,
    pub(crate) subclass: Subclass,
    pub(crate) trylock: bool,
}

impl Acquire {
    const fn new(mode: Mode) -> Self {
        Self { mode, subclass: Subclass::DEFAULT, trylock: false }
    }

    /// Blocks while anybody else holds the lock, and blocks everybody else.
    pub const fn exclusive() -> Self {
        Self::new(Mode::Exclusive)
    }

    /// A plain reader: blocks while a writer holds the lock or waits for it.
    pub const fn shared() -> Self {
        Self::new(Mode::Shared)
    }

    /// A recursive reader: blocks only while a writer holds the lock, never for one that waits.
    pub const fn shared_recursive() -> Self {
        Self::new(Mode::SharedRecursive)
    }

    /// The one reader that may become a writer without letting go.
    pub const fn upgradable() -> Self {
        Self::new(Mode::Upgradable)
    }

    /// The same with a subclass, for locks of one class that are nested by intent.
    pub const fn nested(self, subclass: Subclass) -> Self {
        Self { subclass, ..self }
    }

    /// The same without blocking. Such an acquisition depends on nothing that is held; what is acquired under it does
    /// depend on it.
    pub const fn trylock(self) -> Self {
        Self { trylock: true, ..self }
    }
}

/// The record that a lock carries: its class and its identity (the kernel's `lockdep_map`).
///
/// The lock types of this crate have one inside. Put one into anything else that blocks like a lock and call its hooks:
/// [`acquire`](Self::acquire) *before* blocking (or after a trylock succeeded), [`release`](Self::release) when letting
/// go. Without the feature `enabled` it is zero-sized and its methods do nothing.
///
/// ```
/// use lockdep::{Acquire, LockClass, LockMap};
///
/// static FS_RECLAIM: LockClass = LockClass::new("fs_reclaim");
/// static RECLAIM: LockMap = LockMap::new_in(&FS_RECLAIM);
///
/// fn allocate() {
///     // This allocation may have to wait for reclaim: say so, every time, whether it does or not.
///     RECLAIM.acquire(Acquire::exclusive());
///     RECLAIM.release();
/// }
/// # allocate();
/// ```
#[derive(Debug)]
pub struct LockMap {
    pub(crate) record: hooks::Record,
}

impl LockMap {
    /// A record whose class is the place of the call.
    #[track_caller]
    pub const fn new() -> Self {
        Self { record: hooks::Record::at(Location::caller()) }
    }

    /// A record of an explicit class.
    pub const fn new_in(class: &'static LockClass) -> Self {
        Self { record: hooks::Record::of(class) }
    }

    /// Checks and records an acquisition by this thread. Call it before blocking, or after a trylock has succeeded.
    ///
    /// # Panics
    ///
    /// With the policy [`Policy::Panic`](crate::Policy::Panic), if the acquisition breaks a rule. Nothing is then
    /// recorded as held.
    #[inline]
    #[track_caller]
    pub fn acquire(&self, how: Acquire) {
        hooks::acquire(&self.record, how, Location::caller());
    }

    /// As [`acquire`](Self::acquire), for a lock whose class nests its locks by rank
    /// ([`LockClass::ranked`]): this one is of rank `rank`.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_ranked(&self, how: Acquire, rank: u64) {
        hooks::acquire_ranked(&self.record, how, rank, Location::caller());
    }

    /// As [`acquire`](Self::acquire), for one of several locks of its class that `nest` keeps others from nesting: who
    /// nests them holds `nest`. That is checked, now and when `nest` is released; locks of the class that were acquired
    /// since do not forbid this one. Dependencies on everything else are learnt as usual.
    ///
    /// ```
    /// use lockdep::{Acquire, LockClass, LockMap, Mutex};
    ///
    /// static VMA: LockClass = LockClass::new("vma");
    /// let mm = Mutex::new(());
    /// let vmas = [LockMap::new_in(&VMA), LockMap::new_in(&VMA)];
    /// let _mm = mm.lock();
    /// vmas.iter().for_each(|vma| vma.acquire_under(Acquire::exclusive(), mm.map()));
    /// vmas.iter().for_each(|vma| vma.release());
    /// ```
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_under(&self, how: Acquire, nest: &Self) {
        hooks::acquire_under(&self.record, how, &nest.record, Location::caller());
    }

    /// Records that this thread has let go. Locks may be released in any order.
    #[inline]
    #[track_caller]
    pub fn release(&self) {
        hooks::release(&self.record, Location::caller());
    }

    /// Records that the lock, which `holder` acquired, is free: whoever was handed it let go of it. The holder may be any
    /// thread, or this one.
    ///
    /// Others may wait for the lock by then, and have said that they acquire it; so it takes the holder to tell whose
    /// record it is. Keep a [`Holder`] beside whatever is handed over.
    ///
    /// ```
    /// use lockdep::{Acquire, Holder, LockClass, LockMap};
    ///
    /// static FOLIO: LockClass = LockClass::new("folio");
    /// let folio = LockMap::new_in(&FOLIO);
    /// folio.acquire(Acquire::exclusive());
    /// let holder = Holder::current();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| folio.release_for(holder)); // the end of the transfer unlocks
    /// });
    /// # assert_ne!(folio.is_held(), Some(true));
    /// ```
    #[inline]
    pub fn release_for(&self, holder: Holder) {
        hooks::release_for(&self.record, holder);
    }

    /// Records that this thread, which holds the lock, holds it in another mode from now on without having waited, such
    /// as a writer that has become a reader.
    #[inline]
    pub fn set_mode(&self, mode: Mode) {
        hooks::set_mode(&self.record, mode);
    }

    /// Checks and records that the upgradable reader becomes a writer, which waits for the other readers.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn upgrade(&self) {
        hooks::upgrade(&self.record, Location::caller());
    }

    /// Says that this thread may acquire the lock here, whether it does or not: a path that is seldom taken then counts
    /// every time. Checked and learnt as an acquisition that is released at once.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn might_acquire(&self, how: Acquire) {
        let _released_at_once = hooks::hold(&self.record, how, Location::caller());
    }

    /// Checks and records that this thread waits here until nobody holds the lock, and does not hold it afterwards: the
    /// end of a grace period, of all workers, of what is under way.
    ///
    /// ```
    /// use lockdep::{Acquire, LockClass, LockMap, Mutex};
    ///
    /// static READERS: LockClass = LockClass::new("readers");
    /// let (readers, list) = (LockMap::new_in(&READERS), Mutex::new(vec![1]));
    /// list.lock().clear();
    /// readers.sync(Acquire::exclusive()); // not while `list` is held, if readers take it
    /// ```
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn sync(&self, how: Acquire) {
        hooks::sync(&self.record, how, Location::caller());
    }

    /// Gets the lock that was [acquired](Self::acquire) in the books: by `wait`, which blocks until it has it. While
    /// [statistics](crate::set_statistics) are on, `attempt` comes first, and only what is then waited counts as a wait.
    #[inline]
    pub fn timed<G>(&self, attempt: impl FnOnce() -> Option<G>, wait: impl FnOnce() -> G) -> G {
        hooks::timed(&self.record, attempt, wait)
    }

    /// Gives the lock another class, before anybody acquires it or between two uses.
    ///
    /// ```
    /// use lockdep::{LockClass, LockMap};
    ///
    /// static ROOT: LockClass = LockClass::new("root directory");
    /// let mut map = LockMap::new(); // of the class of all directories
    /// map.set_class(&ROOT);
    /// assert_ne!(map.is_of(&ROOT), Some(false));
    /// ```
    pub fn set_class(&mut self, class: &'static LockClass) {
        self.record = hooks::Record::of(class);
    }

    /// Returns whether the lock is of this declared class, or `None` where nobody knows.
    pub fn is_of(&self, class: &'static LockClass) -> Option<bool> {
        self.record.is_of(class)
    }

    /// Pins the lock, which this thread holds: it must not be released before the result is dropped. Put one around a
    /// callback that must not let go of the caller's lock, not even to take it again.
    ///
    /// # Panics
    ///
    /// With the policy [`Policy::Panic`](crate::Policy::Panic), if this thread does not hold the lock. Releasing it while
    /// it is pinned then panics, too.
    #[track_caller]
    pub fn pin(&self) -> Pinned<'_> {
        Pinned { _pin: hooks::pin(&self.record, Location::caller()), not_send: PhantomData }
    }

    pub(crate) const fn record(&self) -> &hooks::Record {
        &self.record
    }
}

/// A lock is pinned until this is dropped (see [`LockMap::pin`]).
#[must_use = "if unused the pin is gone at once"]
#[derive(Debug)]
pub struct Pinned<'a> {
    _pin: hooks::Pin<'a>,
    not_send: PhantomData<*const ()>,
}

impl Default for LockMap {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}
