//! Explicit lock classes: what a `static` names when the construction site is too narrow or too wide a class.

use std::panic::Location;

use crate::{WaitType, hooks};

/// A lock class: all locks that are under one rule.
///
/// Everything that is learnt is learnt per class. Declare one as a `static` and construct every lock that belongs to it
/// with `new_in`. Locks constructed with `new` need none: their class is the place of construction.
///
/// Two locks of one explicit class may be held together by one thread only if the inner one is acquired with a
/// [`Subclass`](crate::Subclass) (`lock_nested`).
///
/// ```
/// use lockdep::{LockClass, RwLock};
///
/// static MMAP_LOCK: LockClass = LockClass::new("mm->mmap_lock");
/// let mm = RwLock::new_in(&MMAP_LOCK, ());
/// assert_eq!(MMAP_LOCK.name(), "mm->mmap_lock");
/// # drop(mm.read());
/// ```
#[derive(Debug)]
pub struct LockClass {
    name: &'static str,
    declared: &'static Location<'static>,
    rules: hooks::ClassRules,
    cell: hooks::ClassCell,
}

impl LockClass {
    /// Declares a class. Two classes may share a name; reports then number them (`name#2`).
    #[track_caller]
    pub const fn new(name: &'static str) -> Self {
        Self { name, declared: Location::caller(), rules: hooks::ClassRules::USUAL, cell: hooks::ClassCell::new() }
    }

    /// The same class of locks that are waited for in this way, and while which anything up to it may be waited for:
    /// [`WaitType::Spin`] for locks that spin, [`WaitType::Await`] for those of an async runtime. A class that says
    /// nothing is of locks that block the thread ([`WaitType::Sleep`]), as all of this crate's do.
    ///
    /// ```
    /// use lockdep::{LockClass, WaitType};
    ///
    /// static QUEUE: LockClass = LockClass::new("run queue").wait(WaitType::Spin);
    /// # let _ = &QUEUE;
    /// ```
    #[must_use]
    pub const fn wait(self, wait: WaitType) -> Self {
        self.wait_types(wait, wait)
    }

    /// As [`wait`](Self::wait), with what waiting for the lock needs apart from what may be waited for while it is held.
    #[must_use]
    pub const fn wait_types(self, needs: WaitType, allows: WaitType) -> Self {
        Self { rules: self.rules.waiting(needs, allows), ..self }
    }

    /// The same class, whose locks may nest in one order, lock by lock, which is learnt, as for the classes that
    /// construction sites make.
    #[must_use]
    pub const fn learnt_order(self) -> Self {
        Self { rules: self.rules.learnt(), ..self }
    }

    /// The same class, whose locks nest in the order of their ranks, lowest first. Every acquisition says the rank of its
    /// lock (`lock_ranked`), a key. Such acquisitions are checked anew each time.
    #[must_use]
    pub const fn ranked(self) -> Self {
        Self { rules: self.rules.ranked(false), ..self }
    }

    /// As [`ranked`](Self::ranked), and the rank of a lock is its address. Its locks must not move.
    #[must_use]
    pub const fn ranked_by_address(self) -> Self {
        Self { rules: self.rules.ranked(true), ..self }
    }

    /// The same class, whose locks nest as a function compares them: `precedes(outer, inner)` says whether a lock of the
    /// first rank may be held while one of the second rank is acquired. Every acquisition says the rank of its lock
    /// (`lock_ranked`), and is checked anew each time. The function runs under the
    /// validator's own lock: it takes no lock, and does not panic.
    ///
    /// ```
    /// use lockdep::{LockClass, Mutex};
    ///
    /// // Nodes of a tree, numbered level by level: an inner node before those below it.
    /// static NODE: LockClass = LockClass::new("node").compared(|outer, inner| {
    ///     let depth = |node: u64| node.ilog2();
    ///     depth(outer) < depth(inner)
    /// });
    /// let (root, leaf) = (Mutex::new_in(&NODE, ()), Mutex::new_in(&NODE, ()));
    /// let _root = root.lock_ranked(1);
    /// let _leaf = leaf.lock_ranked(5);
    /// ```
    #[must_use]
    pub const fn compared(self, precedes: fn(u64, u64) -> bool) -> Self {
        Self { rules: self.rules.compared(precedes), ..self }
    }

    /// The same class without any check of order: only releases, and what is held where, are checked.
    #[must_use]
    pub const fn without_order(self) -> Self {
        Self { rules: self.rules.stack_only(), ..self }
    }

    /// The same class, whose locks are not watched at all: nothing is recorded of them, and nobody knows who holds them.
    #[must_use]
    pub const fn untracked(self) -> Self {
        Self { rules: self.rules.untracked(), ..self }
    }

    /// The same class, of which every processor has a lock of its own, as the kernel's `local_lock`: no other processor
    /// waits for it, so no way from one context to another leads through it.
    #[must_use]
    pub const fn per_cpu(self) -> Self {
        Self { rules: self.rules.per_cpu(), ..self }
    }

    /// Returns the name that reports show.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns where the class was declared.
    pub const fn declared_at(&self) -> &'static Location<'static> {
        self.declared
    }

    #[allow(dead_code, reason = "only the hooks of a build with checking ask for it")]
    pub(crate) const fn rules(&self) -> hooks::ClassRules {
        self.rules
    }

    /// The number of the class in this process, once it has one.
    #[allow(dead_code, reason = "only the hooks of a build with checking ask for it")]
    pub(crate) const fn cell(&self) -> &hooks::ClassCell {
        &self.cell
    }
}
