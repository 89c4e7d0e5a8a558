//! A known acquisition allocates nothing, and neither does a release, in whatever order.

use lockdep::{LockClass, Mutex, RwLock, Subclass};

static CLASSES: [LockClass; 8] = [const { LockClass::new("row") }; 8];

/// What a program does all day: nested locks, released in another order than they were acquired.
fn round(locks: &[Mutex<u64>; 8], shared: &RwLock<u64>, shards: &[Mutex<u64>]) {
    let [a, b, c, d, e, f, g, h] = locks.each_ref().map(Mutex::lock);
    drop((c, a, h, g));
    drop(shared.read());
    drop(shared.read_recursive());
    drop((b, d, f, e));
    drop(shared.write());
    drop(shared.upgradable_read());
    let outer = locks[0].lock();
    drop(locks[0].try_lock());
    drop(locks[1].lock_nested(Subclass::new(1)));
    drop(outer);
    // Locks of one line, which nest among each other.
    for (low, high) in shards.iter().zip(&shards[1..]) {
        drop((low.lock(), high.lock()));
    }
}

#[test]
fn known_acquisitions_and_releases_allocate_nothing() {
    let locks = CLASSES.each_ref().map(|class| Mutex::new_in(class, 0));
    let shared = RwLock::new(0);
    let shards: Vec<_> = (0..100).map(|_| Mutex::new(0)).collect();
    let cold = allocation_counter::measure(|| round(&locks, &shared, &shards));
    assert!(cold.count_total > 0, "the counter counts: learning allocates");
    let warm = allocation_counter::measure(|| (0..1000).for_each(|_| round(&locks, &shared, &shards)));
    assert_eq!(warm.count_total, 0);
}

#[test]
fn short_lived_locks_leave_nothing_behind() {
    let churn = |n: u64| {
        let outer = Mutex::new(0);
        for i in 0..n {
            let lock = Mutex::new(i);
            let _outer = outer.lock();
            drop(lock.lock());
        }
    };
    churn(10);
    let churned = allocation_counter::measure(|| churn(100_000));
    assert_eq!(churned.bytes_current, 0, "100,000 locks that are gone take no memory");
}
