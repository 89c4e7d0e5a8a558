//! `move_pages`: a process asks for pages of its own to be moved.
//!
//! Lock order: `mmap_lock (read) -> pte_lock -> lru_lock` to find the folios and isolate them; with all dropped
//! `migrate_pages`, which waits for folio locks one at a time.

use std::{ops::Range, sync::Arc};

use super::Mode;
use crate::{
    machine::Machine,
    mem::{Folio, Mm},
    sched,
};

/// Moves the pages of a range. Returns how many folios have moved.
#[inline(never)]
pub(crate) fn move_pages(m: &Machine, mm: &Arc<Mm>, range: Range<u64>) -> u64 {
    let _scope = sched::scope("move_pages");
    let mut folios: Vec<Arc<Folio>> = Vec::new();
    {
        let _mmap = mm.mmap_lock.read();
        for vma in mm.find_all(&range) {
            let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
            mm.walk(m, &vma, part, &mut |_, _, entry| {
                let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else { return };
                folio.get(1);
                if m.lru.remove(&folio) {
                    folios.push(folio);
                } else {
                    m.put_folio(&folio, 1);
                }
            });
        }
    }
    super::migrate_pages(m, folios, Mode::Sync)
}
