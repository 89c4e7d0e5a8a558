//! Guards that are sent to other threads and dropped there, with the feature `send_guard`.

use std::{sync::mpsc, thread};

use lockdep::{Code, Mutex, MutexGuard, Policy, RwLock, RwLockReadGuard, Session};

/// Drops a guard on a thread of its own.
fn drop_elsewhere<G: Send>(guard: G) {
    thread::scope(|scope| {
        scope.spawn(|| drop(guard));
    });
}

#[test]
fn what_was_sent_away_orders_nothing_any_more() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        drop((a.lock(), b.lock()));
        let guard = b.lock();
        drop_elsewhere(guard);
        assert_eq!(b.map().is_held(), Some(false));
        drop(a.lock()); // not under b
        drop((a.lock(), b.lock())); // and b is free
    });
    assert_eq!(session.reports(), []);
}

#[test]
fn until_it_is_dropped_the_guard_counts_for_the_thread_that_acquired_it() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        drop((a.lock(), b.lock()));
        let (send, receive) = mpsc::channel::<MutexGuard<'_, ()>>();
        send.send(b.lock()).unwrap();
        drop(a.lock());
        drop_elsewhere(receive);
    });
    assert_eq!(session.reports()[0].code, Code::CircularDependency);
}

#[test]
fn a_reader_that_drops_the_guard_of_another_keeps_its_own() {
    let (a, b) = (RwLock::new(()), Mutex::new(()));
    let session = Session::new(Policy::Collect);
    let (send, receive) = mpsc::channel::<RwLockReadGuard<'_, ()>>();
    thread::scope(|scope| {
        session.enter(|| send.send(a.read()).unwrap());
        let (session, a, b) = (&session, &a, &b);
        let reader = scope.spawn(move || {
            session.enter(|| {
                let own = a.read();
                drop(receive.recv().unwrap());
                assert_eq!(a.map().is_held(), Some(true));
                drop((b.lock(), own));
                assert_eq!(a.map().is_held(), Some(false));
            });
        });
        reader.join().unwrap();
    });
    session.enter(|| {
        let _b = b.lock();
        assert_eq!(a.map().is_held(), Some(false));
        drop(a.write());
    });
    assert_eq!(session.reports()[0].code, Code::CircularDependency, "a -> b was learnt by the reader");
}

#[test]
fn a_guard_that_goes_away_again_and_again_is_never_left_behind() {
    let lock = Mutex::new(0);
    let session = Session::new(Policy::Collect);
    let (send, receive) = mpsc::channel::<MutexGuard<'_, u32>>();
    let (say, done) = mpsc::channel();
    thread::scope(|scope| {
        let (session, lock) = (&session, &lock);
        scope.spawn(move || {
            session.enter(|| {
                for _ in 0..500 {
                    send.send(lock.lock()).unwrap();
                    done.recv().unwrap();
                }
                assert_eq!(lock.map().is_held(), Some(false));
            });
        });
        session.enter(|| {
            receive.into_iter().for_each(|mut guard| {
                *guard += 1;
                drop(guard);
                say.send(()).unwrap();
            });
        });
    });
    assert_eq!(session.reports(), []);
    assert_eq!(lock.into_inner(), 500);
}
