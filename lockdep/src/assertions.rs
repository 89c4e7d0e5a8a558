//! Assertions of what this thread holds. Where nobody knows, because checking is not compiled in or is switched off, they
//! pass.

use crate::{LockMap, Mode, hooks};

impl LockMap {
    /// Returns whether this thread holds the lock, or `None` where nobody knows: checking is not compiled in, or is
    /// switched off.
    pub fn is_held(&self) -> Option<bool> {
        hooks::held_mode(&self.record).map(|mode| mode.is_some())
    }

    /// Returns whether this thread holds the lock for itself alone, or `None` where nobody knows.
    pub fn is_held_exclusive(&self) -> Option<bool> {
        hooks::held_mode(&self.record).map(|mode| mode == Some(Mode::Exclusive))
    }

    /// Returns whether this thread holds the lock as a reader, also one that can upgrade, or `None` where nobody knows.
    pub fn is_held_shared(&self) -> Option<bool> {
        hooks::held_mode(&self.record).map(|mode| mode.is_some_and(|mode| mode != Mode::Exclusive))
    }

    /// Asserts that this thread holds the lock.
    ///
    /// ```
    /// let count = lockdep::Mutex::new(0);
    /// let guard = count.lock();
    /// count.map().assert_held();
    /// # drop(guard);
    /// ```
    ///
    /// # Panics
    ///
    /// If this thread does not hold it.
    #[track_caller]
    pub fn assert_held(&self) {
        assert!(self.is_held() != Some(false), "the lock{} is not held by this thread", self.described());
    }

    /// Asserts that this thread holds the lock for itself alone.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn assert_held_exclusive(&self) {
        let held = self.is_held_exclusive();
        assert!(held != Some(false), "the lock{} is not held exclusively by this thread", self.described());
    }

    /// Asserts that this thread holds the lock as a reader.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn assert_held_shared(&self) {
        let held = self.is_held_shared();
        assert!(held != Some(false), "the lock{} is not held for reading by this thread", self.described());
    }

    /// Asserts that this thread does not hold the lock. Others may.
    ///
    /// # Panics
    ///
    /// If it does.
    #[track_caller]
    pub fn assert_not_held(&self) {
        assert!(self.is_held() != Some(true), "the lock{} is held by this thread", self.described());
    }

    /// Returns the name of the class for a message.
    fn described(&self) -> String {
        hooks::class_label(&self.record).map_or_else(String::new, |name| format!(" ({name})"))
    }
}

/// Returns how many locks this thread holds, or `None` where nobody knows.
pub fn held_count() -> Option<usize> {
    hooks::held_count()
}

/// Asserts that this thread holds no lock: where a task ends, a request is answered, control goes back to a program that is
/// not ours.
///
/// # Panics
///
/// If it holds one.
#[track_caller]
pub fn assert_nothing_held() {
    let held = held_count().unwrap_or(0);
    assert!(held == 0, "this thread still holds {held} {}", if held == 1 { "lock" } else { "locks" });
}
