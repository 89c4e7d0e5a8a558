//! The table of mutexes that page faults on hugetlbfs take first: by file and page, hashed.

use crate::{
    classes::HUGETLB_FAULT_MUTEX,
    sched,
    sync::{MutexGuard, SleepMutex},
};

/// Mutexes in the table: few, so that pages share one now and then.
const SIZE: u64 = 8;

/// The kernel's `hugetlb_fault_mutex_table`.
pub(crate) struct FaultMutexes(Vec<SleepMutex>);

impl FaultMutexes {
    pub(crate) fn new() -> Self {
        Self((0..SIZE).map(|slot| SleepMutex::new(&HUGETLB_FAULT_MUTEX, ("slot", slot))).collect())
    }

    /// Locks a page of a file.
    #[track_caller]
    pub(crate) fn lock(&self, file: u64, huge_index: u64) -> MutexGuard {
        self.of(file, huge_index).lock()
    }

    /// Checks that this actor has a page of a file locked.
    pub(crate) fn check_locked(&self, file: u64, huge_index: u64, what: &str) {
        let holds = self.of(file, huge_index).is_mine();
        sched::must_hold(holds, || format!("huge page {huge_index} of file {file} {what} without its fault mutex"));
    }

    fn of(&self, file: u64, huge_index: u64) -> &SleepMutex {
        &self.0[((file.wrapping_mul(31) + huge_index) % SIZE) as usize]
    }
}
