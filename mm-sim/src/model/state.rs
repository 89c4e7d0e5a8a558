//! What every page should hold now.

use std::collections::BTreeMap;

use super::{
    file::File,
    page::{Page, Source},
};

/// All files and processes as they should be.
#[derive(Default)]
pub(super) struct State {
    pub(super) files: BTreeMap<u64, File>,
    pub(super) mms: BTreeMap<u64, BTreeMap<u64, Page>>,
}

/// What a load of a page must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Word(u64),
    OneOf(Vec<u64>),
    Bus,
    Unsettled,
}

impl State {
    /// Returns whether a page is mapped from beyond the end of its file, or from what is being cut off.
    pub(super) fn is_past_end(&self, mm: u64, page: u64) -> bool {
        let source = self.mms.get(&mm).and_then(|pages| pages.get(&page)).map(|page| &page.source);
        let Some(Source::File { file, index, .. }) = source else { return false };
        self.files.get(file).is_none_or(|file| *index >= file.cut.unwrap_or(file.size).min(file.size))
    }

    /// Returns whether a page is one of a file that swap has, and not a copy of it.
    pub(super) fn is_lent(&self, page: &Page) -> bool {
        let Source::File { file, private: None, .. } = page.source else { return false };
        self.files.get(&file).is_some_and(|file| file.is_lent)
    }

    /// A page holds `word` from now on, and so does the file of a shared mapping.
    pub(super) fn store(&mut self, mm: u64, page: u64, word: u64) {
        let is_past_end = self.is_past_end(mm, page);
        let Some(mapped) = self.mms.entry(mm).or_default().get_mut(&page) else { return };
        mapped.vague &= is_past_end;
        mapped.changes();
        mapped.is_broken = false;
        match mapped.source {
            Source::File { file, index, private: None } => self.files.entry(file).or_default().write(index, word),
            Source::Own(_) | Source::Lost | Source::File { .. } => mapped.write(word),
        }
    }

    /// Returns what a load of a page must give, or `None` if nothing is mapped there.
    pub(super) fn expected(&self, mm: u64, page: u64) -> Option<Expected> {
        let page = self.mms.get(&mm)?.get(&page)?;
        if !page.settled || page.vague {
            return Some(Expected::Unsettled);
        }
        if page.is_broken {
            return Some(Expected::Bus);
        }
        Some(match &page.source {
            Source::Own(word) => Self::one_of(page, Some(*word), &[0]),
            Source::Lost => Expected::Bus,
            Source::File { file, index, private } => {
                let Some(file) = self.files.get(file) else { return Some(Expected::Bus) };
                let is_in_hole = file.hole.as_ref().is_some_and(|hole| hole.contains(index));
                let is_unknown = is_in_hole || file.is_scrambled && *index < file.size;
                if file.cut.is_some_and(|cut| *index >= cut) || is_unknown && private.flatten().is_none() {
                    Expected::Unsettled
                } else if *index >= file.size {
                    Expected::Bus
                } else if let Some(certain) = file.broken.get(index).filter(|_| private.flatten().is_none()) {
                    if *certain { Expected::Bus } else { Expected::Unsettled }
                } else {
                    Self::one_of(page, private.flatten(), &file.words_at(*index))
                }
            }
        })
    }

    /// Returns what a page holds that has `own`, or else what it has when nobody has written to it.
    fn one_of(page: &Page, own: Option<u64>, fresh: &[u64]) -> Expected {
        let certain = [own];
        let values = if page.maybe.is_empty() { &certain[..] } else { &page.maybe };
        let words = |value: &Option<u64>| value.map_or_else(|| fresh.to_vec(), |word| vec![word]);
        let mut all: Vec<u64> = values.iter().flat_map(words).collect();
        all.sort_unstable();
        all.dedup();
        // Several ways to the same word are still several ways.
        if let ([word], [_]) = (&all[..], values) { Expected::Word(*word) } else { Expected::OneOf(all) }
    }

    /// A load has shown which of several words it is.
    pub(super) fn collapse(&mut self, mm: u64, page: u64, word: u64) {
        let Some(page) = self.mms.get_mut(&mm).and_then(|mapped| mapped.get_mut(&page)) else { return };
        let fresh = match &page.source {
            Source::Own(_) | Source::Lost => vec![0],
            Source::File { file, index, .. } => {
                self.files.get(file).map(|file| file.words_at(*index)).unwrap_or_default()
            }
        };
        page.collapse(word, &fresh);
        if let Source::File { file, index, private } = &page.source
            && private.flatten().is_none()
            && page.maybe.is_empty()
            && let Some(file) = self.files.get_mut(file)
        {
            file.collapse(*index, word);
        }
    }
}
