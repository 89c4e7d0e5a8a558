//! What the runtime's module of this name has, made of loom's types.

use std::{collections::HashMap, hash::Hash, num::NonZeroUsize, sync::atomic::Ordering};

use loom::sync::MutexGuard;
pub(super) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize};

/// A mutex as parking_lot has it.
#[derive(Debug, Default)]
pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("nobody panics with it")
    }
}

/// A map whose every method is one step, as long as they concern one key.
#[derive(Debug)]
pub(super) struct Map<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Copy, V> Map<K, V> {
    pub(super) fn read<R>(&self, key: &K, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.lock().get(key).map(look)
    }

    pub(super) fn try_read<R>(&self, key: &K, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.read(key, look)
    }

    pub(super) fn update<R>(&self, key: K, new: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> R) -> R {
        change(self.0.lock().entry(key).or_insert_with(new))
    }

    pub(super) fn update_all(&self, mut change: impl FnMut(&mut V)) {
        // One value at a time, as where the values are behind many locks.
        let keys: Vec<K> = self.0.lock().keys().copied().collect();
        for key in keys {
            self.0.lock().get_mut(&key).into_iter().for_each(&mut change);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A cell that several threads may try to fill: the first one wins, as in once_cell's `race`.
#[derive(Debug, Default)]
pub(super) struct OnceNonZeroUsize(AtomicUsize);

impl OnceNonZeroUsize {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn get(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.0.load(Ordering::Acquire))
    }

    pub(super) fn get_or_init(&self, init: impl FnOnce() -> NonZeroUsize) -> NonZeroUsize {
        self.get().unwrap_or_else(|| {
            let new = init();
            match self.0.compare_exchange(0, new.get(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => new,
                Err(old) => NonZeroUsize::new(old).expect("it was not 0"),
            }
        })
    }
}
