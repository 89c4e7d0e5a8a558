//! Explicit lock classes: what a `static` names when the construction site is too narrow or too wide a class.

use std::panic::Location;

use crate::hooks;

/// A lock class: all locks that are under one rule.
///
/// Everything that is learnt is learnt per class. Declare one as a `static` and construct every lock that belongs to it
/// with `new_in`. Locks constructed with `new` need none: their class is the place of construction.
///
/// Two locks of one explicit class may be held together by one thread only if the inner one is acquired with a
/// [`Subclass`](crate::Subclass) (`lock_nested`).
///
/// ```
/// use lockdep::{LockClass, RwLock};
///
/// static MMAP_LOCK: LockClass = LockClass::new("mm->mmap_lock");
/// let mm = RwLock::new_in(&MMAP_LOCK, ());
/// assert_eq!(MMAP_LOCK.name(), "mm->mmap_lock");
/// # drop(mm.read());
/// ```
#[derive(Debug)]
pub struct LockClass {
    name: &'static str,
    declared: &'static Location<'static>,
    cell: hooks::ClassCell,
}

impl LockClass {
    /// Declares a class. Two classes may share a name; reports then number them (`name#2`).
    #[track_caller]
    pub const fn new(name: &'static str) -> Self {
        Self { name, declared: Location::caller(), cell: hooks::ClassCell::new() }
    }

    /// Returns the name that reports show.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns where the class was declared.
    pub const fn declared_at(&self) -> &'static Location<'static> {
        self.declared
    }

    /// The number of the class in this process, once it has one.
    #[allow(dead_code, reason = "only the hooks of a build with checking ask for it")]
    pub(crate) const fn cell(&self) -> &hooks::ClassCell {
        &self.cell
    }
}
