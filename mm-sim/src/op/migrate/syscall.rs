//! `move_pages` and `migrate_pages`: user code asks for the pages of a process to be moved.
//!
//! Lock order: `mmap_lock (read) -> pte_lock -> lru_lock` to find the folios and isolate them; with all dropped the
//! migration, which waits for folio locks one at a time.

use std::{ops::Range, sync::Arc};

use super::Mode;
use crate::{
    machine::Machine,
    mem::{Folio, Mm},
    sched,
};

/// Moves the pages of a range to other frames of their nodes. Returns how many folios have moved.
#[inline(never)]
pub(crate) fn move_pages(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>) -> u64 {
    let _scope = sched::scope("move_pages");
    let folios = queue(m, mm, range, &|_| true);
    super::migrate_pages(m, folios, None, Mode::Sync)
}

/// Moves what a process has on the node `from`, and nobody else, to the node `to`. Returns how many folios have moved.
#[inline(never)]
pub(crate) fn migrate_to_node(m: &Machine, mm: &Arc<Mm>, from: u8, to: u8) -> u64 {
    let _scope = sched::scope("migrate_to_node");
    let folios = queue(m, mm, &(0..u64::MAX), &|folio| folio.node == from && folio.maps() == 1);
    super::migrate_pages(m, folios, Some(to), Mode::Sync)
}

/// Isolates those folios of a range that are `wanted`.
#[inline(never)]
fn queue(m: &Machine, mm: &Arc<Mm>, range: &Range<u64>, wanted: &dyn Fn(&Folio) -> bool) -> Vec<Arc<Folio>> {
    let mut folios: Vec<Arc<Folio>> = Vec::new();
    let _mmap = mm.mmap_lock.read();
    for vma in mm.find_all(range) {
        let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
        mm.walk(m, &vma, part, &mut |_, _, entry| {
            let folio = entry.as_page().and_then(|pfn| m.memory.folio(pfn));
            folios.extend(folio.filter(|folio| wanted(folio) && super::isolate(m, folio)));
        });
    }
    folios
}
