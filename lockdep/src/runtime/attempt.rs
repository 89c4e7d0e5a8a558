//! [`Attempt`]: an acquisition about to be made, and what it says of the lock's [`Place`] within its class.

use std::panic::Location;

use lockdep_core::{Acquired, HeldStack, Point, WaitKind};

use super::record::Record;
use crate::Acquire;

/// A lock's place within its class, as far as its acquisition says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) rank: Option<u64>,
    /// The identity of the nest lock.
    pub(super) nest: Option<u64>,
}

impl Place {
    /// That of an acquisition that says nothing.
    pub(super) fn of(record: &Record) -> Self {
        let rank = record.rules().by_address.then(|| std::ptr::from_ref(record).addr() as u64);
        Self { rank, nest: None }
    }
}

/// An acquisition about to be made.
pub(super) struct Attempt<'a> {
    pub(super) record: &'a Record,
    pub(super) acquired: Acquired,
    pub(super) wait: WaitKind,
    pub(super) place: Place,
    pub(super) site: &'static Location<'static>,
    /// Whether the lock is not held afterwards.
    pub(super) sync: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(record: &'a Record, how: Acquire, place: Place, site: &'static Location<'static>) -> Self {
        let acquired = Acquired::new(record.id().class().nested(how.subclass), how.mode, how.trylock);
        Self { record, acquired, wait: how.mode.wait(), place, site, sync: false }
    }
}

impl Attempt<'_> {
    /// Pushes the lock, with what is said of its place.
    pub(super) fn push(&self, held: &HeldStack) {
        let instance = self.record.id().instance();
        held.push(self.acquired, instance, self.point(held));
        if let Some(rank) = self.place.rank {
            held.set_rank(instance, rank);
        }
        if let Some(nest) = self.place.nest {
            held.set_nest(instance, nest);
        }
    }

    pub(super) fn point(&self, held: &HeldStack) -> Point {
        held.key_with(self.acquired).at(std::ptr::from_ref(self.site).addr() as u64)
    }
}
