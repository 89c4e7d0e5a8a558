//! A page of a process in the model: where its value comes from, and which accesses it allows.

/// Where the value of a page comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
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

    pub(super) const fn allows(self, store: bool) -> bool {
        if store { self.write } else { self.read }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) source: Source,
    pub(super) access: Access,
    /// What it will allow, when that is being changed.
    pub(super) becomes: Option<Access>,
    pub(super) settled: bool,
    /// A private copy may be lost or not: nothing is known before the next store.
    pub(super) vague: bool,
    /// It has a copy of its own, and that is broken.
    pub(super) is_broken: bool,
    /// System calls under way that throw away what is in it.
    pub(super) discards: u32,
    /// What it may hold, if that is not certain; `None` is what a page has that nobody has written to.
    pub(super) maybe: Vec<Option<u64>>,
    /// It may be thrown away at any time until it is written to.
    pub(super) lazy: bool,
    /// It is where a page is being moved to; and whether it has been written to there.
    pub(super) arriving: Option<bool>,
}

impl Page {
    pub(super) fn new(source: Source, access: Access) -> Self {
        Self {
            source,
            access,
            becomes: None,
            settled: false,
            vague: false,
            is_broken: false,
            discards: 0,
            maybe: Vec::new(),
            lazy: false,
            arriving: None,
        }
    }

    /// Returns the value of its own, or `None` if it has none, or is nobody's to lose.
    pub(super) fn own(&self) -> Option<Option<u64>> {
        match &self.source {
            Source::Own(word) => Some(Some(*word)),
            Source::File { private: Some(copy), .. } => Some(*copy),
            Source::Lost | Source::File { private: None, .. } => None,
        }
    }

    pub(super) fn set_own(&mut self, value: Option<u64>) {
        match &mut self.source {
            Source::Own(word) => *word = value.unwrap_or(0),
            Source::File { private: Some(copy), .. } => *copy = value,
            Source::Lost | Source::File { private: None, .. } => {}
        }
    }

    /// It is written to, or lost: if it is being moved, at its new place.
    pub(super) fn changes(&mut self) {
        self.arriving = self.arriving.map(|_| true);
    }

    /// Returns whether it has been moved, and written to at its new place before anybody was told so.
    pub(super) fn has_arrived(&self) -> bool {
        self.arriving == Some(true)
    }

    pub(super) fn blur(&mut self) {
        self.vague = matches!(self.source, Source::File { private: Some(_), .. });
        self.is_broken = false;
    }

    /// It may lose its value.
    pub(super) fn doubt(&mut self) {
        if matches!(self.source, Source::Lost) {
            // Broken, or zeros: nothing is known before the next store.
            (self.source, self.vague) = (Source::Own(0), true);
        }
        let Some(own) = self.own() else { return };
        if self.maybe.is_empty() {
            self.maybe.push(own);
        }
        if !self.maybe.contains(&None) {
            self.maybe.push(None);
        }
    }

    /// Its value is certain.
    pub(super) fn write(&mut self, word: u64) {
        self.set_own(Some(word));
        if self.discards > 0 {
            self.maybe.push(Some(word));
        } else {
            (self.maybe, self.lazy) = (Vec::new(), false);
        }
    }

    /// A load has shown `word`; `fresh` is what it would be if nobody had written to it.
    pub(super) fn collapse(&mut self, word: u64, fresh: &[u64]) {
        if self.discards > 0 || self.maybe.is_empty() {
            return;
        }
        let is_fresh = fresh.contains(&word);
        let fits = |value: &Option<u64>| value.map_or(is_fresh, |value| value == word);
        let lazy = self.lazy;
        self.maybe.retain(|value| fits(value) || lazy && value.is_none());
        if let [value] = self.maybe[..] {
            self.set_own(value);
            (self.maybe, self.lazy) = (Vec::new(), false);
        }
    }
}

impl Page {
    /// Returns whether an access may be allowed.
    pub(super) fn may_allow(&self, store: bool) -> bool {
        self.access.allows(store) || self.becomes.is_some_and(|access| access.allows(store))
    }

    /// Returns whether an access may be refused.
    pub(super) fn may_refuse(&self, store: bool) -> bool {
        !(self.access.allows(store) && self.becomes.is_none_or(|access| access.allows(store)))
    }
}
