//! Many threads, many locks, and the ends of both.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use lockdep::{LockClass, Mutex, Policy, Session};

use super::{CIRCULAR, NOTHING, codes};

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
