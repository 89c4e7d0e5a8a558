//! What KSM knows: which processes let their pages be merged, which folios are shared, and by whom.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{AnonVma, Folio, Mm};
use crate::{
    classes::{KSM_MMLIST_LOCK, KSM_THREAD_MUTEX},
    sched,
    sync::{SleepMutex, SpinLock, WaitQueue},
};

/// A place that may map a shared folio: a page offset of the VMAs of an anon_vma.
type RmapItem = (Arc<AnonVma>, u64);

/// A folio of the stable tree: nobody may write to it, so its contents stay.
pub(crate) struct KsmStable {
    folio: Mutex<Weak<Folio>>,
    places: Mutex<Vec<RmapItem>>,
}

impl KsmStable {
    pub(crate) fn new(folio: &Arc<Folio>) -> Arc<Self> {
        Arc::new(Self { folio: Mutex::new(Arc::downgrade(folio)), places: Mutex::default() })
    }

    /// Returns the folio with a reference, unless it has been freed.
    pub(crate) fn get_folio(&self) -> Option<Arc<Folio>> {
        self.folio.lock().upgrade().filter(|folio| folio.try_get())
    }

    /// It has been moved.
    pub(crate) fn set_folio(&self, folio: &Arc<Folio>) {
        *self.folio.lock() = Arc::downgrade(folio);
    }

    /// Adds a place. The folio is locked.
    pub(crate) fn append(&self, anon_vma: &Arc<AnonVma>, index: u64) {
        let mut places = self.places.lock();
        if !places.iter().any(|(other, at)| Arc::ptr_eq(other, anon_vma) && *at == index) {
            places.push((anon_vma.clone(), index));
        }
    }

    pub(crate) fn places(&self) -> Vec<RmapItem> {
        self.places.lock().clone()
    }
}

/// A page that was seen once and may be like another one.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) mm: Arc<Mm>,
    pub(crate) addr: u64,
}

/// The state of KSM.
pub(crate) struct Ksm {
    pub(crate) thread_mutex: SleepMutex,
    pub(crate) mmlist_lock: SpinLock,
    mms: Mutex<Vec<Arc<Mm>>>,
    /// By contents.
    stable: Mutex<BTreeMap<u64, Arc<KsmStable>>>,
    unstable: Mutex<BTreeMap<u64, Candidate>>,
    /// The process whose pages it is looking at, under its mmap lock.
    scanned: Mutex<Option<u64>>,
    /// Memory is going away: nothing is merged meanwhile.
    pub(crate) is_offlining: AtomicBool,
    pub(crate) resumed: Arc<WaitQueue>,
}

impl Ksm {
    pub(crate) fn new() -> Self {
        let owner = ("machine", 0);
        Self {
            thread_mutex: SleepMutex::new(&KSM_THREAD_MUTEX, owner),
            mmlist_lock: SpinLock::new(&KSM_MMLIST_LOCK, owner),
            mms: Mutex::default(),
            stable: Mutex::default(),
            unstable: Mutex::default(),
            scanned: Mutex::default(),
            is_offlining: AtomicBool::new(false),
            resumed: WaitQueue::new("memory to be offline".to_owned()),
        }
    }

    /// The list of processes, for who holds its lock.
    pub(crate) fn mms(&self) -> parking_lot::MutexGuard<'_, Vec<Arc<Mm>>> {
        sched::must_hold(self.mmlist_lock.is_mine(), || "the list of KSM is used without ksm_mmlist_lock".to_owned());
        self.mms.lock()
    }

    /// The folios that are shared, for who holds the mutex.
    pub(crate) fn stable(&self) -> parking_lot::MutexGuard<'_, BTreeMap<u64, Arc<KsmStable>>> {
        sched::must_hold(self.thread_mutex.is_mine(), || {
            "the trees of KSM are used without ksm_thread_mutex".to_owned()
        });
        self.stable.lock()
    }

    /// The pages that were seen in this round, for who holds the mutex.
    pub(crate) fn unstable(&self) -> parking_lot::MutexGuard<'_, BTreeMap<u64, Candidate>> {
        sched::must_hold(self.thread_mutex.is_mine(), || {
            "the trees of KSM are used without ksm_thread_mutex".to_owned()
        });
        self.unstable.lock()
    }

    /// Notes that it looks at the pages of a process. The caller holds its mmap lock until the result is dropped.
    pub(crate) fn scan(&self, mm: &Mm) -> Scanned<'_> {
        *self.scanned.lock() = Some(mm.id);
        Scanned(self)
    }

    /// Checks that it does not look at the pages of a process.
    pub(crate) fn check_not_scanned(&self, mm: &Mm) {
        let is_scanned = || *self.scanned.lock() == Some(mm.id);
        sched::must_hold(sched::settles(|| !is_scanned()), || format!("process {} ends while KSM scans it", mm.id));
    }

    /// Forgets everything: at the end of a run.
    pub(crate) fn forget(&self) {
        self.mms.lock().clear();
        self.unstable.lock().clear();
        self.stable.lock().clear();
        self.is_offlining.store(false, Relaxed);
    }
}

/// While it lives, KSM looks at the pages of a process.
#[must_use]
pub(crate) struct Scanned<'a>(&'a Ksm);

impl Drop for Scanned<'_> {
    fn drop(&mut self) {
        *self.0.scanned.lock() = None;
    }
}
