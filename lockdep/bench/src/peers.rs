//! The locks of the peers, and those of the standard library.

use std::sync;

const UNPOISONED: &str = "nothing panics while it holds a lock here";

/// Starts the peers that want to be started.
pub fn start() -> anyhow::Result<()> {
    deloxide::Deloxide::new().with_lock_order_checking().start()
}

locks! {
    /// The standard library's mutex.
    StdMutex(sync::Mutex<u64>) -> sync::MutexGuard<'a, u64>,
        |_class| sync::Mutex::new(0), |lock| lock.lock().expect(UNPOISONED);
    /// The standard library's readers-writer lock, read.
    StdRead(sync::RwLock<u64>) -> sync::RwLockReadGuard<'a, u64>,
        |_class| sync::RwLock::new(0), |lock| lock.read().expect(UNPOISONED);
    /// The standard library's readers-writer lock, written.
    StdWrite(sync::RwLock<u64>) -> sync::RwLockWriteGuard<'a, u64>,
        |_class| sync::RwLock::new(0), |lock| lock.write().expect(UNPOISONED);

    // Of tracing-mutex, the types that trace in every build; its others are parking_lot's own in release builds.

    /// tracing-mutex over parking_lot.
    TracingMutex(tracing_mutex::parkinglot::tracing::Mutex<u64>) -> tracing_mutex::parkinglot::tracing::MutexGuard<'a, u64>,
        |_class| tracing_mutex::parkinglot::tracing::Mutex::new(0), |lock| lock.lock();
    /// tracing-mutex over parking_lot, read.
    TracingRead(tracing_mutex::parkinglot::tracing::RwLock<u64>) -> tracing_mutex::parkinglot::tracing::RwLockReadGuard<'a, u64>,
        |_class| tracing_mutex::parkinglot::tracing::RwLock::new(0), |lock| lock.read();
    /// tracing-mutex over parking_lot, written.
    TracingWrite(tracing_mutex::parkinglot::tracing::RwLock<u64>) -> tracing_mutex::parkinglot::tracing::RwLockWriteGuard<'a, u64>,
        |_class| tracing_mutex::parkinglot::tracing::RwLock::new(0), |lock| lock.write();

    /// deloxide, with its check of the lock order.
    DeloxideMutex(deloxide::Mutex<u64>) -> deloxide::MutexGuard<'a, u64>,
        |_class| deloxide::Mutex::new(0), |lock| lock.lock();
    /// deloxide, read.
    DeloxideRead(deloxide::RwLock<u64>) -> deloxide::RwLockReadGuard<'a, u64>,
        |_class| deloxide::RwLock::new(0), |lock| lock.read();
    /// deloxide, written.
    DeloxideWrite(deloxide::RwLock<u64>) -> deloxide::RwLockWriteGuard<'a, u64>,
        |_class| deloxide::RwLock::new(0), |lock| lock.write();

    /// keepcalm with deadlock_detection, as a mutex.
    KeepcalmMutex(keepcalm::SharedMut<u64>) -> keepcalm::SharedWriteLock<'a, u64>,
        |_class| keepcalm::SharedMut::new_mutex(0), |lock| lock.write();
    /// keepcalm with deadlock_detection, read.
    KeepcalmRead(keepcalm::SharedMut<u64>) -> keepcalm::SharedReadLock<'a, u64>,
        |_class| keepcalm::SharedMut::new(0), |lock| lock.read();
    /// keepcalm with deadlock_detection, written.
    KeepcalmWrite(keepcalm::SharedMut<u64>) -> keepcalm::SharedWriteLock<'a, u64>,
        |_class| keepcalm::SharedMut::new(0), |lock| lock.write();

    /// no_deadlocks.
    NoDeadlocksMutex(no_deadlocks::Mutex<u64>) -> no_deadlocks::MutexGuard<'a, u64>,
        |_class| no_deadlocks::Mutex::new(0), |lock| lock.lock().expect(UNPOISONED);
    /// no_deadlocks, read.
    NoDeadlocksRead(no_deadlocks::RwLock<u64>) -> no_deadlocks::RwLockReadGuard<'a, u64>,
        |_class| no_deadlocks::RwLock::new(0), |lock| lock.read().expect(UNPOISONED);
    /// no_deadlocks, written.
    NoDeadlocksWrite(no_deadlocks::RwLock<u64>) -> no_deadlocks::RwLockWriteGuard<'a, u64>,
        |_class| no_deadlocks::RwLock::new(0), |lock| lock.write().expect(UNPOISONED);
}
