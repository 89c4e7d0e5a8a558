//! `process_madvise`: what one process says of the memory of another one.
//!
//! Lock order: that of `madvise` on the other process: `mmap_lock (read) -> pte_lock`, and the lock of the caller's own memory is
//! not held: two who advise each other would wait for each other.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{Advice, madvise};
use crate::{machine::Machine, mem::Mm, sched};

/// Says something of a range of another process's memory. Returns whether it may be said of another's and all of the range was
/// mapped.
#[inline(never)]
pub(crate) fn process_madvise(m: &Machine, own: &Mm, other: &Arc<Mm>, range: Range<u64>, advice: Advice) -> bool {
    let _scope = sched::scope("process_madvise");
    // Only what changes nothing that the other one can see.
    if !matches!(advice, Advice::Cold | Advice::PageOut | Advice::WillNeed | Advice::Collapse) {
        return false;
    }
    sched::must_hold(!own.mmap_lock.is_mine(), || {
        format!("process {} advises process {} with the lock of its own memory", own.id, other.id)
    });
    // `mmget`, which fails once the other one ends.
    other.users.load(Relaxed) > 0 && madvise(m, other, range, advice)
}
