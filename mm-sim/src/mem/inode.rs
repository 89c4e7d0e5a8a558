//! A file: its size, what is on disk, and its address space.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{AddressSpace, ResvMap};
use crate::{
    classes::{HUGETLBFS_I_RWSEM, I_RWSEM, JBD2_HANDLE},
    sched,
    sync::RwSem,
};

/// What a file system does besides, with locks of its own.
pub(crate) trait FileSystem: Send + Sync {
    /// A page of a mapping is about to become writable: under the invalidate lock.
    fn page_mkwrite(&self) {}

    /// A folio is about to be read from the device: under the folio lock.
    fn read_folio(&self) {}
}

/// A file.
pub(crate) struct Inode {
    pub(crate) id: u64,
    pub(crate) i_rwsem: RwSem,
    pub(crate) mapping: Arc<AddressSpace>,
    /// It is persistent memory.
    pub(crate) is_dax: AtomicBool,
    /// The file system's transactions: one that is open is held for reading.
    pub(crate) journal: RwSem,
    /// The security module measures it before it is mapped.
    pub(crate) is_measured: AtomicBool,
    /// What it has measured last, under `i_rwsem`.
    digest: AtomicU64,
    /// Which of its pages are reserved, if it is one of hugetlbfs.
    pub(crate) hugetlb: Option<Arc<ResvMap>>,
    /// Pages in memory, as a file of hugetlbfs counts them, under `i_lock`.
    blocks: AtomicU64,
    size: AtomicU64,
    /// Names that it has.
    links: AtomicU64,
    /// Its pages on disk are those of swap: nobody else changes them (the kernel's `S_SWAPFILE`), under `i_rwsem`.
    is_swapfile: AtomicBool,
    disk: Mutex<BTreeMap<u64, u64>>,
    fs: Mutex<Option<Arc<dyn FileSystem>>>,
}

impl Inode {
    /// A file of `pages` zero pages.
    pub(crate) fn new(id: u64, pages: u64) -> Arc<Self> {
        Self::with_mapping(id, pages, AddressSpace::new(id))
    }

    /// A file of shared memory of `pages` zero pages. Nothing of it is ever on a disk.
    pub(crate) fn shmem(id: u64, pages: u64, wants_huge: bool) -> Arc<Self> {
        Self::with_mapping(id, pages, AddressSpace::shmem(id, wants_huge))
    }

    fn with_mapping(id: u64, pages: u64, mapping: Arc<AddressSpace>) -> Arc<Self> {
        let i_rwsem = RwSem::new(&I_RWSEM, ("file", id));
        let size = AtomicU64::new(pages);
        let (is_dax, is_measured, digest) = Default::default();
        let journal = RwSem::new(&JBD2_HANDLE, ("file", id));
        Arc::new(Self {
            id,
            i_rwsem,
            mapping,
            is_dax,
            journal,
            is_measured,
            digest,
            hugetlb: None,
            blocks: AtomicU64::new(0),
            size,
            links: AtomicU64::new(1),
            is_swapfile: AtomicBool::new(false),
            disk: Mutex::default(),
            fs: Mutex::default(),
        })
    }

    /// An empty file of hugetlbfs, with a class of its own for i_mmap or not.
    pub(crate) fn hugetlbfs(id: u64, own_class: bool) -> Arc<Self> {
        Arc::new(Self {
            id,
            i_rwsem: RwSem::new(&HUGETLBFS_I_RWSEM, ("file", id)),
            mapping: AddressSpace::hugetlbfs(id, own_class),
            is_dax: AtomicBool::new(false),
            journal: RwSem::new(&JBD2_HANDLE, ("file", id)),
            is_measured: AtomicBool::new(false),
            digest: AtomicU64::new(0),
            hugetlb: Some(Arc::new(ResvMap::new(id))),
            blocks: AtomicU64::new(0),
            size: AtomicU64::new(0),
            links: AtomicU64::new(1),
            is_swapfile: AtomicBool::new(false),
            disk: Mutex::default(),
            fs: Mutex::default(),
        })
    }

    /// Returns whether it is a file of shared memory.
    pub(crate) fn is_shmem(&self) -> bool {
        self.mapping.shmem.is_some()
    }

    /// Returns which of its pages are reserved.
    ///
    /// # Panics
    ///
    /// If it is no file of hugetlbfs.
    pub(crate) fn resv_map(&self) -> &Arc<ResvMap> {
        self.hugetlb.as_ref().expect("only operations of hugetlbfs ask")
    }

    /// Returns the size, in pages.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }

    /// Sets the size, in pages.
    pub(crate) fn set_size(&self, pages: u64) {
        let shrinks = pages < self.size();
        let holds = self.i_rwsem.is_mine_to_write() && (!shrinks || self.is_settled());
        sched::must_hold(holds, || format!("file {} gets a new size without its locks", self.id));
        self.size.store(pages, Relaxed);
    }

    /// Counts pages that come into memory, or go.
    #[track_caller]
    pub(crate) fn count_blocks(&self, change: impl Fn(u64) -> u64) {
        let _i_lock = self.mapping.i_lock.lock();
        sched::must_hold(self.mapping.i_lock.is_mine(), || format!("blocks of file {} change without i_lock", self.id));
        self.blocks.store(change(self.blocks()), Relaxed);
    }

    /// Returns how many pages are in memory, as a file of hugetlbfs counts them.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks.load(Relaxed)
    }

    /// Returns whether nobody can bring a page of it into the cache now. Faults on hugetlbfs look at the size under their
    /// mutex, and who cuts a file takes them all; those on shared memory look at it again with the folio locked.
    fn is_settled(&self) -> bool {
        self.hugetlb.is_some() || self.is_shmem() || self.mapping.invalidate_lock.is_mine_to_write()
    }

    /// Returns whether swap is on it: then it is neither written nor cut, nor loses its name.
    pub(crate) fn is_swapfile(&self) -> bool {
        self.is_swapfile.load(Relaxed)
    }

    /// Swap has its pages from now on, or no more.
    pub(crate) fn set_swapfile(&self, yes: bool) {
        let holds = self.i_rwsem.is_mine_to_write();
        sched::must_hold(holds, || format!("file {} is given to swap, or back, without i_rwsem", self.id));
        self.is_swapfile.store(yes, Relaxed);
    }

    /// Makes it a file of a file system with locks of its own.
    pub(crate) fn mount(&self, fs: Arc<dyn FileSystem>) {
        *self.fs.lock() = Some(fs);
    }

    /// Returns the file system, if it has locks of its own.
    pub(crate) fn fs(&self) -> Option<Arc<dyn FileSystem>> {
        self.fs.lock().clone()
    }

    /// Notes what the security module has measured.
    pub(crate) fn set_digest(&self, digest: u64) {
        let holds = self.i_rwsem.is_mine_to_write();
        sched::must_hold(holds, || format!("file {} may be written while it is measured", self.id));
        self.digest.store(digest, Relaxed);
    }

    /// Gives it a name more.
    pub(crate) fn add_link(&self) {
        let _i_lock = self.mapping.i_lock.lock();
        let holds = self.i_rwsem.is_mine_to_write() && self.mapping.i_lock.is_mine();
        sched::must_hold(holds, || format!("file {} gets a name unlocked", self.id));
        self.links.fetch_add(1, Relaxed);
    }

    /// Takes a name away.
    pub(crate) fn drop_link(&self) {
        let _i_lock = self.mapping.i_lock.lock();
        let holds = self.i_rwsem.is_mine_to_write() && self.mapping.i_lock.is_mine();
        sched::must_hold(holds, || format!("file {} loses a name unlocked", self.id));
        self.links.fetch_sub(self.links.load(Relaxed).min(1), Relaxed);
    }

    /// Reads a page from disk.
    pub(crate) fn read_disk(&self, index: u64) -> u64 {
        self.disk.lock().get(&index).copied().unwrap_or(0)
    }

    /// Writes a page to disk.
    pub(crate) fn write_disk(&self, index: u64, word: u64) {
        self.disk.lock().insert(index, word);
    }

    /// Forgets what is on disk of some pages.
    pub(crate) fn cut_disk_range(&self, pages: std::ops::Range<u64>) {
        self.disk.lock().retain(|index, _| !pages.contains(index));
    }

    /// Forgets what is on disk from `index` on.
    pub(crate) fn cut_disk(&self, index: u64) {
        self.disk.lock().split_off(&index);
    }
}
