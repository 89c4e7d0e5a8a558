//! One entry of a page table, packed as hardware would.
//!
//! An entry that is not present may still say something, to software only: where the page went. Every walk has to know
//! what to do with each of the sorts ([`Absent`]); who only wants pages asks [`Entry::as_page`].

/// What a non-present entry that is not empty says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The page is on the swap device, in this slot; the entry is one of its users.
    Swap(u64),
    /// The page with this frame is being moved: wait for its folio. It counts as resident.
    Migration(u64),
    /// The frame is broken: whoever wants it gets a signal.
    Hwpoison(u64),
    /// No page, but something to remember of the place, such as that userfaultfd wants to hear of writes.
    Marker,
}

/// Empty, a table of the next level, a page (at the PMD level: a huge page), or an [`Absent`] page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(u64);

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const DIRTY: u64 = 1 << 2;
const YOUNG: u64 = 1 << 3;
const TABLE: u64 = 1 << 4;
/// Present for the kernel, but no access is allowed.
const NO_ACCESS: u64 = 1 << 5;
/// Somebody wants to hear of writes to the page (userfaultfd); kept while the page is absent.
const UFFD_WP: u64 = 1 << 9;
/// Two bits: which sort of absent page. They mean nothing in a present entry.
const ABSENT_SHIFT: u32 = 6;
/// An absent entry is never all zeros.
const ABSENT: u64 = 1 << 8;
const NUMBER_SHIFT: u32 = 12;

impl Entry {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn table(id: u64) -> Self {
        Self(id << NUMBER_SHIFT | PRESENT | TABLE)
    }

    pub(crate) const fn page(pfn: u64) -> Self {
        Self(pfn << NUMBER_SHIFT | PRESENT | YOUNG)
    }

    /// A page that is on the swap device, in this slot.
    pub(crate) const fn swap(slot: u64) -> Self {
        Self::absent(0, slot)
    }

    /// A page that is being moved. Whether it was writable is kept.
    pub(crate) const fn migration(pfn: u64, writable: bool) -> Self {
        Self::absent(1, pfn).writable(writable)
    }

    /// A broken page.
    pub(crate) const fn hwpoison(pfn: u64) -> Self {
        Self::absent(2, pfn)
    }

    /// Nothing but the mark.
    pub(crate) const fn marker() -> Self {
        Self::absent(3, 0)
    }

    const fn absent(sort: u64, number: u64) -> Self {
        Self(number << NUMBER_SHIFT | ABSENT | sort << ABSENT_SHIFT)
    }

    /// Returns what it says instead of leading anywhere.
    pub(crate) const fn as_absent(self) -> Option<Absent> {
        if self.0 & (PRESENT | ABSENT) != ABSENT {
            return None;
        }
        let number = self.0 >> NUMBER_SHIFT;
        Some(match (self.0 >> ABSENT_SHIFT) & 3 {
            0 => Absent::Swap(number),
            1 => Absent::Migration(number),
            2 => Absent::Hwpoison(number),
            _ => Absent::Marker,
        })
    }

    /// Returns the slot of the swap device.
    pub(crate) const fn as_swap(self) -> Option<u64> {
        if let Some(Absent::Swap(slot)) = self.as_absent() { Some(slot) } else { None }
    }

    pub(crate) const fn uffd_wp(self, yes: bool) -> Self {
        Self(if yes { self.0 | UFFD_WP } else { self.0 & !UFFD_WP })
    }

    pub(crate) const fn is_uffd_wp(self) -> bool {
        self.0 & UFFD_WP != 0
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

    /// The same for the page that is `pages` behind.
    pub(crate) const fn plus(self, pages: u64) -> Self {
        Self(self.0 + (pages << NUMBER_SHIFT))
    }

    /// The same, used as much as another one.
    pub(crate) const fn used_as(self, other: Self) -> Self {
        Self(self.0 | other.0 & (DIRTY | YOUNG))
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
    fn an_absent_page_is_neither_there_nor_nothing() {
        let all = [
            (Entry::swap(0), Absent::Swap(0)),
            (Entry::migration(9, true), Absent::Migration(9)),
            (Entry::hwpoison(9), Absent::Hwpoison(9)),
            (Entry::marker().uffd_wp(true), Absent::Marker),
        ];
        for (entry, absent) in all {
            assert!(!entry.is_none() && !entry.is_page() && entry.as_page().is_none() && entry.as_table().is_none());
            assert_eq!(entry.as_absent(), Some(absent));
        }
        assert_eq!((Entry::swap(7).as_swap(), Entry::migration(7, false).as_swap()), (Some(7), None));
        assert!(Entry::migration(9, true).is_writable() && !Entry::migration(9, false).is_writable());
        assert!([Entry::NONE, Entry::page(3).uffd_wp(true), Entry::table(3)].iter().all(|e| e.as_absent().is_none()));
        assert!(Entry::page(3).uffd_wp(true).is_uffd_wp() && !Entry::page(3).is_uffd_wp());
    }

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
