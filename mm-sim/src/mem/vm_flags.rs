//! What a VMA allows and how it is treated.

/// The flags of a VMA (the kernel's `vm_flags`). They change only as [`Vma::set_flags`](super::Vma::set_flags) checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VmFlags {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Stores go to the file, or to the children too.
    pub(crate) shared: bool,
    /// Its pages stay in memory.
    pub(crate) locked: bool,
    /// A stack: it grows down to the page that is touched below it.
    pub(crate) growsdown: bool,
    /// A stack that is not where it belongs yet: migration leaves it alone.
    pub(crate) temporary_stack: bool,
    /// Its pages are huge ones of hugetlbfs.
    pub(crate) hugetlb: bool,
    /// Nothing is promised to it: only hugetlbfs promises anything.
    pub(crate) noreserve: bool,
    /// KSM may merge its pages.
    pub(crate) mergeable: bool,
    /// It asks for huge pages.
    pub(crate) huge: bool,
    /// It wants no huge pages.
    pub(crate) nohuge: bool,
    /// User code is told of pages that are missing.
    pub(crate) uffd_missing: bool,
    /// User code is told of writes to protected pages.
    pub(crate) uffd_wp: bool,
    /// User code is told of pages that are in the cache and not mapped.
    pub(crate) uffd_minor: bool,
}

impl VmFlags {
    /// Nothing is allowed.
    pub(crate) const NONE: Self = Self {
        read: false,
        write: false,
        shared: false,
        locked: false,
        growsdown: false,
        temporary_stack: false,
        hugetlb: false,
        noreserve: false,
        mergeable: false,
        huge: false,
        nohuge: false,
        uffd_missing: false,
        uffd_wp: false,
        uffd_minor: false,
    };
    /// Loads.
    pub(crate) const READ: Self = Self { read: true, ..Self::NONE };
    /// Loads and stores: what most mappings have.
    pub(crate) const READ_WRITE: Self = Self { write: true, ..Self::READ };

    /// Returns whether no page table may be shared with other processes: what user code is told of is its own
    /// (`uffd_disable_huge_pmd_share`).
    pub(crate) const fn wants_own_tables(self) -> bool {
        self.hugetlb && (self.uffd_wp || self.uffd_minor)
    }

    /// Returns whether an access is allowed.
    pub(crate) const fn allows(self, store: bool) -> bool {
        if store { self.write } else { self.read }
    }
}
