//! The plain model of memory: what every process must read, and which accesses must fail.
//!
//! A map from pages to values, without page tables, folios or locks. Operations tell it what they promise (this range is
//! mapped from now on, this file ends here); accesses are checked against it at the very step that performs them. While
//! an operation is under way, what it changes may be seen old or new: the page is *unsettled*.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::{mem::HUGE_PAGES, op::Signal};

#[derive(Clone, Debug, Default)]
struct File {
    size: u64,
    words: BTreeMap<u64, u64>,
    /// The first page that a truncation under way cuts off.
    cut: Option<u64>,
}

/// Where the value of a page comes from.
#[derive(Clone, Debug)]
enum Source {
    /// A value of its own.
    Own(u64),
    /// It was in memory that broke.
    Lost,
    /// A page of a file; a private mapping gets a value of its own with the first store.
    File { file: u64, index: u64, private: Option<Option<u64>> },
}

/// Which accesses are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
}

impl Access {
    /// Neither loads nor stores.
    pub const NONE: Self = Self { read: false, write: false };
    /// Loads only.
    pub const READ: Self = Self { read: true, write: false };
    /// Loads and stores.
    pub const READ_WRITE: Self = Self { read: true, write: true };

    const fn allows(self, store: bool) -> bool {
        if store { self.write } else { self.read }
    }
}

#[derive(Clone, Debug)]
struct Page {
    source: Source,
    access: Access,
    /// What it will allow, when that is being changed.
    becomes: Option<Access>,
    settled: bool,
    /// A private copy may be lost or not: nothing is known before the next store.
    vague: bool,
}

impl Page {
    /// Returns whether an access may be allowed.
    fn may_allow(&self, store: bool) -> bool {
        self.access.allows(store) || self.becomes.is_some_and(|access| access.allows(store))
    }

    fn blur(&mut self) {
        self.vague = matches!(self.source, Source::File { private: Some(_), .. });
    }

    /// Returns whether an access may be refused.
    fn may_refuse(&self, store: bool) -> bool {
        !(self.access.allows(store) && self.becomes.is_none_or(|access| access.allows(store)))
    }
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<u64, File>,
    mms: BTreeMap<u64, BTreeMap<u64, Page>>,
}

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
pub(crate) struct Model(Mutex<Inner>, AtomicBool);

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
        let mut inner = self.0.lock();
        let mapped = inner.mms.entry(mm).or_default();
        for (page, offset) in pages.zip(0..) {
            let source = match backing {
                Backing::Anon => Source::Own(0),
                Backing::Hugetlb { index, .. } if (index + offset) % HUGE_PAGES >= KNOWN => continue,
                Backing::File { file, index, shared } | Backing::Hugetlb { file, index, shared } => {
                    Source::File { file, index: index + offset, private: (!shared).then_some(None) }
                }
            };
            mapped.insert(page, Page { source, access, becomes: None, settled: false, vague: false });
        }
    }

    /// What a range allows is being changed: the old rights hold or the new ones.
    pub(crate) fn begin_protect(&self, mm: u64, pages: Range<u64>, access: Access) {
        let mut inner = self.0.lock();
        inner.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.becomes = Some(access));
    }

    /// Only the new rights hold.
    pub(crate) fn end_protect(&self, mm: u64, pages: Range<u64>) {
        let mut inner = self.0.lock();
        for (_, page) in inner.mms.entry(mm).or_default().range_mut(pages) {
            page.access = page.becomes.take().unwrap_or(page.access);
        }
    }

    /// A mapping is being taken away.
    pub(crate) fn unsettle(&self, mm: u64, pages: Range<u64>) {
        let mut inner = self.0.lock();
        inner.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.settled = false);
    }

    /// The mapping is there now.
    pub(crate) fn settle(&self, mm: u64, pages: Range<u64>) {
        let mut inner = self.0.lock();
        inner.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.settled = true);
    }

    /// The mapping is gone.
    pub(crate) fn unmap(&self, mm: u64, pages: Range<u64>) {
        let mut inner = self.0.lock();
        let mapped = inner.mms.entry(mm).or_default();
        let gone: Vec<u64> = mapped.range(pages).map(|(&page, _)| page).collect();
        gone.iter().for_each(|page| {
            mapped.remove(page);
        });
    }

    /// Moves pages to `to`; where they were, nothing is mapped, or zeros (`leave_empty`).
    pub(crate) fn relocate(&self, mm: u64, from: Range<u64>, to: u64, leave_empty: bool) {
        let mut inner = self.0.lock();
        let mapped = inner.mms.entry(mm).or_default();
        let moved: Vec<_> = mapped.range(from.clone()).map(|(&page, old)| (page, old.clone())).collect();
        for (page, mut old) in moved {
            old.settled = true;
            if leave_empty {
                mapped.insert(page, Page { source: Source::Own(0), ..old.clone() });
            } else {
                mapped.remove(&page);
            }
            mapped.insert(to + (page - from.start), old);
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

    /// A fork copies these pages of `parent` at this very step, unless it has copied them before.
    pub(crate) fn fork(&self, parent: u64, child: u64, pages: Range<u64>) {
        if self.is_off() {
            return;
        }
        let mut inner = self.0.lock();
        let copies: Vec<_> =
            inner.mms.entry(parent).or_default().range(pages).map(|(&p, page)| (p, page.clone())).collect();
        let child = inner.mms.entry(child).or_default();
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
        let mut inner = self.0.lock();
        if let Some(file) = inner.files.get_mut(&id) {
            file.words.split_off(&size);
            (file.size, file.cut) = (size, None);
        }
        for page in inner.mms.values_mut().flat_map(BTreeMap::values_mut) {
            if let Source::File { file, index, private: Some(copy) } = &mut page.source
                && *file == id
                && *index >= size
            {
                *copy = None;
            }
        }
    }

    /// A range of a file reads as zeros from now on; whatever was there is mapped nowhere.
    pub(crate) fn zero(&self, file: u64, pages: Range<u64>) {
        if let Some(file) = self.0.lock().files.get_mut(&file) {
            file.words.retain(|index, _| !pages.contains(index));
        }
    }

    /// Private copies in a range of addresses may be lost or not.
    pub(crate) fn blur(&self, mm: u64, pages: Range<u64>) {
        let mut inner = self.0.lock();
        inner.mms.entry(mm).or_default().range_mut(pages).for_each(|(_, page)| page.blur());
    }

    /// Private copies in a range of a file may be lost or not, wherever it is mapped.
    pub(crate) fn blur_file(&self, id: u64, pages: Range<u64>) {
        let mut inner = self.0.lock();
        for page in inner.mms.values_mut().flat_map(BTreeMap::values_mut) {
            if matches!(page.source, Source::File { file, index, .. } if file == id && pages.contains(&index)) {
                page.blur();
            }
        }
    }

    /// A page of a file is written by a system call, at this very step.
    pub(crate) fn write_file(&self, file: u64, index: u64, word: u64) {
        self.0.lock().files.entry(file).or_default().words.insert(index, word);
    }

    /// Checks what a system call has read of a file.
    pub(crate) fn check_file(&self, id: u64, index: u64, word: u64) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let inner = self.0.lock();
        let Some(file) = inner.files.get(&id).filter(|file| file.cut.is_none_or(|cut| index < cut)) else {
            return Ok(());
        };
        let expected = file.words.get(&index).copied().unwrap_or(0);
        if index >= file.size || expected == word {
            return Ok(());
        }
        Err(format!("page {index} of file {id} is read as {word:#x}, but must be {expected:#x}"))
    }

    /// A private mapping of a file gets its own copy of a page, which holds `word`.
    pub(crate) fn privatise(&self, mm: u64, page: u64, word: u64) {
        let mut inner = self.0.lock();
        if let Some(Page { source: Source::File { private: Some(copy), .. }, .. }) =
            inner.mms.entry(mm).or_default().get_mut(&page)
        {
            copy.get_or_insert(word);
        }
    }

    /// Checks a load that returned `word`.
    pub(crate) fn check_load(&self, mm: u64, page: u64, word: u64) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let inner = self.0.lock();
        let Some(expected) = inner.expected(mm, page) else {
            return Err(format!("page {page:#x} reads {word:#x}, but is not mapped"));
        };
        if expected != Expected::Unsettled && !inner.mms[&mm][&page].may_allow(false) {
            return Err(format!("page {page:#x} reads {word:#x}, but may not be read"));
        }
        match expected {
            Expected::Unsettled => Ok(()),
            Expected::Word(expected) if expected == word => Ok(()),
            Expected::Word(expected) => Err(format!("page {page:#x} reads {word:#x}, but must read {expected:#x}")),
            Expected::Bus => Err(format!("page {page:#x} reads {word:#x}, but is beyond the end of its file")),
        }
    }

    /// Checks and records a store.
    pub(crate) fn check_store(&self, mm: u64, page: u64, word: u64) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let mut inner = self.0.lock();
        let (expected, is_past_end) = (inner.expected(mm, page), inner.is_past_end(mm, page));
        let Some(mapped) = inner.mms.entry(mm).or_default().get_mut(&page) else {
            return Err(format!("page {page:#x} is written, but is not mapped"));
        };
        if mapped.settled && !mapped.may_allow(true) {
            return Err(format!("page {page:#x} is written, but is read-only"));
        }
        mapped.vague &= is_past_end;
        match &mut mapped.source {
            Source::Own(value) => *value = word,
            Source::Lost => {}
            Source::File { private: Some(copy), .. } => *copy = Some(word),
            &mut Source::File { file, index, private: None } => {
                inner.files.entry(file).or_default().words.insert(index, word);
            }
        }
        match expected {
            Some(Expected::Bus) => Err(format!("page {page:#x} is written, but is beyond the end of its file")),
            _ => Ok(()),
        }
    }

    /// Checks that an access had to get this signal.
    pub(crate) fn check_signal(&self, mm: u64, page: u64, store: bool, signal: Signal) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let inner = self.0.lock();
        let mapped = inner.mms.get(&mm).and_then(|pages| pages.get(&page));
        let is_right = match (signal, inner.expected(mm, page)) {
            (Signal::OutOfMemory | Signal::Kill, _) | (_, Some(Expected::Unsettled)) => true,
            (Signal::Segv, None) => true,
            (Signal::Segv, Some(_)) => mapped.is_some_and(|page| page.may_refuse(store)),
            (Signal::Bus, expected) => expected == Some(Expected::Bus),
        };
        if is_right { Ok(()) } else { Err(format!("an access to page {page:#x} gets {signal:?}")) }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Word(u64),
    Bus,
    Unsettled,
}

impl Inner {
    /// Returns whether a page is mapped from beyond the end of its file, or from what is being cut off.
    fn is_past_end(&self, mm: u64, page: u64) -> bool {
        let source = self.mms.get(&mm).and_then(|pages| pages.get(&page)).map(|page| &page.source);
        let Some(Source::File { file, index, .. }) = source else { return false };
        self.files.get(file).is_none_or(|file| *index >= file.cut.unwrap_or(file.size).min(file.size))
    }

    fn expected(&self, mm: u64, page: u64) -> Option<Expected> {
        let page = self.mms.get(&mm)?.get(&page)?;
        if !page.settled || page.vague {
            return Some(Expected::Unsettled);
        }
        Some(match &page.source {
            Source::Own(word) => Expected::Word(*word),
            Source::Lost => Expected::Bus,
            Source::File { file, index, private } => {
                let Some(file) = self.files.get(file) else { return Some(Expected::Bus) };
                if file.cut.is_some_and(|cut| *index >= cut) {
                    Expected::Unsettled
                } else if *index >= file.size {
                    Expected::Bus
                } else {
                    let shared = || file.words.get(index).copied().unwrap_or(0);
                    Expected::Word(private.flatten().unwrap_or_else(shared))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Backing = Backing::File { file: 1, index: 0, shared: false };

    #[test]
    fn a_private_mapping_reads_the_file_until_it_is_written() {
        let model = Model::default();
        model.create(1, 2);
        model.map(7, 0..2, FILE, Access::READ_WRITE);
        assert!(model.check_load(7, 0, 99).is_ok(), "unsettled: anything goes");
        model.settle(7, 0..2);
        assert!(model.check_load(7, 0, 99).is_err());
        assert!(model.check_store(7, 0, 5).is_ok());
        assert!(model.check_load(7, 0, 5).is_ok());
        model.fork(7, 8, 0..2);
        assert!(model.check_store(7, 0, 6).is_ok());
        assert!(model.check_load(8, 0, 5).is_ok(), "the child keeps what was there");
    }

    #[test]
    fn a_truncation_takes_private_copies_along() {
        let model = Model::default();
        model.create(1, 2);
        model.map(7, 0..2, FILE, Access::READ_WRITE);
        model.settle(7, 0..2);
        assert!(model.check_store(7, 1, 5).is_ok());
        model.begin_truncate(1, 1);
        assert!(model.check_load(7, 1, 5).is_ok() && model.check_signal(7, 1, false, Signal::Bus).is_ok());
        model.end_truncate(1, 1);
        assert!(model.check_load(7, 1, 5).is_err());
        assert!(model.check_signal(7, 1, false, Signal::Bus).is_ok());
        model.end_truncate(1, 2);
        assert!(model.check_load(7, 1, 0).is_ok(), "a file that grows again is zero there");
        assert_eq!(model.size(1), 2);
    }

    #[test]
    fn what_is_moved_is_elsewhere_and_its_old_place_is_gone_or_empty() {
        let model = Model::default();
        model.map(7, 0..2, Backing::Anon, Access::READ_WRITE);
        model.settle(7, 0..2);
        assert!(model.check_store(7, 1, 5).is_ok());
        model.relocate(7, 0..2, 10, true);
        assert!(model.check_load(7, 11, 5).is_ok() && model.check_load(7, 1, 0).is_ok());
        model.relocate(7, 10..12, 20, false);
        assert!(model.check_load(7, 21, 5).is_ok() && model.check_load(7, 11, 5).is_err());
    }

    #[test]
    fn signals_are_right_only_where_the_model_says_so() {
        let model = Model::default();
        model.map(7, 0..1, Backing::Anon, Access::READ);
        model.settle(7, 0..1);
        assert!(model.check_signal(7, 0, false, Signal::Segv).is_err());
        assert!(model.check_signal(7, 0, true, Signal::Segv).is_ok());
        assert!(model.check_signal(7, 9, false, Signal::Segv).is_ok());
        assert!(model.check_signal(7, 0, false, Signal::Bus).is_err());
    }

    #[test]
    fn while_rights_change_old_and_new_ones_hold() {
        let model = Model::default();
        model.map(7, 0..1, Backing::Anon, Access::READ_WRITE);
        model.settle(7, 0..1);
        model.begin_protect(7, 0..1, Access::READ);
        assert!(model.check_store(7, 0, 1).is_ok() && model.check_signal(7, 0, true, Signal::Segv).is_ok());
        model.end_protect(7, 0..1);
        assert!(model.check_store(7, 0, 2).is_err() && model.check_load(7, 0, 1).is_ok());
        model.begin_protect(7, 0..1, Access::NONE);
        model.end_protect(7, 0..1);
        assert!(model.check_load(7, 0, 1).is_err() && model.check_signal(7, 0, false, Signal::Segv).is_ok());
    }
}
