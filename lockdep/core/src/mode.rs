//! How locks are held and wanted, and which of the two blocks which.
//!
//! An acquisition has a [`Mode`]. What it does to others while it is held is its [`HoldKind`]; what it waits for is its
//! [`WaitKind`]. A dependency `outer -> inner` is of a [`DependencyKind`]: how the outer lock was held, how the inner one
//! was waited for. Whether a chain of dependencies can really block is decided by [`HoldKind::blocks`] alone.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a lock is held or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Excludes everybody (E).
    Exclusive,
    /// Shares with readers; waits behind a waiting writer (S).
    Shared,
    /// Shares with readers; waits only for a writer that holds the lock (R).
    SharedRecursive,
    /// Shares with readers, excludes writers and other upgradable readers; may become exclusive.
    Upgradable,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Exclusive, Self::Shared, Self::SharedRecursive, Self::Upgradable];

    /// Returns what a lock held in this mode keeps others from.
    #[inline]
    pub const fn hold(self) -> HoldKind {
        match self {
            Self::Exclusive => HoldKind::Exclusive,
            Self::Shared | Self::SharedRecursive => HoldKind::Shared,
            Self::Upgradable => HoldKind::Upgradable,
        }
    }

    /// Returns what an acquisition in this mode waits for.
    #[inline]
    pub const fn wait(self) -> WaitKind {
        match self {
            Self::Exclusive | Self::Shared | Self::Upgradable => WaitKind::Normal,
            Self::SharedRecursive => WaitKind::Recursive,
        }
    }

    /// Returns the mode numbered `bits` (0 to 3, the discriminant).
    #[inline]
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Exclusive,
            1 => Self::Shared,
            2 => Self::SharedRecursive,
            _ => Self::Upgradable,
        }
    }
}

/// What a held lock does to those who want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// Held by a writer.
    Exclusive,
    /// Held by a reader of either sort.
    Shared,
    /// Held by the upgradable reader.
    Upgradable,
}

/// What an acquisition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// Any holder can block it: writers and upgradable readers are excluded by somebody in any case, and a plain
    /// reader queues behind a writer that waits for readers.
    Normal,
    /// A recursive reader: only a writer that holds the lock blocks it.
    Recursive,
    /// The upgradable reader on its way to writer: only readers that are inside block it.
    Upgrade,
}

impl HoldKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Exclusive, Self::Shared, Self::Upgradable];

    /// Returns whether a lock held so can block somebody who waits so.
    #[inline]
    pub const fn blocks(self, wait: WaitKind) -> bool {
        match wait {
            WaitKind::Normal => true,
            WaitKind::Recursive => matches!(self, Self::Exclusive),
            WaitKind::Upgrade => matches!(self, Self::Shared),
        }
    }
}

impl WaitKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Recursive, Self::Upgrade];

    #[inline]
    pub(crate) const fn from_index(index: usize) -> Self {
        Self::ALL[index]
    }
}

/// The kind of a dependency: how the outer lock was held, how the inner one was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DependencyKind {
    /// How the outer lock was held.
    pub hold: HoldKind,
    /// How the inner lock was waited for.
    pub wait: WaitKind,
}

impl DependencyKind {
    /// Returns the kind's number, 0 to 8.
    #[inline]
    const fn index(self) -> usize {
        self.hold as usize * 3 + self.wait as usize
    }

    /// All nine kinds.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        HoldKind::ALL.into_iter().flat_map(|hold| WaitKind::ALL.into_iter().map(move |wait| Self { hold, wait }))
    }
}

impl fmt::Display for DependencyKind {
    /// The kernel's two letters where it has them: `E`, `S` for the holder, `N`, `R` for the waiter; `U` and `X` for
    /// the upgradable holder and the upgrading waiter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hold = match self.hold {
            HoldKind::Exclusive => 'E',
            HoldKind::Shared => 'S',
            HoldKind::Upgradable => 'U',
        };
        let wait = match self.wait {
            WaitKind::Normal => 'N',
            WaitKind::Recursive => 'R',
            WaitKind::Upgrade => 'X',
        };
        write!(f, "{hold}{wait}")
    }
}

/// A set of [`DependencyKind`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KindSet(u16);

impl KindSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Adds a kind. Returns whether it was new.
    pub fn insert(&mut self, kind: DependencyKind) -> bool {
        let bit = 1 << kind.index();
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Removes a kind.
    pub fn remove(&mut self, kind: DependencyKind) {
        self.0 &= !(1 << kind.index());
    }

    /// Returns whether the set has the kind.
    #[inline]
    pub const fn contains(self, kind: DependencyKind) -> bool {
        self.0 & (1 << kind.index()) != 0
    }

    /// Returns whether the set has no kind.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the kinds of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the waits of its kinds.
    #[inline]
    pub(crate) const fn waits(self) -> WaitSet {
        let waits = WaitKind::ALL.len();
        WaitSet((self.0 | self.0 >> waits | self.0 >> (2 * waits)) as u8 & WaitSet::ALL)
    }

    /// Returns how the inner lock is waited for where the outer one, waited for as `wait` says, is held so that it blocks
    /// that wait.
    #[inline]
    pub(crate) const fn waits_after(self, wait: WaitKind) -> WaitSet {
        Self(self.0 & BLOCKING[wait as usize]).waits()
    }

    /// Returns the waits that the outer lock blocks where the inner one is waited for as `wait` says.
    #[inline]
    pub(crate) const fn waits_before(self, wait: WaitKind) -> WaitSet {
        let holds = self.0 >> wait as usize;
        let mut waits = 0;
        let mut hold = 0;
        while hold < HoldKind::ALL.len() {
            if holds & 1 << (hold * WaitKind::ALL.len()) != 0 {
                waits |= BLOCKED[hold];
            }
            hold += 1;
        }
        WaitSet(waits)
    }

    /// Returns the kinds in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = DependencyKind> + Clone {
        DependencyKind::all().filter(move |kind| self.contains(*kind))
    }
}

/// By wait: the kinds whose hold blocks it, as bits of a [`KindSet`].
const BLOCKING: [u16; WaitKind::ALL.len()] = {
    let mut sets = [0; WaitKind::ALL.len()];
    let mut kind = 0;
    while kind < HoldKind::ALL.len() * WaitKind::ALL.len() {
        let mut wait = 0;
        while wait < WaitKind::ALL.len() {
            if HoldKind::ALL[kind / WaitKind::ALL.len()].blocks(WaitKind::ALL[wait]) {
                sets[wait] |= 1 << kind;
            }
            wait += 1;
        }
        kind += 1;
    }
    sets
};

/// By hold: the waits that it blocks, as bits of a [`WaitSet`].
const BLOCKED: [u8; HoldKind::ALL.len()] = {
    let mut sets = [0; HoldKind::ALL.len()];
    let mut hold = 0;
    while hold < sets.len() {
        let mut wait = 0;
        while wait < WaitKind::ALL.len() {
            if HoldKind::ALL[hold].blocks(WaitKind::ALL[wait]) {
                sets[hold] |= 1 << wait;
            }
            wait += 1;
        }
        hold += 1;
    }
    sets
};

/// A set of [`WaitKind`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitSet(u8);

impl WaitSet {
    pub(crate) const EMPTY: Self = Self(0);
    const ALL: u8 = (1 << WaitKind::ALL.len()) - 1;

    pub(crate) const fn contains(self, wait: WaitKind) -> bool {
        self.0 & 1 << wait as u8 != 0
    }

    pub(crate) const fn set(&mut self, wait: WaitKind, is: bool) {
        self.0 = self.0 & !(1 << wait as u8) | (is as u8) << wait as u8;
    }

    #[inline]
    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the normal wait, if the set has it.
    #[inline]
    pub(crate) const fn normal(self) -> Self {
        Self(self.0 & 1 << WaitKind::Normal as u8)
    }

    #[inline]
    pub(crate) fn iter(self) -> impl Iterator<Item = WaitKind> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let wait = *WaitKind::ALL.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sets_say_of_waits_is_what_their_kinds_say() {
        let sorted =
            |waits: Vec<WaitKind>| WaitKind::ALL.into_iter().filter(|wait| waits.contains(wait)).collect::<Vec<_>>();
        for set in (0..1 << 9).map(KindSet) {
            let list = |waits: WaitSet| waits.iter().collect::<Vec<_>>();
            assert_eq!(list(set.waits()), sorted(set.iter().map(|kind| kind.wait).collect()));
            for wait in WaitKind::ALL {
                let after = set.iter().filter(|kind| kind.hold.blocks(wait)).map(|kind| kind.wait).collect();
                assert_eq!(list(set.waits_after(wait)), sorted(after));
                let before = set.iter().filter(|kind| kind.wait == wait);
                let blocked = |other: &WaitKind| before.clone().any(|kind| kind.hold.blocks(*other));
                assert_eq!(list(set.waits_before(wait)), WaitKind::ALL.into_iter().filter(blocked).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_normal_waiter_is_blocked_by_all_a_recursive_reader_by_writers_an_upgrade_by_readers() {
        let blockers = |wait| HoldKind::ALL.into_iter().filter(|hold| hold.blocks(wait)).collect::<Vec<_>>();
        assert_eq!(blockers(WaitKind::Normal), HoldKind::ALL);
        assert_eq!(blockers(WaitKind::Recursive), [HoldKind::Exclusive]);
        assert_eq!(blockers(WaitKind::Upgrade), [HoldKind::Shared]);
    }

    #[test]
    fn a_kind_set_holds_what_was_put_in() {
        for kind in DependencyKind::all() {
            let mut set = KindSet::EMPTY;
            assert!(set.insert(kind));
            assert!(!set.insert(kind));
            assert_eq!(set.iter().collect::<Vec<_>>(), [kind]);
            set.remove(kind);
            assert!(set.is_empty());
        }
    }

    #[test]
    fn modes_survive_their_bits() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_bits(mode as u8), mode);
        }
    }
}
