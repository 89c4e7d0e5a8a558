//! What a validator must say, on real locks and real threads: what must be reported although nothing hangs, and what must
//! not be reported.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

use lockdep::{
    Acquire, Code, Condvar, Grade, Holder, LockClass, LockMap, Mode, Mutex, Policy, ReentrantMutex, Report, RwLock,
    RwLockUpgradableReadGuard, RwLockWriteGuard, Session, Subclass,
};

/// Runs steps, each on a thread of its own, one after another, in a session of their own. Returns its findings.
fn findings(steps: &[&(dyn Fn() + Sync)]) -> Vec<Report> {
    let session = Session::new(Policy::Collect);
    for step in steps {
        thread::scope(|scope| {
            scope.spawn(|| session.enter(step));
        });
    }
    session.reports()
}

fn codes(steps: &[&(dyn Fn() + Sync)]) -> Vec<Code> {
    findings(steps).iter().map(|report| report.code).collect()
}

const NOTHING: [Code; 0] = [];
const CIRCULAR: [Code; 1] = [Code::CircularDependency];

#[test]
fn an_inversion_on_two_threads_or_on_one() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock())), &|| drop((b.lock(), a.lock()))]), CIRCULAR);
    let both = || {
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.lock()));
    };
    let found = findings(&[&both]);
    assert_eq!((found[0].code, found[0].grade), (Code::CircularDependency, Grade::FewThreads));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock())), &|| drop((a.lock(), b.lock()))]), NOTHING);
}

#[test]
fn long_cycles_are_found_whole() {
    for length in [3, 12, 25, 1000] {
        // A class of its own for each lock.
        let classes: Vec<&'static LockClass> =
            (0..length).map(|_| &*Box::leak(Box::new(LockClass::new("ring")))).collect();
        let locks: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
        let ring = || (0..length).for_each(|i| drop((locks[i].lock(), locks[(i + 1) % length].lock())));
        let found = findings(&[&ring]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cycle.len(), length);
        assert!(found[0].cycle.iter().all(|step| !step.inner.stack.is_empty() && !step.outer.stack.is_empty()));
    }
}

struct Pair {
    x: Mutex<()>,
    y: Mutex<()>,
}

fn pair() -> Pair {
    Pair { x: Mutex::new(()), y: Mutex::new(()) }
}

#[test]
fn two_objects_of_one_kind_share_their_classes_even_when_one_is_gone() {
    let (first, second) = (pair(), pair());
    assert_eq!(
        codes(&[&|| drop((first.x.lock(), first.y.lock())), &|| drop((second.y.lock(), second.x.lock()))]),
        CIRCULAR
    );
    let gone = || {
        let pair = pair();
        drop((pair.x.lock(), pair.y.lock()));
    };
    assert_eq!(codes(&[&gone, &|| drop((second.y.lock(), second.x.lock()))]), CIRCULAR);
}

#[test]
fn what_a_destroyed_lock_led_to_is_not_forgotten() {
    let (a, c) = (Mutex::new(()), Mutex::new(()));
    let nest = || {
        let b = Mutex::new(());
        let _a = a.lock();
        let _b = b.lock();
        drop(c.lock());
    };
    assert_eq!(codes(&[&nest, &|| drop((c.lock(), a.lock()))]), CIRCULAR);
}

#[test]
fn a_new_lock_at_a_dead_locks_address_is_another_lock() {
    let outer = Mutex::new(());
    let mut slot = Some(Mutex::new(1));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        drop((outer.lock(), slot.as_ref().unwrap().lock()));
        // Same place in memory, another construction site.
        slot = Some(Mutex::new(2));
        drop((slot.as_ref().unwrap().lock(), outer.lock()));
    });
    assert_eq!(session.reports(), []);
}

#[test]
fn a_moved_lock_stays_itself() {
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        let make = || Mutex::new(());
        let (a, b) = (make(), make());
        drop((a.lock(), b.lock()));
        let (b, a) = (Box::new(b), Box::new(a));
        drop((a.lock(), b.lock()));
        assert_eq!(session.reports(), []);
        drop((b.lock(), a.lock()));
    });
    assert_eq!(session.reports()[0].code, Code::InstanceOrder);
}

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
fn a_row_of_locks_has_one_order() {
    let row: Vec<Mutex<()>> = (0..4).map(|_| Mutex::new(())).collect();
    let up = || drop(row.iter().map(|lock| lock.lock()).collect::<Vec<_>>());
    let down = || drop(row.iter().rev().map(|lock| lock.lock()).collect::<Vec<_>>());
    assert_eq!(codes(&[&up, &up]), NOTHING);
    assert_eq!(codes(&[&up, &down]), [Code::InstanceOrder]);
}

#[test]
fn explicit_classes_nest_by_subclass_only() {
    static NODE: LockClass = LockClass::new("node");
    let (a, b) = (Mutex::new_in(&NODE, ()), Mutex::new_in(&NODE, ()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock()))]), [Code::Recursion]);
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock_nested(Subclass::new(1))))]), NOTHING);
    let wrong = || drop((b.lock_nested(Subclass::new(1)), a.lock()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock_nested(Subclass::new(1)))), &wrong]), CIRCULAR);
}

#[test]
fn two_locks_on_one_line_are_two_classes_and_a_helper_names_its_caller() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock())), &|| drop((b.lock(), a.lock()))]), CIRCULAR);

    #[track_caller]
    fn helper() -> Mutex<()> {
        Mutex::new(())
    }
    let c = helper();
    let d = helper();
    let found = findings(&[&|| drop((c.lock(), d.lock())), &|| drop((d.lock(), c.lock()))]);
    assert_eq!(found[0].code, Code::CircularDependency, "two callers, two classes");
}

#[test]
fn many_locks_at_once() {
    let locks: Vec<Mutex<()>> = (0..10_000).map(|_| Mutex::new(())).collect();
    let classes: Vec<&'static LockClass> = (0..200).map(|_| &*Box::leak(Box::new(LockClass::new("many")))).collect();
    let of_many_classes: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
    let deep = || drop(of_many_classes.iter().map(Mutex::lock).collect::<Vec<_>>());
    assert_eq!(codes(&[&deep, &deep]), NOTHING);
    let one_by_one = || locks.iter().for_each(|lock| drop(lock.lock()));
    assert_eq!(codes(&[&one_by_one]), NOTHING);
    let (first, last) = (&of_many_classes[0], &of_many_classes[199]);
    assert_eq!(codes(&[&deep, &|| drop((last.lock(), first.lock()))]), CIRCULAR);
}

#[test]
fn a_chain_of_many_locks_needs_no_deep_stack() {
    let classes: Vec<&'static LockClass> =
        (0..50_000).map(|_| &*Box::leak(Box::new(LockClass::new("chain")))).collect();
    let locks: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
    let head = Mutex::new(());
    let session = Session::new(Policy::Collect);
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(2 << 20);
        let chain = || {
            session.enter(|| {
                // From the tail, so that each new dependency comes before all that are known.
                locks.windows(2).rev().for_each(|pair| drop((pair[0].lock(), pair[1].lock())));
                drop((head.lock(), locks[0].lock()));
            });
        };
        builder.spawn_scoped(scope, chain).unwrap();
    });
    assert_eq!(session.reports(), []);
}

thread_local! {
    static LAST_WORDS: LastWords = const { LastWords };
}

static GOODBYE: Mutex<u32> = Mutex::new(0);

struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        *GOODBYE.lock() += 1;
    }
}

#[test]
fn locks_work_in_the_destructors_of_thread_locals() {
    for _ in 0..3 {
        thread::spawn(|| {
            LAST_WORDS.with(|_| ());
            drop(GOODBYE.lock());
        })
        .join()
        .unwrap();
    }
    assert_eq!(*GOODBYE.lock(), 3);
}

#[test]
fn threads_that_race_lose_no_dependency() {
    let classes: Vec<&'static LockClass> = (0..64).map(|_| &*Box::leak(Box::new(LockClass::new("race")))).collect();
    let locks: Arc<Vec<Mutex<()>>> = Arc::new(classes.iter().map(|class| Mutex::new_in(class, ())).collect());
    let session = Session::new(Policy::Collect);
    thread::scope(|scope| {
        for offset in 0..8 {
            let (locks, session) = (locks.clone(), session.clone());
            scope.spawn(move || {
                session.enter(|| {
                    for i in 0..64 {
                        for j in i + 1..64 {
                            // Every thread begins elsewhere; together they learn every pair, several times over.
                            let (i, j) = ((i + offset * 8) % 64, (j + offset * 8) % 64);
                            drop((locks[i.min(j)].lock(), locks[i.max(j)].lock()));
                        }
                    }
                });
            });
        }
    });
    assert_eq!(session.reports(), []);
    assert_eq!(session.journal("race").dependencies.len(), 64 * 63 / 2);
}

#[test]
fn a_finding_is_made_once_and_counted() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        drop((a.lock(), b.lock()));
        (0..5).for_each(|_| drop((b.lock(), a.lock())));
    });
    let reports = session.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(session.times_seen(reports[0].fingerprint), 5);
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

#[test]
fn a_session_sees_only_the_threads_that_entered_it() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let (inside, outside) = (Session::new(Policy::Collect), Session::new(Policy::Collect));
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            outside.enter(|| drop((a.lock(), b.lock())));
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        inside.enter(|| drop((b.lock(), a.lock())));
    });
    assert_eq!((inside.reports(), outside.reports()), (Vec::new(), Vec::new()));
}
