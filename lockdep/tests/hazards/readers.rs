//! Readers, upgrades and locks that are taken again.

use lockdep::{Mutex, ReentrantMutex, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard};

use super::{CIRCULAR, NOTHING, codes};

#[test]
fn a_recursive_read_over_a_read_is_silent() {
    let a = RwLock::new(());
    assert_eq!(codes(&[&|| drop((a.read(), a.read_recursive(), a.read_recursive()))]), NOTHING);
    assert_eq!(codes(&[&|| drop((a.upgradable_read(), a.read_recursive()))]), NOTHING);
}

#[test]
fn a_reentrant_lock_waits_for_nobody_the_second_time() {
    let (r, b) = (ReentrantMutex::new(()), Mutex::new(()));
    let again = || {
        drop((r.lock(), b.lock(), r.lock()));
        let (first, second) = (r.lock(), r.lock());
        drop(first);
        assert_eq!(r.map().is_held(), Some(true));
        drop(second);
        assert_eq!(r.map().is_held(), Some(false));
    };
    assert_eq!(codes(&[&again]), NOTHING);
    assert_eq!(codes(&[&again, &|| drop((b.lock(), r.lock()))]), CIRCULAR);
    assert_eq!(codes(&[&|| drop((r.lock(), b.lock())), &|| drop((b.lock(), r.try_lock()))]), NOTHING);
}

#[test]
fn a_recursive_reader_in_between_hides_nothing() {
    let (a, r, c) = (RwLock::new(()), RwLock::new(()), Mutex::new(()));
    let nest = || drop((a.write(), r.read_recursive(), c.lock()));
    assert_eq!(codes(&[&nest, &|| drop((c.lock(), a.write()))]), CIRCULAR);
}

#[test]
fn readers_by_strong_paths() {
    let (a, b, m) = (RwLock::new(()), RwLock::new(()), Mutex::new(()));
    assert_eq!(codes(&[&|| drop((a.read(), b.read())), &|| drop((b.read(), a.read()))]), CIRCULAR);
    let recursive = || drop((a.read_recursive(), b.read_recursive()));
    assert_eq!(codes(&[&recursive, &|| drop((b.read_recursive(), a.read_recursive()))]), NOTHING);
    assert_eq!(codes(&[&recursive, &|| drop((b.read(), a.read()))]), NOTHING);
    assert_eq!(codes(&[&recursive, &|| drop((b.write(), a.write()))]), CIRCULAR);
    assert_eq!(codes(&[&|| drop((a.read(), m.lock())), &|| drop((m.lock(), a.write()))]), CIRCULAR);
    assert_eq!(codes(&[&|| drop((a.read(), m.lock())), &|| drop((m.lock(), a.read_recursive()))]), NOTHING);
}

#[test]
fn an_upgrade_waits_for_readers() {
    let (a, b) = (RwLock::new(()), Mutex::new(()));
    let upgrade_under_b = || {
        let reader = a.upgradable_read();
        let _b = b.lock();
        drop(RwLockUpgradableReadGuard::upgrade(reader));
    };
    assert_eq!(codes(&[&upgrade_under_b, &|| drop((a.read(), b.lock()))]), CIRCULAR);
    assert_eq!(codes(&[&|| drop((a.read(), b.lock())), &upgrade_under_b]), CIRCULAR);
    // Upgradable readers exclude each other, so two threads on this path cannot meet.
    assert_eq!(codes(&[&upgrade_under_b, &upgrade_under_b]), NOTHING);
}

#[test]
fn a_downgraded_writer_is_a_reader() {
    let (a, b) = (RwLock::new(()), Mutex::new(()));
    let downgraded = || {
        let reader = RwLockWriteGuard::downgrade(a.write());
        drop((b.lock(), reader));
    };
    assert_eq!(codes(&[&downgraded, &|| drop((b.lock(), a.read_recursive()))]), NOTHING);
    assert_eq!(codes(&[&downgraded, &|| drop((b.lock(), a.write()))]), CIRCULAR);
}
