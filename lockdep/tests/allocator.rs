//! A global allocator that itself uses watched locks: whatever lockdep allocates leads back into lockdep.

use std::{alloc::System, thread};

use lockdep::{Code, Mutex, Policy, RwLock, Session};
use tracking_allocator::{AllocationGroupId, AllocationRegistry, AllocationTracker, Allocator};

#[global_allocator]
static ALLOCATOR: Allocator<System> = Allocator::system();

static LIMIT: RwLock<usize> = RwLock::new(usize::MAX);
static LARGEST: Mutex<(usize, u64)> = Mutex::new((0, 0));

/// Counts allocations under locks.
struct Counter;

impl AllocationTracker for Counter {
    fn allocated(&self, _address: usize, size: usize, _wrapped: usize, _group: AllocationGroupId) {
        let limit = LIMIT.read();
        let mut largest = LARGEST.lock();
        *largest = (largest.0.max(size.min(*limit)), largest.1 + 1);
    }

    fn deallocated(
        &self,
        _address: usize,
        _size: usize,
        _wrapped: usize,
        _source: AllocationGroupId,
        _current: AllocationGroupId,
    ) {
        LARGEST.lock().1 += 1;
    }
}

/// Sessions within sessions: each has learnt something, so the tables of all of them are given back one after the other,
/// and the list of tables grows under its lock, by the allocator.
fn nest(sessions: u32, lock: &Mutex<()>) {
    if sessions > 0 {
        Session::new(Policy::Collect).enter(|| {
            (0..3).for_each(|_| drop(lock.lock()));
            nest(sessions - 1, lock);
        });
    }
}

#[test]
fn an_allocator_may_use_watched_locks() {
    AllocationRegistry::set_global_tracker(Counter).expect("the only tracker");
    AllocationRegistry::enable_tracking();
    nest(20, &Mutex::new(()));
    let session = Session::new(Policy::Collect);
    let locks: Vec<Mutex<()>> = (0..3).map(|_| Mutex::new(())).collect();
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let (c, d) = (Mutex::new(()), Mutex::new(()));
    // The order is broken by one thread at a time, or they would really deadlock.
    let turn = std::sync::Mutex::new(());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    // Each chain is new to its thread once, and its findings are rendered under the allocator's eyes.
                    session.enter(|| {
                        let _turn = turn.lock();
                        let text = session.reports().iter().map(|report| format!("{report:?}")).collect::<String>();
                        drop((a.lock(), text.clone(), b.lock()));
                        drop((b.lock(), text, a.lock()));
                        drop(locks.iter().map(Mutex::lock).collect::<Vec<_>>());
                    });
                    // And in the process's own session, to which the allocator's locks belong elsewhere.
                    drop((c.lock(), vec![0u8; 100], d.lock()));
                }
            });
        }
    });
    AllocationRegistry::disable_tracking();
    // The allocator's own locks nest in one order, below whatever was held; the program's do not.
    let codes: Vec<Code> = session.reports().iter().map(|report| report.code).collect();
    assert_eq!(codes, [Code::CircularDependency]);
    assert!(session.reports()[0].cycle.iter().all(|step| !step.inner.stack.is_empty()));
    assert_eq!(lockdep::take_reports(), []);
    let (largest, count) = *LARGEST.lock();
    assert!(largest > 1000 && count > 1000, "it was used: {largest} {count}");
    let watched = Session::process().journal("allocator").dependencies.len();
    assert!(watched >= 3, "and watched: its two locks under each other and under c, {watched}");
}
