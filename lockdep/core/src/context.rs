//! Contexts: code that can interrupt other code on its thread, and what may be waited for inside it.
//!
//! A hard or soft interrupt, a signal handler, one poll of a future, or whatever a program declares. A thread that holds
//! a lock while a context is *enabled* may be interrupted by it; what the handler then waits for waits for that thread.
//! [`ContextState`] is one thread's account: which contexts it is inside of, which it has disabled. [`Contexts`] is the
//! part of it that an acquisition depends on, small enough to go into the chain key.
//!
//! Only *watched* contexts count as enabled: a program without interrupts pays nothing for them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A context, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContextId(u8);

impl ContextId {
    /// A hardware interrupt.
    pub const HARDIRQ: Self = Self(0);
    /// A software interrupt; it cannot happen while hardware interrupts are disabled.
    pub const SOFTIRQ: Self = Self(1);
    /// A signal handler.
    pub const SIGNAL: Self = Self(2);
    /// One poll of a future.
    pub const POLL: Self = Self(3);
    /// How many contexts there can be.
    pub const MAX_CONTEXTS: u8 = 64;
    const NAMES: [&'static str; 4] = ["hardirq", "softirq", "signal", "poll"];

    /// The `index`-th context that is declared by a program, from 0; `None` if there are too many.
    pub const fn declared(index: u8) -> Option<Self> {
        let number = index.saturating_add(Self::NAMES.len() as u8);
        if number < Self::MAX_CONTEXTS { Some(Self(number)) } else { None }
    }

    /// Returns the name of a built-in context.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.get(usize::from(self.0)).copied()
    }

    /// The built-in context of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(|number| Self(number as u8))
    }

    /// Returns what may be waited for inside a built-in context, unless it says otherwise; nothing forbids a declared
    /// one anything.
    pub const fn limit(self) -> WaitType {
        match self {
            Self::HARDIRQ | Self::SOFTIRQ => WaitType::Config,
            Self::SIGNAL | Self::POLL => WaitType::Spin,
            _ => WaitType::Any,
        }
    }

    /// Returns whether the context interrupts what the thread was doing. Nothing interrupts a thread in order to poll a
    /// future: the thread calls it, so that what it holds outside is held inside.
    pub const fn interrupts(self) -> bool {
        self.0 != Self::POLL.0
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "context-{}", self.0),
        }
    }
}

/// A set of contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContextSet(u64);

impl ContextSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);
    /// Hard and soft interrupts.
    pub const INTERRUPTS: Self = Self(0b11);

    /// The set of one.
    pub const fn of(context: ContextId) -> Self {
        Self(1 << context.0)
    }

    /// Returns whether the set has the context.
    pub const fn contains(self, context: ContextId) -> bool {
        self.0 & (1 << context.0) != 0
    }

    /// Returns whether the set has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the contexts of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the contexts of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the set as a word, a bit for each context.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`bits`](Self::bits).
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the contexts in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = ContextId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = left.trailing_zeros() as u8;
            left &= left.wrapping_sub(1);
            (number < ContextId::MAX_CONTEXTS).then_some(ContextId(number))
        })
    }
}

impl FromIterator<ContextId> for ContextSet {
    fn from_iter<I: IntoIterator<Item = ContextId>>(contexts: I) -> Self {
        contexts.into_iter().fold(Self::EMPTY, |set, context| set.union(Self::of(context)))
    }
}

/// What a lock needs in order to be waited for, and what may be waited for while it is held; a scale.
///
/// In user space three levels matter: [`Spin`](Self::Spin) (busy waiting), [`Sleep`](Self::Sleep) (blocking the thread),
/// [`Await`](Self::Await) (giving the thread back).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitType {
    /// Never waits.
    Free = 1,
    /// Spins, always (the kernel's `raw_spinlock_t`).
    Spin = 2,
    /// Spins or sleeps, as the kernel is configured (`spinlock_t`, `rwlock_t`, `local_lock_t`).
    Config = 3,
    /// Blocks the thread (`struct mutex`, any lock of std or parking_lot).
    Sleep = 4,
    /// Suspends the task: a lock whose guard may live across an await point.
    Await = 5,
    /// Anything: a thread that is inside of nothing.
    Any = 6,
}

/// A class's place on the scale. Absent: not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WaitTypes {
    /// What waiting for it needs; the same as `inner` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<WaitType>,
    /// What may be waited for while it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<WaitType>,
}

impl WaitTypes {
    /// Not checked.
    pub const UNCHECKED: Self = Self { outer: None, inner: None };

    /// Needs and allows the same.
    pub const fn both(wait: WaitType) -> Self {
        Self { outer: Some(wait), inner: Some(wait) }
    }

    /// Returns what waiting for it needs.
    pub fn needs(self) -> Option<WaitType> {
        self.outer.or(self.inner)
    }
}

/// What an acquisition depends on besides the locks that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contexts {
    /// The contexts that the thread is inside of and that interrupted it.
    pub inside: ContextSet,
    /// The watched contexts that could interrupt it now.
    pub enabled: ContextSet,
    /// What may be waited for here, held locks apart.
    pub limit: WaitType,
}

impl Contexts {
    /// Those of a thread that is inside of nothing and watches nothing.
    pub const NONE: Self = Self { inside: ContextSet::EMPTY, enabled: ContextSet::EMPTY, limit: WaitType::Any };
}

impl Default for Contexts {
    fn default() -> Self {
        Self::NONE
    }
}

/// A context that a thread is inside of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inside {
    context: ContextId,
    disables: ContextSet,
    limit: WaitType,
    /// How many locks the thread held when it entered.
    base: usize,
}

/// One thread's account of contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextState {
    watched: ContextSet,
    inside: Vec<Inside>,
    /// How many times each is disabled; those that are not are not here.
    disabled: Vec<(ContextId, u32)>,
    /// What follows of the above.
    now: Contexts,
}

impl ContextState {
    /// From now on these contexts count as able to interrupt the thread.
    pub fn watch(&mut self, contexts: ContextSet) {
        self.watched = self.watched.union(contexts);
        self.settle();
    }

    /// Enters a context with `base` locks held. It keeps `disables` disabled as long as it lasts.
    pub(crate) fn enter(&mut self, context: ContextId, disables: ContextSet, limit: WaitType, base: usize) {
        self.inside.push(Inside { context, disables, limit, base });
        self.disable(disables);
    }

    /// Leaves the innermost entry of a context, whatever was entered since. Returns how many locks were held at it, or
    /// `None` if there was none.
    pub(crate) fn leave(&mut self, context: ContextId) -> Option<usize> {
        let index = self.inside.iter().rposition(|inside| inside.context == context)?;
        let left = self.inside.remove(index);
        self.enable(left.disables);
        Some(left.base)
    }

    /// Leaves the innermost context. Returns how many locks were held when it was entered; if it is not this one, nothing
    /// has changed.
    pub(crate) fn exit(&mut self, context: ContextId) -> Option<usize> {
        self.inside.last().filter(|innermost| innermost.context == context)?;
        self.leave(context)
    }

    /// Disables contexts once more.
    pub(crate) fn disable(&mut self, contexts: ContextSet) {
        for context in contexts.iter() {
            match self.disabled.iter_mut().find(|(other, _)| *other == context) {
                Some((_, depth)) => *depth += 1,
                None => self.disabled.push((context, 1)),
            }
        }
        self.settle();
    }

    /// Takes one disabling of each of these contexts back. Returns whether there was any.
    pub(crate) fn enable(&mut self, contexts: ContextSet) -> bool {
        let mut known = false;
        for context in contexts.iter() {
            let Some(index) = self.disabled.iter().position(|(other, _)| *other == context) else { continue };
            self.disabled[index].1 -= 1;
            if self.disabled[index].1 == 0 {
                self.disabled.swap_remove(index);
            }
            known = true;
        }
        self.settle();
        known
    }

    /// The lock at `depth` is no longer held. Returns whether that moves the place where a context was entered.
    pub(crate) fn released(&mut self, depth: usize) -> bool {
        let mut above = self.inside.iter_mut().filter(|inside| inside.base > depth).peekable();
        let moves = above.peek().is_some();
        above.for_each(|inside| inside.base -= 1);
        moves
    }

    /// Returns whether the thread is inside of nothing.
    pub(crate) fn is_outside(&self) -> bool {
        self.inside.is_empty()
    }

    /// Returns whether a context was entered with `depth` locks held.
    pub(crate) fn is_base(&self, depth: usize) -> bool {
        self.inside.iter().any(|inside| inside.base == depth)
    }

    /// Returns how many locks the thread held when it was last interrupted.
    pub(crate) fn base(&self) -> usize {
        self.inside.iter().rfind(|inside| inside.context.interrupts()).map_or(0, |inside| inside.base)
    }

    /// Returns how many locks the thread held when it entered the innermost context.
    pub(crate) fn entered(&self) -> usize {
        self.inside.last().map_or(0, |inside| inside.base)
    }

    /// Returns what may be waited for: the least that anything allows since the thread was last interrupted.
    fn limit(&self) -> WaitType {
        let mut limit = WaitType::Any;
        for inside in self.inside.iter().rev() {
            limit = limit.min(inside.limit);
            if inside.context.interrupts() {
                break;
            }
        }
        limit
    }

    /// Draws the conclusions of what has changed.
    fn settle(&mut self) {
        let mut disabled: ContextSet = self.disabled.iter().map(|(context, _)| *context).collect();
        if disabled.contains(ContextId::HARDIRQ) {
            disabled = disabled.union(ContextSet::of(ContextId::SOFTIRQ));
        }
        self.now = Contexts {
            inside: self.inside.iter().map(|inside| inside.context).filter(|context| context.interrupts()).collect(),
            enabled: self.watched.without(disabled),
            limit: self.limit(),
        };
    }

    /// Returns what an acquisition depends on.
    pub fn contexts(&self) -> Contexts {
        self.now
    }

    /// Returns a number for everything that an acquisition depends on; 0 for a thread that is inside of nothing and
    /// watches nothing.
    pub(crate) fn word(&self) -> u64 {
        let Contexts { inside, enabled, limit } = self.contexts();
        if inside.is_empty() && enabled.is_empty() && limit == WaitType::Any {
            return 0;
        }
        [inside.0, enabled.0, limit as u64, self.base() as u64]
            .into_iter()
            .fold(1, |word: u64, part| (word ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_disabled_twice_is_enabled_twice() {
        let mut state = ContextState::default();
        state.watch(ContextSet::INTERRUPTS);
        assert_eq!(state.contexts().enabled, ContextSet::INTERRUPTS);
        let soft = ContextSet::of(ContextId::SOFTIRQ);
        state.disable(soft);
        state.disable(soft);
        assert!(state.enable(soft));
        assert_eq!(state.contexts().enabled, ContextSet::of(ContextId::HARDIRQ));
        assert!(state.enable(soft));
        assert!(!state.enable(soft), "there is nothing to take back");
        assert_eq!(state.contexts().enabled, ContextSet::INTERRUPTS);
    }

    #[test]
    fn several_are_disabled_and_enabled_as_one_after_the_other() {
        let (signal, poll) = (ContextSet::of(ContextId::SIGNAL), ContextSet::of(ContextId::POLL));
        let mut state = ContextState::default();
        state.watch(signal.union(poll));
        state.disable(signal);
        state.disable(signal.union(poll));
        assert_eq!(state.contexts().enabled, ContextSet::EMPTY);
        assert!(state.enable(signal.union(poll)));
        assert_eq!(state.contexts().enabled, poll, "one of the two was disabled twice");
        assert!(state.enable(signal.union(poll)), "one of the two still is");
        assert_eq!(state.contexts().enabled, signal.union(poll));
        assert!(!state.enable(signal.union(poll)));
    }

    #[test]
    fn soft_interrupts_wait_while_hard_ones_are_off_and_a_handler_restores_what_it_found() {
        let mut state = ContextState::default();
        state.watch(ContextSet::INTERRUPTS);
        let before = (state.contexts(), state.word());
        state.enter(ContextId::HARDIRQ, ContextSet::of(ContextId::HARDIRQ), WaitType::Spin, 3);
        assert_eq!(state.contexts().enabled, ContextSet::EMPTY);
        assert_eq!((state.contexts().limit, state.base()), (WaitType::Spin, 3));
        state.released(1);
        assert_eq!(state.base(), 2);
        assert_ne!(state.word(), before.1);
        assert_eq!(state.exit(ContextId::SOFTIRQ), None);
        assert_eq!(state.exit(ContextId::HARDIRQ), Some(2));
        assert_eq!((state.contexts(), state.word()), before);
        assert_eq!(ContextState::default().word(), 0);
    }

    #[test]
    fn a_poll_is_called_and_does_not_interrupt() {
        let mut state = ContextState::default();
        state.enter(ContextId::SIGNAL, ContextSet::EMPTY, WaitType::Config, 1);
        state.enter(ContextId::POLL, ContextSet::EMPTY, WaitType::Sleep, 4);
        assert_eq!((state.base(), state.entered()), (1, 4));
        assert_eq!(state.contexts().limit, WaitType::Config, "a poll allows no more than who polls");
        assert_eq!(state.contexts().inside, ContextSet::of(ContextId::SIGNAL));
        assert_eq!(state.exit(ContextId::SIGNAL), None, "not the innermost");
        assert_eq!(state.leave(ContextId::SIGNAL), Some(1));
        assert_eq!((state.base(), state.contexts().limit), (0, WaitType::Sleep));
        assert_ne!(state.word(), 0);
        assert_eq!(state.exit(ContextId::POLL), Some(4));
        assert_eq!(state.word(), 0);
    }

    #[test]
    fn names_lead_back_to_their_contexts() {
        for name in ContextId::NAMES {
            assert_eq!(ContextId::named(name).and_then(ContextId::name), Some(name));
        }
        assert_eq!(ContextId::declared(0).unwrap().to_string(), "context-4");
        assert_eq!(ContextId::declared(60), None);
    }
}
