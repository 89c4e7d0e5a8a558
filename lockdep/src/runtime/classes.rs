//! Numbers for classes, and identities for locks, of the whole process.

use std::panic::Location;

use lockdep_core::{ClassId, Site};
use once_cell::sync::Lazy;

use super::{
    lock_id::{ClassRef, LockId},
    numbers::Numbers,
    paths,
};
use crate::LockClass;

static NUMBERS: Lazy<Numbers> = Lazy::new(Default::default);

/// Returns a new identity for a lock of this class.
pub(crate) fn identify(class: ClassRef) -> LockId {
    let number = match class {
        ClassRef::Explicit(class) => declared(class),
        ClassRef::Site(site) => NUMBERS.construction(std::ptr::from_ref(site).addr(), || site_of(site)),
    };
    new_identity(number)
}

/// Returns a new identity for a lock of the class that has this number.
pub(crate) fn new_identity(class: u32) -> LockId {
    LockId::new(class, NUMBERS.serial())
}

/// Returns the number of a class, if that takes neither a lock nor memory.
pub(crate) fn number_at_hand(class: ClassRef) -> Option<u32> {
    let numbers = Lazy::get(&NUMBERS)?;
    match class {
        ClassRef::Explicit(class) => class.cell().0.get().map(|number| number.get() as u32 - 1),
        ClassRef::Site(site) => numbers.construction_at_hand(std::ptr::from_ref(site).addr()),
    }
}

fn declared(class: &'static LockClass) -> u32 {
    let key = std::ptr::from_ref(class).addr() as u64;
    NUMBERS.declared(&class.cell().0, key, class.name(), || site_of(class.declared_at()))
}

/// Returns a place in the source as reports show it.
pub(super) fn site_of(location: &Location<'_>) -> Site {
    Site { file: paths::shorten(location.file()), line: location.line(), column: location.column() }
}

/// Returns the name of a class as reports show it.
pub(crate) fn label(class: ClassId) -> String {
    NUMBERS.with(|registry| registry.label(class))
}

/// Returns where a class was declared or its locks are constructed, and whether it was declared.
pub(super) fn origin(class: ClassId) -> (Option<Site>, bool) {
    NUMBERS
        .with(|registry| registry.get(class).map_or((None, false), |info| (info.site().cloned(), info.is_explicit())))
}
