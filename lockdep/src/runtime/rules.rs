//! [`ClassRules`]: what a class says of its locks, as the validator wants to know it.

use lockdep_core::{Checking, ClassTraits, SameClass, WaitType, WaitTypes};

/// What a class is like that says nothing: its locks block the thread, as those of this crate do.
pub(super) const USUAL: ClassTraits = ClassTraits {
    wait: WaitTypes::both(WaitType::Sleep),
    checking: Checking::Full,
    same_class: SameClass::Forbidden,
    per_cpu: false,
};

/// What a class says of its locks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassRules {
    pub(super) traits: ClassTraits,
    /// Whether the address of a lock is its rank.
    pub(super) by_address: bool,
    /// What compares two ranks, if that is not their size.
    pub(super) precedes: Option<fn(u64, u64) -> bool>,
    /// Whether its locks are watched at all.
    pub(super) tracked: bool,
}

impl ClassRules {
    pub(crate) const USUAL: Self = Self { traits: USUAL, by_address: false, precedes: None, tracked: true };

    pub(crate) const fn waiting(self, needs: WaitType, allows: WaitType) -> Self {
        let wait = WaitTypes { outer: Some(needs), inner: Some(allows) };
        Self { traits: ClassTraits { wait, ..self.traits }, ..self }
    }

    pub(crate) const fn learnt(self) -> Self {
        Self { traits: ClassTraits { same_class: SameClass::Learnt, ..self.traits }, by_address: false, ..self }
    }

    pub(crate) const fn ranked(self, by_address: bool) -> Self {
        Self { traits: ClassTraits { same_class: SameClass::ByRank, ..self.traits }, by_address, ..self }
    }

    pub(crate) const fn compared(self, precedes: fn(u64, u64) -> bool) -> Self {
        let traits = ClassTraits { same_class: SameClass::Compared, ..self.traits };
        Self { traits, by_address: false, precedes: Some(precedes), ..self }
    }

    pub(crate) const fn stack_only(self) -> Self {
        Self { traits: ClassTraits { checking: Checking::StackOnly, ..self.traits }, ..self }
    }

    pub(crate) const fn per_cpu(self) -> Self {
        Self { traits: ClassTraits { per_cpu: true, ..self.traits }, ..self }
    }

    pub(crate) const fn untracked(self) -> Self {
        Self { tracked: false, ..self }
    }
}
