//! The plain model of memory: what every process must read, and which accesses must fail.
//!
//! A map from pages to values, without page tables, folios or locks. Operations tell it what they promise (this range is
//! mapped from now on, this file ends here); accesses are checked against it at the very step that performs them. While
//! an operation is under way, what it changes may be seen old or new: the page is *unsettled*. Of a huge page of hugetlbfs
//! the first two pages are known. A private copy of one may be lost when its file is cut: it is *vague* until the next store.

mod file;
mod judge;
mod page;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;

use self::{
    file::File,
    page::{Page, Source},
    state::State,
};
use crate::mem::HUGE_PAGES;

pub use self::page::Access;

/// What backs a new mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backing {
    Anon,
    File {
        file: u64,
        index: u64,
        shared: bool,
    },
    /// A file of huge pages. The model knows the first two pages of each.
    Hugetlb {
        file: u64,
        index: u64,
        shared: bool,
    },
}

/// Pages of each huge page of hugetlbfs that the model knows.
const KNOWN: u64 = 2;

/// The model of one machine. Addresses are page numbers, files are known by number.
#[derive(Default)]
pub(crate) struct Model(Mutex<State>, AtomicBool);

impl Model {
    /// From now on nothing is checked: for runs in which operations overlap, where "at this very step" means nothing.
    pub(crate) fn switch_off(&self) {
        self.1.store(true, Relaxed);
    }

    /// Returns whether nothing is checked.
    pub(crate) fn is_off(&self) -> bool {
        self.1.load(Relaxed)
    }

    /// A new file of zeros.
    pub(crate) fn create(&self, file: u64, size: u64) {
        self.0.lock().files.insert(file, File { size, ..File::default() });
    }

    /// A mapping is being made: it may be seen or not until [`settle`](Self::settle).
    pub(crate) fn map(&self, mm: u64, pages: Range<u64>, backing: Backing, access: Access) {
        if self.is_off() {
            return;
        }
        let mut state = self.0.lock();
        let mapped = state.mms.entry(mm).or_default();
        for (page, offset) in pages.zip(0..) {
            let source = match backing {
                Backing::Anon => Source::Own(0),
                Backing::Hugetlb { index, .. } if (index + offset) % HUGE_PAGES >= KNOWN => continue,
                Backing::File { file, index, shared } | Backing::Hugetlb { file, index, shared } => {
                    Source::File { file, index: index + offset, private: (!shared).then_some(None) }
                }
            };
            mapped.insert(page, Page::new(source, access));
        }
    }

    /// What a range allows is being changed: the old rights hold or the new ones.
    pub(crate) fn begin_protect(&self, mm: u64, pages: Range<u64>, access: Access) {
        let mut state = self.0.lock();
        state.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.becomes = Some(access));
    }

    /// Only the new rights hold.
    pub(crate) fn end_protect(&self, mm: u64, pages: Range<u64>) {
        let mut state = self.0.lock();
        for (_, page) in state.mms.entry(mm).or_default().range_mut(pages) {
            page.access = page.becomes.take().unwrap_or(page.access);
        }
    }

    /// A mapping is being taken away.
    pub(crate) fn unsettle(&self, mm: u64, pages: Range<u64>) {
        let mut state = self.0.lock();
        state.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.settled = false);
    }

    /// The mapping is there now.
    pub(crate) fn settle(&self, mm: u64, pages: Range<u64>) {
        let mut state = self.0.lock();
        state.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.settled = true);
    }

    /// The mapping is gone.
    pub(crate) fn unmap(&self, mm: u64, pages: Range<u64>) {
        let mut state = self.0.lock();
        let mapped = state.mms.entry(mm).or_default();
        let gone: Vec<u64> = mapped.range(pages).map(|(&page, _)| page).collect();
        gone.iter().for_each(|page| {
            mapped.remove(page);
        });
    }

    /// Pages are being moved to `to`, one after the other: each may be used at either place.
    pub(crate) fn begin_relocate(&self, mm: u64, from: Range<u64>, to: u64) {
        let mut state = self.0.lock();
        let mapped = state.mms.entry(mm).or_default();
        let there = |(&page, old): (&u64, &mut Page)| {
            old.settled = false;
            (to + (page - from.start), Page { arriving: Some(false), ..old.clone() })
        };
        let arriving: Vec<_> = mapped.range_mut(from.clone()).map(there).collect();
        mapped.extend(arriving);
    }

    /// The pages that were being moved to `to` are back where they were.
    pub(crate) fn cancel_relocate(&self, mm: u64, from: Range<u64>, to: u64) {
        let mut state = self.0.lock();
        let mapped = state.mms.entry(mm).or_default();
        for page in from.clone() {
            if let Some(there) = mapped.remove(&(to + (page - from.start))).filter(Page::has_arrived) {
                mapped.insert(page, Page { arriving: None, ..there });
            }
        }
    }

    /// Moves pages to `to`; where they were, nothing is mapped, or zeros (`leave_empty`).
    pub(crate) fn relocate(&self, mm: u64, from: Range<u64>, to: u64, leave_empty: bool) {
        let mut state = self.0.lock();
        let mapped = state.mms.entry(mm).or_default();
        let moved: Vec<_> = mapped.range(from.clone()).map(|(&page, old)| (page, old.clone())).collect();
        for (page, old) in moved {
            let there = mapped.get(&(to + (page - from.start))).filter(|there| there.has_arrived()).cloned();
            let moved = Page { settled: true, arriving: None, ..there.unwrap_or_else(|| old.clone()) };
            if leave_empty {
                let empty = Page { settled: true, ..Page::new(Source::Own(0), old.access) };
                mapped.insert(page, empty);
            } else {
                mapped.remove(&page);
            }
            mapped.insert(to + (page - from.start), moved);
        }
    }

    /// A page of a file that was a hole is filled in at this very step.
    pub(crate) fn fill_file(&self, file: u64, index: u64, word: u64) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.words.insert(index, word);
        }
    }

    /// What a page holds is lost at this very step.
    pub(crate) fn lose(&self, mm: u64, page: u64) {
        if let Some(page) = self.0.lock().mms.entry(mm).or_default().get_mut(&page) {
            page.source = Source::Lost;
            if page.discards > 0 {
                // What is left of it is thrown away with the rest.
                page.doubt();
            }
            page.changes();
        }
    }

    /// Huge pages of a process, of which it has a copy of its own, break.
    pub(crate) fn break_pages(&self, mm: u64, pages: Range<u64>) {
        let mut state = self.0.lock();
        state.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.is_broken = true);
    }

    /// Pages of a file break where no mapping has a copy of its own; while that is not `certain` they may be used still.
    pub(crate) fn break_file(&self, file: u64, pages: Range<u64>, certain: bool) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.broken.extend(pages.map(|page| (page, certain)));
        }
    }

    /// What was written to a page of a file is lost, up to what is on disk.
    pub(crate) fn lose_file(&self, file: u64, index: u64, word: u64) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.words.insert(index, word);
        }
    }

    /// A page that was missing is filled in at this very step.
    pub(crate) fn fill(&self, mm: u64, page: u64, word: u64) {
        if let Some(page) = self.0.lock().mms.entry(mm).or_default().get_mut(&page) {
            match &mut page.source {
                Source::Own(value) => *value = word,
                Source::File { private, .. } => *private = Some(Some(word)),
                Source::Lost => {}
            }
        }
    }

    /// The kernel writes to a private page of a process at this very step.
    pub(crate) fn poke(&self, mm: u64, page: u64, word: u64) {
        if let Some(page) = self.0.lock().mms.entry(mm).or_default().get_mut(&page) {
            page.write(word);
        }
    }

    /// A fork copies these pages of `parent` at this very step, unless it has copied them before.
    pub(crate) fn fork(&self, parent: u64, child: u64, pages: Range<u64>) {
        if self.is_off() {
            return;
        }
        let mut state = self.0.lock();
        let copies: Vec<_> =
            state.mms.entry(parent).or_default().range(pages).map(|(&p, page)| (p, page.clone())).collect();
        let child = state.mms.entry(child).or_default();
        for (page, copy) in copies {
            child.entry(page).or_insert(copy);
        }
    }

    /// A process ends.
    pub(crate) fn exit(&self, mm: u64) {
        self.0.lock().mms.remove(&mm);
    }

    /// The file is being cut to `size` pages: what is beyond may be seen or not.
    pub(crate) fn begin_truncate(&self, file: u64, size: u64) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.cut = Some(size);
        }
    }

    /// The file has `size` pages now, and what was beyond is gone, private copies too.
    pub(crate) fn end_truncate(&self, id: u64, size: u64) {
        let mut state = self.0.lock();
        if let Some(file) = state.files.get_mut(&id) {
            file.words.split_off(&size);
            file.mend(size..u64::MAX);
            file.maybe.split_off(&size);
            (file.size, file.cut) = (size, None);
            file.is_scrambled &= size > 0;
        }
        for page in state.mms.values_mut().flat_map(BTreeMap::values_mut) {
            if let Source::File { file, index, private: Some(copy) } = &mut page.source
                && *file == id
                && *index >= size
            {
                *copy = None;
                page.maybe.clear();
            }
        }
    }

    /// A range of a file reads as zeros from now on; whatever was there is mapped nowhere.
    pub(crate) fn zero(&self, file: u64, pages: Range<u64>) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.words.retain(|index, _| !pages.contains(index));
            file.mend(pages);
        }
    }

    /// Private copies in a range of addresses may be lost or not.
    pub(crate) fn blur(&self, mm: u64, pages: Range<u64>) {
        let mut state = self.0.lock();
        state.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.blur());
    }

    /// Private copies in a range of a file may be lost or not, wherever it is mapped.
    pub(crate) fn blur_file(&self, id: u64, pages: Range<u64>) {
        let mut state = self.0.lock();
        for page in state.mms.values_mut().flat_map(BTreeMap::values_mut) {
            if matches!(page.source, Source::File { file, index, .. } if file == id && pages.contains(&index)) {
                page.blur();
            }
        }
    }

    /// A private mapping of a file gets its own copy of a page, which holds `word`.
    pub(crate) fn privatise(&self, mm: u64, page: u64, word: u64) {
        let mut state = self.0.lock();
        if let Some(Page { source: Source::File { private: Some(copy), .. }, maybe, .. }) =
            state.mms.entry(mm).or_default().get_mut(&page)
        {
            copy.get_or_insert(word);
            if !maybe.is_empty() {
                maybe.push(Some(word));
            }
        }
    }

    /// What these pages have of their own is being thrown away: until that is done they may have it or not, and so may
    /// what is written to them meanwhile.
    pub(crate) fn begin_discard(&self, mm: u64, pages: Range<u64>) {
        for (_, page) in self.0.lock().mms.entry(mm).or_default().range_mut(pages) {
            page.doubt();
            page.discards += 1;
        }
    }

    /// Everything has been thrown away but what was written meanwhile.
    pub(crate) fn end_discard(&self, mm: u64, pages: Range<u64>) {
        for (_, page) in self.0.lock().mms.entry(mm).or_default().range_mut(pages) {
            page.discards = page.discards.saturating_sub(1);
            if page.discards == 0 && page.maybe.len() == 1 {
                let value = page.maybe.pop().flatten();
                page.set_own(value);
            }
        }
    }

    /// What these pages have may be thrown away at any time from now on, until somebody writes to them.
    pub(crate) fn discard_lazily(&self, mm: u64, pages: Range<u64>) {
        for (_, page) in self.0.lock().mms.entry(mm).or_default().range_mut(pages) {
            page.doubt();
            page.lazy = !page.maybe.is_empty();
        }
    }

    /// A hole is being punched into a file: its pages there may be seen or not.
    pub(crate) fn begin_hole(&self, file: u64, pages: Range<u64>) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.hole = Some(pages);
        }
    }

    /// The hole is zeros, but for what was written meanwhile.
    pub(crate) fn end_hole(&self, file: u64) {
        if let Some(file) = self.0.lock().files.get_mut(&file)
            && let Some(hole) = file.hole.take()
        {
            file.words.retain(|index, _| !hole.contains(index));
        }
    }

    /// Swap has the pages of a file from now on: what they hold nobody knows, before the file has been cut to nothing.
    pub(crate) fn lend(&self, file: u64) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            (file.is_lent, file.is_scrambled) = (true, true);
        }
    }

    /// Swap does not have the pages of a file any more.
    pub(crate) fn give_back(&self, file: u64) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.is_lent = false;
        }
    }

    /// A system call writes a page of a file.
    pub(crate) fn write_file(&self, file: u64, index: u64, word: u64) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.write(index, word);
        }
    }

    /// Returns whether nothing is mapped in a range.
    pub(crate) fn is_free(&self, mm: u64, pages: Range<u64>) -> bool {
        !self.is_off() && self.0.lock().mms.get(&mm).is_none_or(|mapped| mapped.range(pages).next().is_none())
    }

    /// Returns the size of a file, in pages.
    #[cfg(test)]
    pub(crate) fn size(&self, file: u64) -> u64 {
        self.0.lock().files[&file].size
    }
}
