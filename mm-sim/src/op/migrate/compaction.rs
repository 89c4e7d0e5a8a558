//! Compaction: folios move together, so that what is free is in one piece.
//!
//! Lock order: `lru_lock` to isolate a batch, then `migrate_pages`, which waits for nothing.

use super::Mode;
use crate::{machine::Machine, sched};

/// Folios that one round looks at.
const BATCH: usize = 16;

/// Moves a batch from the old end of the LRU. Returns how many have moved.
#[inline(never)]
pub(crate) fn compact_zone(m: &Machine) -> u64 {
    let _scope = sched::scope("compact_zone");
    let folios = m.lru.isolate(BATCH);
    super::migrate_pages(m, folios, None, Mode::Async)
}
