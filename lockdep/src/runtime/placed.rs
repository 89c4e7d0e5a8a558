//! Acquisitions that say more of a lock's place within its class than its class does: a rank, a nest lock.

use std::panic::Location;

use super::{attempt::Place, cold, record::Record};
use crate::Acquire;

/// Checks and records the acquisition of a lock of this rank.
#[track_caller]
pub(crate) fn acquire_ranked(record: &Record, how: Acquire, rank: u64, site: &'static Location<'static>) {
    cold::acquire_placed(record, how, Place { rank: Some(rank), nest: None }, site);
}

/// Checks and records the acquisition of a lock that another one keeps others from nesting.
#[track_caller]
pub(crate) fn acquire_under(record: &Record, how: Acquire, nest: &Record, site: &'static Location<'static>) {
    let place = Place { nest: Some(nest.id().instance()), ..Place::of(record) };
    cold::acquire_placed(record, how, place, site);
}
