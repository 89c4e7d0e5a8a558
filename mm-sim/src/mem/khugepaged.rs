//! [`Khugepaged`]: the processes that want huge pages.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::Mm;
use crate::{classes::KHUGEPAGED_MM_LOCK, sched, sync::SpinLock};

/// The processes that want huge pages.
pub(crate) struct Khugepaged {
    mm_lock: SpinLock,
    list: Mutex<List>,
    for_all: AtomicBool,
}

/// The processes, and who is looked at.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) mms: Vec<Arc<Mm>>,
    /// The process that is being looked at.
    pub(crate) scanned: Option<u64>,
}

impl Khugepaged {
    pub(crate) fn new() -> Self {
        Self {
            mm_lock: SpinLock::new(&KHUGEPAGED_MM_LOCK, ("khugepaged", 0)),
            list: Mutex::default(),
            for_all: AtomicBool::new(false),
        }
    }

    /// Looks at the list, or changes it, under its lock.
    #[track_caller]
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut List) -> T) -> T {
        let _khugepaged_mm_lock = self.mm_lock.lock();
        sched::must_hold(self.mm_lock.is_mine(), || "khugepaged's list is used without its lock".to_owned());
        change(&mut self.list.lock())
    }

    /// All memory is to have huge pages, whether it asks for them or not.
    pub(crate) fn set_for_all(&self) {
        self.for_all.store(true, Relaxed);
    }

    pub(crate) fn is_for_all(&self) -> bool {
        self.for_all.load(Relaxed)
    }

    /// Returns whether nothing is on the list.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.lock().mms.is_empty()
    }
}
