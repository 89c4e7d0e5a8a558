//! [`ClassTraits`]: what a class says of itself, for the rules that need more than its number.

use serde::{Deserialize, Serialize};

use crate::{class::ClassId, context::WaitTypes};

/// How much of a class is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checking {
    /// Everything.
    #[default]
    Full,
    /// Only what the held stack alone shows (release, exit, freeing, wait types): no order, no recursion, no usage.
    StackOnly,
}

/// The order of two locks of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SameClass {
    /// They do not nest, unless a subclass or a nest lock says so.
    #[default]
    Forbidden,
    /// They nest in one order, lock by lock, which is learnt.
    Learnt,
    /// They nest in the order of their ranks, lowest first: an address or a key. Every acquisition gives the lock's rank.
    ByRank,
    /// They nest as a function of the program says of their ranks ([`Request::precedes`](crate::Request::precedes)). Where
    /// there is no such function, as in a replay, they nest in any order.
    Compared,
}

impl SameClass {
    /// Returns whether the order is one of ranks, so that which locks they are decides, each time.
    pub(crate) const fn is_declared(self) -> bool {
        matches!(self, Self::ByRank | Self::Compared)
    }
}

/// What a class says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassTraits {
    /// What waiting for it needs, what it allows.
    #[serde(flatten)]
    pub wait: WaitTypes,
    /// How much is checked.
    pub checking: Checking,
    /// How its locks nest.
    pub same_class: SameClass,
    /// Whether every processor has a lock of its own (the kernel's `local_lock`): no other processor waits for it, so no
    /// way from one handler to another leads through it.
    pub per_cpu: bool,
}

/// The traits of all classes, by base number. A class that says nothing is as usual.
#[derive(Debug, Default)]
pub(crate) struct TraitTable {
    usual: ClassTraits,
    declared: Vec<Option<ClassTraits>>,
}

impl TraitTable {
    pub(crate) const fn new(usual: ClassTraits) -> Self {
        Self { usual, declared: Vec::new() }
    }

    pub(crate) fn set(&mut self, class: ClassId, traits: ClassTraits) {
        let index = class.base() as usize;
        if self.declared.len() <= index {
            self.declared.resize(index + 1, None);
        }
        self.declared[index] = Some(traits);
    }

    pub(crate) fn get(&self, class: ClassId) -> ClassTraits {
        self.declared.get(class.base() as usize).copied().flatten().unwrap_or(self.usual)
    }

    /// Returns whether dependencies of the class are learnt.
    pub(crate) fn is_ordered(&self, class: ClassId) -> bool {
        self.get(class).checking == Checking::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_are_those_of_the_base_class() {
        let mut table = TraitTable::default();
        let traits = ClassTraits { per_cpu: true, ..ClassTraits::default() };
        table.set(ClassId::new(5), traits);
        assert_eq!(table.get(ClassId::new(5).nested(crate::Subclass::new(3))), traits);
        assert_eq!(table.get(ClassId::new(4)), ClassTraits::default());
        assert!(table.is_ordered(ClassId::new(900)));
        let usual = TraitTable::new(traits);
        assert_eq!(usual.get(ClassId::new(1)), traits);
    }
}
