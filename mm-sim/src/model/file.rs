//! A file of the model: what it holds, and where that is not certain.

use std::{collections::BTreeMap, ops::Range};

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) size: u64,
    pub(super) words: BTreeMap<u64, u64>,
    /// The first page that a truncation under way cuts off.
    pub(super) cut: Option<u64>,
    /// The pages that are being punched out.
    pub(super) hole: Option<Range<u64>>,
    /// What else a page may hold, because it was written while it was punched out.
    pub(super) maybe: BTreeMap<u64, Vec<u64>>,
    /// Swap has its pages: nobody else writes to them.
    pub(super) is_lent: bool,
    /// What swap has left in its pages, nobody knows.
    pub(super) is_scrambled: bool,
    /// The pages that are broken, and whether that is certain.
    pub(super) broken: BTreeMap<u64, bool>,
}

impl File {
    pub(super) fn words_at(&self, index: u64) -> Vec<u64> {
        let word = self.words.get(&index).copied().unwrap_or(0);
        let others = self.maybe.get(&index).into_iter().flatten().copied();
        std::iter::once(word).chain(others).collect()
    }

    /// Returns whether neither swap nor a truncation nor a hole has to do with a page just now.
    pub(super) fn is_certain(&self, index: u64) -> bool {
        !self.is_scrambled
            && self.cut.is_none_or(|cut| index < cut)
            && self.hole.as_ref().is_none_or(|hole| !hole.contains(&index))
    }

    pub(super) fn write(&mut self, index: u64, word: u64) {
        self.words.insert(index, word);
        if self.hole.as_ref().is_some_and(|hole| hole.contains(&index)) {
            self.maybe.entry(index).or_default().push(word);
        } else {
            self.maybe.remove(&index);
        }
    }

    /// What was broken of these pages is gone; but some mapping may remember it.
    pub(super) fn mend(&mut self, pages: Range<u64>) {
        self.broken.range_mut(pages).for_each(|(_, certain)| *certain = false);
    }

    /// A load has shown which of several words it is.
    pub(super) fn collapse(&mut self, index: u64, word: u64) {
        if self.hole.is_none() && self.maybe.remove(&index).is_some() {
            self.words.insert(index, word);
        }
    }
}
