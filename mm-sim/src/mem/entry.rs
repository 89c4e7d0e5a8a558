//! One entry of a page table, packed as hardware would.

/// Empty, a table of the next level, or a page (at the PMD level: a huge page).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(u64);

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const DIRTY: u64 = 1 << 2;
const YOUNG: u64 = 1 << 3;
const TABLE: u64 = 1 << 4;
/// Present for the kernel, but no access is allowed.
const NO_ACCESS: u64 = 1 << 5;
const NUMBER_SHIFT: u32 = 12;

impl Entry {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn table(id: u64) -> Self {
        Self(id << NUMBER_SHIFT | PRESENT | TABLE)
    }

    pub(crate) const fn page(pfn: u64) -> Self {
        Self(pfn << NUMBER_SHIFT | PRESENT | YOUNG)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn writable(self, yes: bool) -> Self {
        Self(if yes { self.0 | WRITE } else { self.0 & !WRITE })
    }

    pub(crate) const fn dirty(self) -> Self {
        Self(self.0 | DIRTY)
    }

    pub(crate) const fn clean(self) -> Self {
        Self(self.0 & !DIRTY)
    }

    pub(crate) const fn young(self, yes: bool) -> Self {
        Self(if yes { self.0 | YOUNG } else { self.0 & !YOUNG })
    }

    /// Whether the hardware may use it at all, whoever the page belongs to.
    pub(crate) const fn accessible(self, yes: bool) -> Self {
        Self(if yes { self.0 & !NO_ACCESS } else { self.0 | NO_ACCESS })
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn is_page(self) -> bool {
        self.0 & (PRESENT | TABLE) == PRESENT
    }

    pub(crate) const fn is_writable(self) -> bool {
        self.0 & WRITE != 0
    }

    pub(crate) const fn is_accessible(self) -> bool {
        self.0 & NO_ACCESS == 0
    }

    pub(crate) const fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    pub(crate) const fn is_young(self) -> bool {
        self.0 & YOUNG != 0
    }

    /// Returns the table it leads to.
    pub(crate) fn as_table(self) -> Option<u64> {
        (self.0 & TABLE != 0).then_some(self.0 >> NUMBER_SHIFT)
    }

    /// Returns the page it maps.
    pub(crate) fn as_page(self) -> Option<u64> {
        self.is_page().then_some(self.0 >> NUMBER_SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_nothing_a_table_or_a_page() {
        assert!(Entry::NONE.is_none() && !Entry::NONE.is_page() && Entry::NONE.as_table().is_none());
        assert_eq!(Entry::table(7).as_table(), Some(7));
        assert_eq!(Entry::table(7).as_page(), None);
        let page = Entry::page(9).writable(true).dirty();
        assert_eq!(page.as_page(), Some(9));
        assert!(page.is_writable() && page.is_dirty() && page.is_young());
        assert!(!page.writable(false).is_writable() && !page.clean().is_dirty() && !page.young(false).is_young());
    }
}
