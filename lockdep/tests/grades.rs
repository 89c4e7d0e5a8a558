//! How near a finding is to a deadlock, on real locks and threads whose beginnings and ends are known.

use std::sync::{Barrier, mpsc};

use lockdep::{Code, Grade, LockClass, Mutex, MutexGuard, Policy, Report, Session, thread};

/// Two locks to take in either order, always on the same two lines.
struct Pair {
    a: Mutex<()>,
    b: Mutex<()>,
}

impl Pair {
    fn new() -> Self {
        Self { a: Mutex::new(()), b: Mutex::new(()) }
    }

    fn forth(&self) {
        drop((self.a.lock(), self.b.lock()));
    }

    fn back(&self) {
        drop((self.b.lock(), self.a.lock()));
    }
}

/// Runs `f` in a session of its own. Returns its one finding.
fn finding(f: impl FnOnce(&Session)) -> Report {
    let session = Session::new(Policy::Collect);
    session.enter(|| f(&session));
    let [report] = &session.reports()[..] else { panic!("one finding, not {:?}", session.reports()) };
    report.clone()
}

fn grade(f: impl FnOnce(&Session)) -> Grade {
    finding(f).grade
}

#[test]
fn threads_of_which_one_has_ended_before_the_other_begins() {
    let pair = Pair::new();
    let one_after_another = |_: &Session| {
        thread::scope(|scope| {
            scope.spawn(|| pair.forth()).join().unwrap();
            scope.spawn(|| pair.back()).join().unwrap();
        });
    };
    assert_eq!(grade(one_after_another), Grade::Ordered);
    let by_scopes = |_: &Session| {
        thread::scope(|scope| drop(scope.spawn(|| pair.forth())));
        thread::scope(|scope| drop(scope.spawn(|| pair.back())));
    };
    assert_eq!(grade(by_scopes), Grade::Ordered);
    let the_parent_before = |_: &Session| {
        pair.forth();
        thread::scope(|scope| drop(scope.spawn(|| pair.back())));
    };
    assert_eq!(grade(the_parent_before), Grade::Ordered);
    let the_parent_after = |_: &Session| {
        thread::scope(|scope| drop(scope.spawn(|| pair.back())));
        pair.forth();
    };
    assert_eq!(grade(the_parent_after), Grade::Ordered);
    let a_grandchild = |_: &Session| {
        thread::scope(|scope| {
            let inner = scope.clone();
            let child = scope.spawn(move || drop(inner.spawn(|| ()).join()));
            child.join().unwrap();
            pair.forth();
            scope.spawn(|| thread::scope(|scope| drop(scope.spawn(|| pair.back()))));
        });
    };
    assert_eq!(grade(a_grandchild), Grade::Ordered);
}

#[test]
fn threads_that_nothing_orders() {
    let pair = Pair::new();
    let not_joined = |_: &Session| {
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let pair = &pair;
            scope.spawn(move || {
                pair.forth();
                sender.send(()).unwrap();
            });
            // Only the channel makes one come after the other, and a channel can be changed.
            receiver.recv().unwrap();
            scope.spawn(|| pair.back()).join().unwrap();
        });
    };
    assert_eq!(grade(not_joined), Grade::Concurrent);
    let one_thread = |_: &Session| {
        thread::scope(|scope| {
            drop(scope.spawn(|| {
                pair.forth();
                pair.back();
            }));
        });
    };
    assert_eq!(grade(one_thread), Grade::FewThreads);
    let unknown_threads = |session: &Session| {
        std::thread::scope(|scope| scope.spawn(|| session.enter(|| pair.forth())).join().unwrap());
        std::thread::scope(|scope| scope.spawn(|| session.enter(|| pair.back())).join().unwrap());
    };
    assert_eq!(grade(unknown_threads), Grade::Concurrent, "nobody saw how they were joined");
}

#[test]
fn what_the_parent_knows_by_heart_becomes_a_witness_beside_its_child() {
    let pair = Pair::new();
    let by_heart = |_: &Session| {
        (0..3).for_each(|_| pair.forth());
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel::<()>();
            let pair = &pair;
            let child = scope.spawn(move || {
                receiver.recv().unwrap();
                pair.back();
            });
            // The same line again, and now at the same time as the child.
            pair.forth();
            sender.send(()).unwrap();
            child.join().unwrap();
        });
    };
    assert_eq!(grade(by_heart), Grade::Concurrent);
}

#[test]
fn many_ordered_witnesses_do_not_keep_the_one_that_matters_away() {
    let pair = Pair::new();
    let late = |_: &Session| {
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| pair.forth()).join().unwrap();
            }
            let (sender, receiver) = mpsc::channel::<()>();
            let pair = &pair;
            let back = scope.spawn(move || {
                receiver.recv().unwrap();
                pair.back();
            });
            let forth = scope.spawn(|| pair.forth());
            forth.join().unwrap();
            sender.send(()).unwrap();
            back.join().unwrap();
        });
    };
    assert_eq!(grade(late), Grade::Concurrent);
}

#[test]
fn a_finding_that_gets_worse_is_told_once_more() {
    let pair = Pair::new();
    let session = Session::new(Policy::Panic);
    session.enter(|| {
        thread::scope(|scope| {
            scope.spawn(|| pair.forth()).join().unwrap();
            // A warning: it does not fail the run.
            scope.spawn(|| pair.back()).join().unwrap();
            assert_eq!(session.reports()[0].grade, Grade::Ordered);
            let (sender, receiver) = mpsc::channel();
            let pair = &pair;
            let other = scope.spawn(move || {
                receiver.recv().unwrap();
                pair.forth();
            });
            scope.spawn(|| pair.back()).join().unwrap();
            assert_eq!(session.reports()[0].grade, Grade::Ordered);
            sender.send(()).unwrap();
            // It closes nothing that was open, but it is the witness that was missing.
            let message = *other.join().unwrap_err().downcast::<String>().unwrap();
            assert!(message.contains("possible circular") && !message.contains("grade ordered"), "{message}");
        });
    });
    let reports = session.reports();
    assert_eq!((reports.len(), reports[0].grade), (1, Grade::Concurrent));
    assert_eq!(session.times_seen(reports[0].fingerprint), 2, "it was seen twice, and got worse by something else");
}

#[test]
fn one_lock_around_both_orders_gates_them() {
    let (gate, pair) = (Mutex::new(()), Pair::new());
    let under = |f: &dyn Fn()| {
        let _gate = gate.lock();
        f();
    };
    let gated = |_: &Session| {
        thread::scope(|scope| {
            scope.spawn(|| under(&|| pair.forth()));
            scope.spawn(|| under(&|| pair.back()));
        });
    };
    let report = finding(gated);
    assert_eq!(report.grade, Grade::Gated);
    assert!(report.gate.unwrap().contains("tests/grades.rs"));
    let turn = Barrier::new(2);
    let half_gated = |_: &Session| {
        thread::scope(|scope| {
            // The one after the other, by what cannot be seen: they would wait for each other.
            let first = scope.spawn(|| {
                under(&|| pair.forth());
                turn.wait();
            });
            turn.wait();
            scope.spawn(|| pair.back()).join().unwrap();
            first.join().unwrap();
        });
    };
    assert_eq!(grade(half_gated), Grade::Concurrent);
    // A gated finding is a warning: nobody panics.
    let session = Session::new(Policy::Panic);
    session.enter(|| {
        under(&|| pair.forth());
        under(&|| pair.back());
    });
    assert_eq!(session.reports()[0].grade, Grade::Gated);
}

/// A gate, by hand, so that all gates are taken on one line.
fn lock(gate: &Mutex<()>) -> MutexGuard<'_, ()> {
    gate.lock()
}

#[test]
fn another_gate_of_the_same_class_is_no_gate_even_on_a_chain_known_by_heart() {
    static GATE: LockClass = LockClass::new("gate");
    let gates = [const { Mutex::new_in(&GATE, ()) }; 2];
    let pair = Pair::new();
    let forth = |gate: usize| {
        let _gate = lock(&gates[gate]);
        pair.forth();
    };
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        thread::scope(|scope| {
            let (gates, pair) = (&gates, &pair);
            let (sender, receiver) = mpsc::channel::<()>();
            let (done, is_done) = mpsc::channel::<()>();
            scope.spawn(move || {
                receiver.recv().unwrap();
                {
                    let _gate = lock(&gates[0]);
                    pair.back();
                }
                done.send(()).unwrap();
            });
            (0..3).for_each(|_| forth(0));
            // The chain is proven by now, so that this one is not looked at: all that is known is the first gate.
            forth(1);
            sender.send(()).unwrap();
            is_done.recv().unwrap();
            assert_eq!(session.reports()[0].grade, Grade::Gated);
            // From now on every acquisition under a gate is looked at.
            forth(0);
            assert_eq!(session.reports()[0].grade, Grade::Gated);
            forth(1);
            assert_eq!(session.reports()[0].grade, Grade::Concurrent);
        });
    });
    assert_eq!(session.reports().len(), 1);
}

#[test]
fn a_child_belongs_to_the_session_of_its_parent_and_has_its_own_name() {
    let pair = Pair::new();
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        pair.forth();
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("auditor".to_owned()).stack_size(1 << 20);
            builder.spawn_scoped(&scope, || pair.back()).unwrap().join().unwrap();
        });
    });
    assert_eq!(session.reports()[0].thread, "auditor");
}

#[test]
fn tasks_of_a_pool_are_children_too() {
    let pair = Pair::new();
    let session = Session::new(Policy::Collect);
    let (to_pool, tasks) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let (done, results) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let own = Mutex::new(());
        for task in tasks {
            // What the worker holds around a task is not the task's.
            let _own = own.lock();
            task();
            done.send(()).unwrap();
        }
    });
    let pair: &'static Pair = Box::leak(Box::new(pair));
    session.enter(|| {
        for task in [Pair::forth, Pair::back] {
            let (child, parent) = thread::fork();
            let run = move || {
                let _alive = child.begin();
                task(pair);
            };
            to_pool.send(Box::new(run)).unwrap();
            results.recv().unwrap();
            parent.joined();
        }
    });
    drop(to_pool);
    worker.join().unwrap();
    let reports = session.reports();
    assert_eq!((reports.len(), reports[0].grade), (1, Grade::Ordered));
    assert_eq!(reports[0].held.len(), 1);
}

#[test]
fn a_thread_that_ends_with_a_lock_held() {
    let lock = Mutex::new(());
    let report = finding(|_| {
        thread::scope(|scope| drop(scope.spawn(|| std::mem::forget(lock.lock())).join()));
    });
    assert_eq!(report.code, Code::HeldAtExit);
    assert!(report.held[0].class.contains("tests/grades.rs"));
}

#[test]
fn a_thread_that_panics_is_joined_all_the_same() {
    let pair = Pair::new();
    let panics = |_: &Session| {
        thread::scope(|scope| {
            let panics = scope.spawn(|| {
                pair.forth();
                panic!("on purpose");
            });
            assert!(panics.join().is_err());
            scope.spawn(|| pair.back()).join().unwrap();
        });
    };
    assert_eq!(grade(panics), Grade::Ordered);
}
