//! `madvise`: what a process says of a range of its memory.
//!
//! * `discard`: `DONTNEED` and `FREE`: nobody needs what is in it.
//! * `cold`: `COLD` and `PAGEOUT`: nobody needs it soon; `WILLNEED`: somebody does.
//! * `remove`: `REMOVE`: neither does anybody need that part of the file.
//! * `hugepage`: `HUGEPAGE` and `NOHUGEPAGE`: whether it is to have huge pages; `collapse`: `COLLAPSE`: at once.
//! * `process`: one process says it of the memory of another.
//!
//! Lock order: the mmap lock in read mode, or in write mode where flags change.

mod cold;
mod collapse;
mod discard;
mod hugepage;
pub(crate) mod process;
mod remove;

use std::{ops::Range, sync::Arc};

use crate::{
    machine::Machine,
    mem::{Mm, Vma},
    sched,
};

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// It may be thrown away.
    DontNeed,
    /// It may be thrown away when memory is short, until it is written to again.
    Free,
    /// It goes first when memory is short.
    Cold,
    /// It goes now.
    PageOut,
    /// It will be used soon.
    WillNeed,
    /// It may be thrown away, and so may that part of the file.
    Remove,
    /// It should have huge pages.
    HugePage,
    /// It should get huge pages at once.
    Collapse,
    /// It should have no huge pages.
    NoHugePage,
}

/// Follows an advice, as far as it makes sense. Returns whether all of the range was mapped.
#[inline(never)]
pub(crate) fn madvise(m: &Machine, mm: &Arc<Mm>, range: Range<u64>, advice: Advice) -> bool {
    let _scope = sched::scope("madvise");
    match advice {
        Advice::DontNeed => discard::dontneed(m, mm, &range),
        Advice::Free => discard::free(m, mm, &range),
        Advice::Cold => cold::cold(m, mm, &range),
        Advice::PageOut => cold::pageout(m, mm, &range),
        Advice::WillNeed => cold::willneed(m, mm, &range),
        Advice::Remove => remove::remove(m, mm, &range),
        Advice::HugePage => hugepage::set(m, mm, &range, true),
        Advice::Collapse => collapse::collapse(m, mm, &range),
        Advice::NoHugePage => hugepage::set(m, mm, &range, false),
    }
}

/// Calls `visit` for each VMA of a range, with its part. Returns whether there was no hole. The caller has the mmap lock.
fn walk_vmas(mm: &Mm, range: &Range<u64>, mut visit: impl FnMut(&Arc<Vma>, Range<u64>)) -> bool {
    let mut end = range.start;
    let mut holes = false;
    for vma in mm.find_all(range) {
        let part = vma.range().start.max(range.start)..vma.range().end.min(range.end);
        holes |= part.start > end;
        end = part.end;
        visit(&vma, part);
    }
    !holes && end == range.end
}
