//! Trylocks, waits, and releases in any order and by anybody.

use std::{sync::Barrier, thread, time::Duration};

use lockdep::{Acquire, Code, Condvar, Grade, Holder, LockClass, LockMap, Mode, Mutex, Policy, RwLock, Session};

use super::{CIRCULAR, NOTHING, codes, findings};

#[test]
fn a_trylock_depends_on_nothing_and_is_depended_on() {
    let (a, b, c) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    let both = |first: &Mutex<()>, second: &Mutex<()>| drop((first.lock(), second.lock()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.try_lock())), &|| both(&b, &a)]), NOTHING);
    assert_eq!(codes(&[&|| both(&a, &b), &|| drop((b.lock(), a.try_lock()))]), NOTHING);
    assert_eq!(codes(&[&|| drop((a.try_lock(), b.lock())), &|| both(&b, &a)]), CIRCULAR);
    assert_eq!(codes(&[&|| drop((a.lock(), b.try_lock(), c.lock())), &|| both(&c, &a)]), CIRCULAR);
    // The same chain of classes, first trylocked, then not.
    assert_eq!(codes(&[&|| drop((a.lock(), b.try_lock())), &|| both(&a, &b), &|| both(&b, &a)]), CIRCULAR);
}

#[test]
fn a_trylock_that_fails_leaves_no_trace() {
    let a = Mutex::new(());
    let session = Session::new(Policy::Collect);
    let guard = a.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            session.enter(|| {
                assert!(a.try_lock().is_none());
                assert_eq!(a.map().is_held(), Some(false));
            });
        });
    });
    drop(guard);
}

#[test]
fn the_same_lock_twice_is_reported_instead_of_hanging() {
    static MUTEX: Mutex<()> = Mutex::new(());
    static RWLOCK: RwLock<()> = RwLock::new(());
    let session = Session::new(Policy::Panic);
    let hangs: [fn(); 4] = [
        || drop((MUTEX.lock(), MUTEX.lock())),
        || drop((RWLOCK.read(), RWLOCK.read())),
        || drop((RWLOCK.read(), RWLOCK.write())),
        || drop((RWLOCK.upgradable_read(), RWLOCK.upgradable_read())),
    ];
    // Twice each: a deadlock that is certain is told every time.
    for hang in hangs.into_iter().chain(hangs) {
        let outcome = thread::scope(|scope| scope.spawn(|| session.enter(hang)).join());
        let message = *outcome.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("possible recursive locking detected"), "{message}");
        assert!(message.contains("It is the same lock"), "{message}");
    }
    assert!(!MUTEX.is_locked() && !RWLOCK.is_locked());
}

#[test]
fn a_wait_acquires_its_mutex_again_under_what_is_held() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let condvar = Condvar::new();
    let wait = || {
        let mut guard = a.lock();
        let _b = b.lock();
        condvar.wait_for(&mut guard, Duration::from_millis(1));
    };
    assert_eq!(codes(&[&wait]), CIRCULAR);
    let alone = || {
        let _b = b.lock();
        let mut guard = a.lock();
        condvar.wait_for(&mut guard, Duration::from_millis(1));
    };
    assert_eq!(codes(&[&alone]), NOTHING);
}

#[test]
fn locks_released_out_of_order() {
    let (a, b, c) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    let retake = || {
        let first = a.lock();
        let _b = b.lock();
        drop(first);
        drop(a.lock());
    };
    assert_eq!(codes(&[&retake]), CIRCULAR);
    let hand_over_hand = || {
        let first = a.lock();
        let second = b.lock();
        drop(first);
        drop((c.lock(), second));
    };
    let found = findings(&[&hand_over_hand, &|| drop((c.lock(), a.lock()))]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].cycle.len(), 3, "it takes three threads");
    assert_eq!(found[0].grade, Grade::FewThreads, "two were seen");
    let released_between = || {
        let _a = a.lock();
        drop(b.lock());
        drop(c.lock());
    };
    assert_eq!(codes(&[&released_between, &|| drop((c.lock(), a.lock()))]), CIRCULAR);
}

#[test]
fn a_lock_released_for_its_holder_is_gone_from_that_thread_and_no_other() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    static ELSEWHERE: LockClass = LockClass::new("elsewhere");
    let map = LockMap::new_in(&ELSEWHERE);
    let session = Session::new(Policy::Collect);
    let (waits, released) = (Barrier::new(2), Barrier::new(2));
    session.enter(|| {
        map.acquire(Acquire::exclusive());
        let holder = Holder::current();
        thread::scope(|scope| {
            // Another thread waits for it, so that it says it acquires it before the holder has let go.
            scope.spawn(|| {
                session.enter(|| {
                    map.acquire(Acquire::exclusive());
                    waits.wait();
                    released.wait();
                    drop(b.lock());
                    assert_eq!(map.is_held(), Some(true), "it has what it waited for");
                    map.release();
                });
            });
            waits.wait();
            scope.spawn(|| session.enter(|| map.release_for(holder))).join().unwrap();
            released.wait();
        });
        drop((a.lock(), b.lock()));
        assert_eq!(map.is_held(), Some(false));
    });
    session.enter(|| {
        let _b = b.lock();
        drop(a.try_lock());
    });
    assert_eq!(session.reports(), []);
    let learnt = session.journal("elsewhere").dependencies.len();
    assert_eq!(
        learnt, 2,
        "elsewhere -> b and a -> b: what the waiter held then counts, what the holder held no more not"
    );
}

#[test]
fn releasing_what_is_not_held_is_told() {
    static HELD: LockClass = LockClass::new("never held");
    let map = LockMap::new_in(&HELD);
    let once = || {
        map.acquire(Acquire::shared());
        map.release();
    };
    assert_eq!(codes(&[&once]), NOTHING);
    assert_eq!(codes(&[&|| map.release()]), [Code::ReleaseUnheld]);
}

#[test]
fn a_map_makes_a_lock_of_anything() {
    static RECLAIM: LockClass = LockClass::new("reclaim");
    static RECLAIM_MAP: LockMap = LockMap::new_in(&RECLAIM);
    let cache = Mutex::new(());
    let allocate_under_cache = || {
        let _cache = cache.lock();
        RECLAIM_MAP.acquire(Acquire::exclusive());
        RECLAIM_MAP.release();
    };
    let reclaim = || {
        RECLAIM_MAP.acquire(Acquire::exclusive());
        drop(cache.lock());
        RECLAIM_MAP.set_mode(Mode::Shared);
        RECLAIM_MAP.release();
    };
    let found = findings(&[&allocate_under_cache, &reclaim]);
    assert_eq!(found[0].cycle.iter().filter(|step| step.outer.class == "reclaim").count(), 1);
}
