//! Processes that fork in the middle of everything. Without a test harness, which has threads of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use fork::{Fork, WEXITSTATUS, WIFEXITED, fork, waitpid_nohang};
use lockdep::{LockClass, Mutex, Policy};

/// Runs `f` in a child and returns whether it said yes. A child that hangs fails the test.
fn in_child(f: impl FnOnce() -> bool) -> bool {
    match fork().expect("the system can fork") {
        Fork::Child => std::process::exit(if f() { 0 } else { 1 }),
        Fork::Parent(pid) => {
            // Long beyond what anything takes: it only ends a hang.
            let end = Instant::now() + Duration::from_secs(60);
            loop {
                match waitpid_nohang(pid).expect("the child can be waited for") {
                    Some(status) => return WIFEXITED(status) && WEXITSTATUS(status) == 0,
                    None if Instant::now() > end => panic!("the child hangs"),
                    None => thread::sleep(Duration::from_millis(1)),
                }
            }
        }
    }
}

fn class() -> &'static LockClass {
    Box::leak(Box::new(LockClass::new("learnt")))
}

/// The child goes on with what the parent holds and knows.
fn a_child_of_one_thread_is_checked() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock(), b.lock()));
    let guard = b.lock();
    let found = in_child(|| {
        assert_eq!(b.map().is_held(), Some(true));
        drop(a.lock());
        lockdep::take_reports().len() == 1
    });
    assert!(found, "the child closes the cycle that its parent began");
    drop(guard);
    assert_eq!(lockdep::take_reports(), [], "the parent does not");
}

/// At any moment the other thread may hold any lock of the runtime.
fn a_child_of_several_threads_lives() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let learner = thread::spawn(|| {
        while !STOP.load(SeqCst) {
            let (a, b) = (Mutex::new_in(class(), ()), Mutex::new_in(class(), ()));
            drop((a.lock(), b.lock()));
        }
    });
    let held = Mutex::new(());
    for _ in 0..100 {
        let _held = held.lock();
        let alive = in_child(|| {
            let (a, b) = (Mutex::new_in(class(), 1), Mutex::new(2));
            let sum = *a.lock() + *b.lock();
            drop((b.lock(), a.lock()));
            sum == 3
        });
        assert!(alive);
    }
    STOP.store(true, SeqCst);
    learner.join().expect("the parent is as it was");
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock(), b.lock()));
    drop((b.lock(), a.lock()));
    assert_eq!(lockdep::take_reports().len(), 1, "and goes on checking");
}

fn main() {
    lockdep::set_policy(Policy::Collect);
    a_child_of_one_thread_is_checked();
    a_child_of_several_threads_lives();
    println!("forked children live: ok");
}
