//! The table of what all threads hold and wait for, for the look at a program that hangs.
//!
//! A thread's own stack is its own. While the table is wanted, each acquisition and release copies it here, and a wait for a
//! lock that is not free says so.

use std::panic::Location;

use dashmap::DashMap;
use lockdep_core::{Acquired, Acquisition, HeldLock, ThreadLocks};
use once_cell::sync::Lazy;
use rustc_hash::FxBuildHasher;

use super::{
    classes, names,
    shared::Shared,
    thread::{self, Thread, unwatched},
    wanted,
};

/// A lock that a thread holds or waits for.
#[derive(Clone, Copy, Debug)]
struct Entry {
    how: Acquired,
    instance: u64,
    location: Option<&'static Location<'static>>,
    waits: bool,
}

static TABLE: Lazy<DashMap<u32, Vec<Entry>, FxBuildHasher>> = Lazy::new(Default::default);

/// The thread holds what it holds, one lock more than before.
pub(super) fn acquired(thread: &Thread, session: &Shared) {
    let entry = |lock: HeldLock| Entry {
        how: lock.how(),
        instance: lock.instance(),
        location: session.points.origin(lock.point()).map(|origin| origin.location),
        waits: false,
    };
    TABLE.insert(thread.number.get(), thread.held.iter().map(entry).collect());
}

/// The thread is about to release a lock.
pub(super) fn releasing(thread: &Thread, lock: HeldLock) {
    if let Some(mut entries) = TABLE.get_mut(&thread.number.get())
        && let Some(index) = entries.iter().rposition(|entry| entry.instance == lock.instance())
    {
        entries.remove(index);
    }
}

/// This thread waits for a lock that it has pushed, or has got it.
pub(super) fn waits(instance: u64, waits: bool) {
    unwatched(|| {
        if let Some(mut entries) = TABLE.get_mut(&thread::number())
            && let Some(entry) = entries.iter_mut().rfind(|entry| entry.instance == instance)
        {
            entry.waits = waits;
        }
    });
}

/// Begins or ends keeping the table.
pub(super) fn set(on: bool) {
    wanted::set(wanted::HELD_TABLE, on);
    if !on {
        unwatched(|| TABLE.clear());
    }
}

/// Returns what every thread holds, in the order of their numbers.
pub(super) fn read() -> Vec<ThreadLocks> {
    let mut all: Vec<(u32, Vec<Entry>)> = TABLE.iter().map(|entry| (*entry.key(), entry.value().clone())).collect();
    all.retain(|(_, entries)| !entries.is_empty());
    all.sort_unstable_by_key(|(number, _)| *number);
    let acquisition = |entry: &Entry| Acquisition {
        class: classes::label(entry.how.class()),
        lock: None,
        mode: entry.how.mode(),
        trylock: entry.how.is_trylock(),
        site: entry.location.map(classes::site_of),
        stack: Vec::new(),
    };
    let locks = |(number, entries): (u32, Vec<Entry>)| ThreadLocks {
        thread: names::thread_name(number),
        held: entries.iter().filter(|entry| !entry.waits).map(acquisition).collect(),
        waits_for: entries.iter().rfind(|entry| entry.waits).map(acquisition),
    };
    all.into_iter().map(locks).collect()
}
