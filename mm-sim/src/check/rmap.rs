//! What the reverse maps lead to at rest, found without their locks.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    machine::Machine,
    mem::{Folio, PAGE_SIZE, Place, Vma, rmap},
};

/// Counts the entries that map the folio and that its reverse map leads to.
pub(super) fn count_mappings(m: &Machine, folio: &Folio) -> i64 {
    let Some(place) = folio.place() else { return 0 };
    let mut found = BTreeSet::new();
    let mut look = |vmas: Vec<Arc<Vma>>, index: u64| {
        for vma in vmas {
            let Some(mm) = vma.mm.upgrade() else { continue };
            for addr in vma.addrs_of(&(index..index + folio.pages())).step_by(PAGE_SIZE as usize) {
                let Some(slot) = mm.hardware_slot(m, addr) else { continue };
                if rmap::maps(folio, slot.load().as_page()) {
                    found.insert((slot.table.id, slot.index));
                }
            }
        }
    };
    match &place {
        Place::File(mapping, index) => look(mapping.i_mmap.lock().peek(*index..*index + folio.pages()), *index),
        Place::Anon(anon_vma, index) => look(anon_vma.vmas.lock().peek(*index..*index + folio.pages()), *index),
        Place::Ksm(stable) => {
            for (anon_vma, index) in stable.places() {
                look(anon_vma.vmas.lock().peek(index..index + 1), index);
            }
        }
    }
    found.len() as i64
}
