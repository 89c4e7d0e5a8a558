//! Lock classes: what is learnt is learnt per class, never per lock.
//!
//! A class is named by a `static` (explicit) or by the place that constructs its locks. The [`ClassRegistry`] numbers
//! them: a [`ClassId`] is a base number and a [`Subclass`], so that a nesting level needs no registration of its own.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The file, relative to the workspace where that is known.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 where it is not known.
    #[serde(default)]
    pub column: u32,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            0 => write!(f, "{}:{}", self.file, self.line),
            column => write!(f, "{}:{}:{column}", self.file, self.line),
        }
    }
}

/// A nesting level inside a class: two locks of one class may nest when their levels differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Subclass(u8);

impl Subclass {
    /// The level of an acquisition that names none.
    pub const DEFAULT: Self = Self(0);

    /// Level `level`.
    pub const fn new(level: u8) -> Self {
        Self(level)
    }

    /// Returns the level.
    pub const fn level(self) -> u8 {
        self.0
    }
}

/// A class as the validator knows it: a base number and a subclass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(u32);

impl ClassId {
    /// How many classes there can be, subclasses not counted.
    pub const MAX_CLASSES: u32 = 1 << 24;

    /// The class numbered `base` (below [`MAX_CLASSES`](Self::MAX_CLASSES)), at its default level.
    ///
    /// # Panics
    ///
    /// If `base` is out of range.
    pub const fn new(base: u32) -> Self {
        assert!(base < Self::MAX_CLASSES, "class number out of range");
        Self(base << 8)
    }

    /// The same class at another level.
    #[inline]
    #[must_use]
    pub const fn nested(self, subclass: Subclass) -> Self {
        Self(self.0 & !0xff | subclass.0 as u32)
    }

    /// Returns the base number.
    #[inline]
    pub const fn base(self) -> u32 {
        self.0 >> 8
    }

    /// Returns the level.
    pub const fn subclass(self) -> Subclass {
        Subclass(self.0 as u8)
    }

    /// Returns base number and level as one number.
    #[inline]
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The inverse of [`as_u32`](Self::as_u32).
    #[inline]
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Debug for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base(), self.subclass().0)
    }
}

/// What makes two locks belong to one class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClassKey {
    /// A declared class, by whatever tells two declarations apart (its address, in a process).
    Explicit(u64),
    /// All locks that one place constructs.
    Site(Site),
}

/// What is known of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassInfo {
    name: String,
    version: u32,
    site: Option<Site>,
    explicit: bool,
}

impl ClassInfo {
    /// Returns the name, without a number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns where the class was declared, or where its locks are constructed.
    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// Returns whether the class was declared, rather than made of a construction site.
    pub fn is_explicit(&self) -> bool {
        self.explicit
    }
}

/// Numbers classes and knows their names.
///
/// ```
/// use lockdep_core::{ClassKey, ClassRegistry, Subclass};
///
/// let mut classes = ClassRegistry::new();
/// let mm = classes.register(ClassKey::Explicit(1), "mm->mmap_lock", None);
/// let twin = classes.register(ClassKey::Explicit(2), "mm->mmap_lock", None);
/// assert_eq!(mm, classes.register(ClassKey::Explicit(1), "mm->mmap_lock", None));
/// assert_eq!(classes.label(twin.nested(Subclass::new(1))), "mm->mmap_lock#2/1");
/// ```
#[derive(Debug, Default)]
pub struct ClassRegistry {
    classes: Vec<ClassInfo>,
    by_key: HashMap<ClassKey, ClassId>,
    versions: HashMap<String, u32>,
}

impl ClassRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the class with this key, registering it under `name` if it is new. A name that is taken gets a number.
    ///
    /// # Panics
    ///
    /// If there are [`ClassId::MAX_CLASSES`] classes already.
    pub fn register(&mut self, key: ClassKey, name: &str, site: Option<Site>) -> ClassId {
        if let Some(&known) = self.by_key.get(&key) {
            return known;
        }
        let id = ClassId::new(u32::try_from(self.classes.len()).unwrap_or(u32::MAX));
        let version = self.versions.entry(name.to_owned()).and_modify(|n| *n += 1).or_insert(1);
        let explicit = matches!(key, ClassKey::Explicit(_));
        self.classes.push(ClassInfo { name: name.to_owned(), version: *version, site, explicit });
        self.by_key.insert(key, id);
        id
    }

    /// Returns what is known of a class.
    pub fn get(&self, id: ClassId) -> Option<&ClassInfo> {
        self.classes.get(id.base() as usize)
    }

    /// Returns the name that reports show: with `#n` if it is the n-th of that name, with `/n` for a subclass.
    pub fn label(&self, id: ClassId) -> String {
        let Some(info) = self.get(id) else { return format!("class {id:?}") };
        let mut label = info.name.clone();
        if info.version > 1 {
            label.push_str(&format!("#{}", info.version));
        }
        if id.subclass() != Subclass::DEFAULT {
            label.push_str(&format!("/{}", id.subclass().0));
        }
        label
    }

    /// Returns how many classes there are, subclasses not counted.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Returns whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Checks that keys, numbers and names agree.
    ///
    /// # Panics
    ///
    /// If they do not: a bug of this crate.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_key.len(), self.classes.len(), "one key a class");
        let mut numbers: Vec<u32> = self.by_key.values().map(|id| id.base()).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().enumerate().all(|(i, &n)| i == n as usize), "numbers are dense");
        let mut labels: Vec<String> = self.by_key.values().map(|&id| self.label(id)).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), self.classes.len(), "labels are unique");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The twin: a list of keys, searched from the front.
        #[test]
        fn the_registry_numbers_as_a_list_would(keys in prop::collection::vec((0u64..12, 0usize..3), 0..40)) {
            let mut registry = ClassRegistry::new();
            let mut list: Vec<(u64, &str)> = Vec::new();
            for (key, name) in keys {
                let name = ["a", "b", "c"][name];
                let position = list.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
                    list.push((key, name));
                    list.len() - 1
                });
                let id = registry.register(ClassKey::Explicit(key), name, None);
                prop_assert_eq!(id.base() as usize, position);
                prop_assert_eq!(registry.get(id).unwrap().name(), list[position].1);
            }
            registry.check_invariants();
        }
    }

    #[test]
    fn two_sites_on_one_line_are_two_classes() {
        let site = |column| Site { file: "a.rs".into(), line: 1, column };
        let mut registry = ClassRegistry::new();
        let left = registry.register(ClassKey::Site(site(5)), "a.rs:1:5", Some(site(5)));
        let right = registry.register(ClassKey::Site(site(20)), "a.rs:1:20", Some(site(20)));
        assert_ne!(left, right);
        assert!(!registry.get(left).unwrap().is_explicit());
    }
}
