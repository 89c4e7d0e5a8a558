//! `mincore`: which pages of a range are in memory, told to user code.
//!
//! Lock order: `mmap_lock (read) -> pte_lock` to look. The answer is copied out after the mmap lock has been dropped:
//! copying may fault, and the fault would take the mmap lock once more, behind a writer that waits for the first one
//! (CVE-2006-4814; [`Bug::MincoreUnderLock`]).

use std::{ops::Range, sync::Arc};

use super::{Signal, access};
use crate::{
    Bug,
    machine::Machine,
    mem::{Absent, Mm, PAGE_SIZE},
    sched,
};

/// Counts the pages of a range that are mapped and stores the count at `answer`. Returns it.
#[inline(never)]
pub(crate) fn mincore(m: &Machine, mm: &Arc<Mm>, range: Range<u64>, answer: u64) -> Result<u64, Signal> {
    let _scope = sched::scope("mincore");
    let mmap_lock = mm.mmap_lock.read();
    let mut resident = 0;
    for vma in mm.find_all(&range) {
        let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
        mm.walk(m, &vma, part, &mut |slot, _, entry| {
            let here = entry.is_page() || matches!(entry.as_absent(), Some(Absent::Migration(_)));
            resident += if here { slot.table.level.entry_size() / PAGE_SIZE } else { 0 };
        });
    }
    if m.protocol.has(Bug::MincoreUnderLock) {
        return copy_to_user(m, mm, answer, resident);
    }
    drop(mmap_lock);
    copy_to_user(m, mm, answer, resident)
}

#[inline(never)]
fn copy_to_user(m: &Machine, mm: &Arc<Mm>, addr: u64, word: u64) -> Result<u64, Signal> {
    let _scope = sched::scope("copy_to_user");
    access::store(m, mm, addr, word)?;
    Ok(word)
}
