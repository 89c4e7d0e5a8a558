//! What the concurrent cores are built of: `attention`, `points`, `numbers`, `budget`.
//!
//! They name nothing else that synchronises. The package `lockdep/loom` compiles the same files with a module of this
//! name that is made of loom's types, and tries all their schedules.

use std::hash::Hash;
pub(super) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize};

use dashmap::DashMap;
pub(super) use once_cell::race::OnceNonZeroUsize;
pub(super) use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

/// A map that threads share. No two of its methods are one step together.
#[derive(Debug)]
pub(super) struct Map<K: Eq + Hash, V>(DashMap<K, V, FxBuildHasher>);

impl<K: Eq + Hash, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(DashMap::default())
    }
}

impl<K: Eq + Hash, V> Map<K, V> {
    /// Looks at a value.
    pub(super) fn read<R>(&self, key: &K, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.get(key).map(|value| look(&value))
    }

    /// Looks at a value if that takes no wait.
    pub(super) fn try_read<R>(&self, key: &K, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.try_get(key).try_unwrap().map(|value| look(&value))
    }

    /// Changes a value, which is `new` if there is none.
    pub(super) fn update<R>(&self, key: K, new: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> R) -> R {
        change(&mut self.0.entry(key).or_insert_with(new))
    }

    /// Changes all values, one after another.
    pub(super) fn update_all(&self, mut change: impl FnMut(&mut V)) {
        self.0.iter_mut().for_each(|mut value| change(&mut value));
    }

    /// Returns how many values there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
