//! Deliberate bugs, put in at run time: an acquisition that is left out, swapped with the next one, or waits where it
//! should try; a look that is not taken.
//!
//! A [`Mutation`] belongs to a run; its actors carry it. [`Core`](super::core) asks at each acquisition, by the place of
//! the call, and the operations ask at the looks that [`Look`] names.

use std::{fmt, panic::Location};

use serde::Serialize;

/// What is wrong with an acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Twist {
    /// The lock is not taken, as if it had been.
    Skip,
    /// The lock is taken after the one that comes next.
    Swap,
    /// It waits for the lock instead of trying.
    Wait,
}

/// A look that operations take at what may have changed while they waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// At the entry that led to a page table, once its lock is held.
    PmdUnderPteLock,
    /// At the mark of a VMA, once it is read-locked.
    VmaSequenceAgain,
    /// Whether a folio is still in its file, once it is locked.
    FolioStillThere,
    /// At a page of a file whose folio was frozen.
    FrozenAgain,
    /// For private copies that were made while a file was being cut.
    UnmapAgain,
    /// Whether somebody has mapped a folio since its file was unmapped, before it is cut off.
    FolioMappedAgain,
    /// Whether somebody uses the buffers of a folio, before they are freed or moved.
    BuffersInUse,
    /// Whether swap is on a file, before it is changed.
    SwapOnFile,
    /// Whether somebody may be walking a table under RCU, before it is freed.
    RcuGracePeriod,
}

impl Look {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::PmdUnderPteLock,
        Self::VmaSequenceAgain,
        Self::FolioStillThere,
        Self::FrozenAgain,
        Self::UnmapAgain,
        Self::FolioMappedAgain,
        Self::BuffersInUse,
        Self::SwapOnFile,
        Self::RcuGracePeriod,
    ];

    /// Returns the name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PmdUnderPteLock => "pmd-under-pte-lock",
            Self::VmaSequenceAgain => "vma-sequence-again",
            Self::FolioStillThere => "folio-still-there",
            Self::FrozenAgain => "frozen-again",
            Self::UnmapAgain => "unmap-again",
            Self::FolioMappedAgain => "folio-mapped-again",
            Self::BuffersInUse => "buffers-in-use",
            Self::SwapOnFile => "swap-on-file",
            Self::RcuGracePeriod => "rcu-grace-period",
        }
    }
}

/// The place of an acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The file.
    pub file: &'static str,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    pub(super) fn of(location: &'static Location<'static>) -> Self {
        Self { file: location.file(), line: location.line(), column: location.column() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is done to a run.
#[derive(Debug, Default)]
pub(crate) enum Mutation {
    /// Nothing.
    #[default]
    None,
    /// One acquisition is wrong.
    Lock(Place, Twist),
    /// One look is not taken.
    Look(Look),
}

impl Mutation {
    /// Returns what is wrong with this acquisition.
    pub(crate) fn twist(&self, site: &'static Location<'static>) -> Option<Twist> {
        match self {
            Self::Lock(place, twist) => (*place == Place::of(site)).then_some(*twist),
            Self::None | Self::Look(_) => None,
        }
    }

    /// Returns whether this look is not taken.
    pub(crate) fn forgets(&self, look: Look) -> bool {
        matches!(self, Self::Look(forgotten) if *forgotten == look)
    }
}
