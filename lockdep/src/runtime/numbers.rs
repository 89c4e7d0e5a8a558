//! [`Numbers`]: numbers for classes and for locks, given to whoever comes first.
//!
//! Two threads that ask at once are given the same number for a class: the registry knows its key. They may both make an
//! identity for one lock; the lock's own cell takes one of them, and both threads go on with that.

use std::{num::NonZeroUsize, sync::atomic::Ordering::Relaxed};

use lockdep_core::{ClassKey, ClassRegistry, Site};

use super::sync::{AtomicUsize, Map, Mutex, OnceNonZeroUsize};

/// Hands out numbers.
#[derive(Debug)]
pub(super) struct Numbers {
    registry: Mutex<ClassRegistry>,
    /// The class of a construction site, by the address of its location. The compiler may make several of one line; the
    /// registry, which goes by content, makes them one class again.
    by_site: Map<usize, u32>,
    serial: AtomicUsize,
}

impl Default for Numbers {
    fn default() -> Self {
        let mut registry = ClassRegistry::default();
        // Number 0 stays free: a lock without an identity looks as if it were of that class, and nothing of it is ever
        // proven.
        registry.register(ClassKey::Explicit(0), "none", None);
        Self { registry: Mutex::new(registry), by_site: Map::default(), serial: AtomicUsize::new(1) }
    }
}

impl Numbers {
    /// Returns the number of a declared class, which is kept in `cell`.
    pub(super) fn declared(&self, cell: &OnceNonZeroUsize, key: u64, name: &str, site: impl FnOnce() -> Site) -> u32 {
        let register = || {
            let site = site();
            let id = self.registry.lock().register(ClassKey::Explicit(key), name, Some(site));
            NonZeroUsize::MIN.saturating_add(id.base() as usize)
        };
        cell.get_or_init(register).get() as u32 - 1
    }

    /// Returns the number of the class of a construction site, whose location is at this address.
    pub(super) fn construction(&self, address: usize, site: impl FnOnce() -> Site) -> u32 {
        if let Some(known) = self.by_site.read(&address, |known| *known) {
            return known;
        }
        let place = site();
        let name = place.to_string();
        let base = self.registry.lock().register(ClassKey::Site(place.clone()), &name, Some(place)).base();
        self.by_site.update(address, || base, |_| ());
        base
    }

    /// Returns the number of the class of a construction site, if nobody keeps it from being read.
    pub(super) fn construction_at_hand(&self, address: usize) -> Option<u32> {
        self.by_site.try_read(&address, |known| *known)
    }

    /// Returns a number that no lock has.
    pub(super) fn serial(&self) -> usize {
        self.serial.fetch_add(1, Relaxed)
    }

    /// Looks at what is known of classes.
    pub(super) fn with<R>(&self, look: impl FnOnce(&ClassRegistry) -> R) -> R {
        look(&self.registry.lock())
    }
}
