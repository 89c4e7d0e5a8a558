//! Numbers for classes, and identities for locks.

use std::{
    num::NonZeroUsize,
    panic::Location,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use dashmap::DashMap;
use lockdep_core::{ClassId, ClassKey, ClassRegistry, Site};
use once_cell::sync::Lazy;
use parking_lot::RwLock;
use rustc_hash::FxBuildHasher;

use super::paths;
use crate::{
    LockClass,
    hooks::{ClassRef, LockId},
};

static REGISTRY: Lazy<RwLock<ClassRegistry>> = Lazy::new(|| {
    let mut registry = ClassRegistry::default();
    // Number 0 stays free: a lock without an identity looks as if it were of that class, and nothing of it is ever proven.
    registry.register(ClassKey::Explicit(0), "none", None);
    RwLock::new(registry)
});

/// The class of a construction site, by the address of its [`Location`]. The compiler may make several of one line;
/// the registry, which goes by content, makes them one class again.
static BY_SITE: Lazy<DashMap<usize, u32, FxBuildHasher>> = Lazy::new(Default::default);

static SERIAL: AtomicUsize = AtomicUsize::new(1);

/// Returns a new identity for a lock of this class.
pub(crate) fn identify(class: ClassRef) -> LockId {
    let number = match class {
        ClassRef::Explicit(class) => explicit(class),
        ClassRef::Site(site) => construction(site),
    };
    LockId::new(number, SERIAL.fetch_add(1, Relaxed))
}

fn explicit(class: &'static LockClass) -> u32 {
    let register = || {
        let key = ClassKey::Explicit(std::ptr::from_ref(class).addr() as u64);
        let id = REGISTRY.write().register(key, class.name(), Some(site_of(class.declared_at())));
        NonZeroUsize::MIN.saturating_add(id.base() as usize)
    };
    class.cell().0.get_or_init(register).get() as u32 - 1
}

fn construction(site: &'static Location<'static>) -> u32 {
    let address = std::ptr::from_ref(site).addr();
    if let Some(known) = BY_SITE.get(&address) {
        return *known;
    }
    let place = site_of(site);
    let name = place.to_string();
    let id = REGISTRY.write().register(ClassKey::Site(place.clone()), &name, Some(place));
    BY_SITE.insert(address, id.base());
    id.base()
}

/// Returns a place in the source as reports show it.
pub(super) fn site_of(location: &Location<'_>) -> Site {
    Site { file: paths::shorten(location.file()), line: location.line(), column: location.column() }
}

/// Returns the name of a class as reports show it.
pub(super) fn label(class: ClassId) -> String {
    REGISTRY.read().label(class)
}

/// Returns where a class was declared or its locks are constructed, and whether it was declared.
pub(super) fn origin(class: ClassId) -> (Option<Site>, bool) {
    let registry = REGISTRY.read();
    registry.get(class).map_or((None, false), |info| (info.site().cloned(), info.is_explicit()))
}
