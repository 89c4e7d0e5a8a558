//! [`Record`]: what a lock carries.

use std::{num::NonZeroUsize, panic::Location};

use once_cell::race::OnceNonZeroUsize;

use super::{
    classes,
    lock_id::{ClassRef, LockId},
    rules::ClassRules,
};
use crate::LockClass;

/// What a lock carries: its class, and, once it has been acquired, class number and identity in one word.
#[derive(Debug)]
pub(crate) struct Record {
    class: ClassRef,
    id: OnceNonZeroUsize,
}

impl Record {
    pub(crate) const fn at(site: &'static Location<'static>) -> Self {
        Self { class: ClassRef::Site(site), id: OnceNonZeroUsize::new() }
    }

    pub(crate) const fn of(class: &'static LockClass) -> Self {
        Self { class: ClassRef::Explicit(class), id: OnceNonZeroUsize::new() }
    }

    /// Returns the identity, if the lock has ever been acquired.
    #[inline]
    pub(crate) fn known_id(&self) -> Option<LockId> {
        self.id.get().map(LockId::of_word)
    }

    /// Returns the identity as a word, 0 if there is none.
    #[inline]
    pub(crate) fn word(&self) -> usize {
        self.id.get().map_or(0, NonZeroUsize::get)
    }

    /// Returns the identity, giving the lock one if it has none and that takes neither a lock nor memory.
    pub(crate) fn id_at_hand(&self) -> Option<LockId> {
        self.known_id().or_else(|| {
            let number = classes::number_at_hand(self.class)?;
            Some(LockId::of_word(self.id.get_or_init(|| classes::new_identity(number).word())))
        })
    }

    /// Returns the identity, giving the lock one if it has none.
    pub(crate) fn id(&self) -> LockId {
        LockId::of_word(self.id.get_or_init(|| classes::identify(self.class).word()))
    }

    /// Returns whether the lock is of this declared class.
    pub(crate) fn is_of(&self, class: &'static LockClass) -> Option<bool> {
        Some(matches!(self.class, ClassRef::Explicit(own) if std::ptr::eq(own, class)))
    }

    /// Returns what its class says of itself.
    pub(crate) const fn rules(&self) -> ClassRules {
        match self.class {
            ClassRef::Explicit(class) => class.rules(),
            ClassRef::Site(_) => ClassRules::USUAL,
        }
    }

    /// Returns whether the locks of this class have an order of their own.
    pub(crate) const fn orders_instances(&self) -> bool {
        matches!(self.class, ClassRef::Site(_))
    }
}
