//! Locks of one class that nest again and again: what a thread knows by heart holds for these locks and no others, and
//! nothing that it leaves out is missed.

use std::{
    sync::{Barrier, mpsc},
    thread,
};

use lockdep::{Code, Grade, Mutex, Policy, Session};

/// Locks of one construction site.
fn locks(count: usize) -> Vec<Mutex<u64>> {
    (0..count).map(|_| Mutex::new(0)).collect()
}

/// One line for all, so that it is the locks alone that differ.
fn nest(outer: &Mutex<u64>, inner: &Mutex<u64>) {
    let _outer = outer.lock();
    *inner.lock() += 1;
}

fn reports(f: impl FnOnce()) -> Vec<(Code, Grade)> {
    let session = Session::new(Policy::Collect);
    session.enter(f);
    session.reports().iter().map(|report| (report.code, report.grade)).collect()
}

const BROKEN: [(Code, Grade); 1] = [(Code::InstanceOrder, Grade::FewThreads)];

#[test]
fn an_order_known_by_heart_does_not_hide_the_other_one() {
    let locks = locks(2);
    let found = reports(|| {
        (0..10).for_each(|_| nest(&locks[0], &locks[1]));
        nest(&locks[1], &locks[0]);
    });
    assert_eq!(found, BROKEN);
}

#[test]
fn what_is_known_of_some_locks_is_not_known_of_others() {
    let locks = locks(4);
    let in_order = || {
        for _ in 0..10 {
            nest(&locks[0], &locks[1]);
            nest(&locks[1], &locks[2]);
            nest(&locks[0], &locks[2]);
        }
    };
    assert_eq!(reports(in_order), []);
    let around = || {
        in_order();
        nest(&locks[2], &locks[3]);
        nest(&locks[3], &locks[0]);
    };
    assert_eq!(reports(around), BROKEN);
}

#[test]
fn a_lock_beneath_counts_too() {
    // The same two innermost locks; what is below them breaks the order.
    let locks = locks(3);
    let nest_three = |below: &Mutex<u64>| {
        let _below = below.lock();
        nest(&locks[0], &locks[1]);
    };
    let found = reports(|| {
        (0..10).for_each(|_| nest_three(&locks[2]));
        nest(&locks[1], &locks[2]);
    });
    assert_eq!(found, BROKEN);
}

#[test]
fn a_finding_is_made_each_time() {
    let locks = locks(2);
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        nest(&locks[0], &locks[1]);
        (0..5).for_each(|_| nest(&locks[1], &locks[0]));
    });
    let reports = session.reports();
    assert_eq!(session.times_seen(reports[0].fingerprint), 5);
}

#[test]
fn a_lock_that_goes_on_nesting_is_remembered_however_many_others_come_and_go() {
    let lasting = locks(2);
    let found = reports(|| {
        nest(&lasting[0], &lasting[1]);
        for _ in 0..40 {
            // The locks of one line, over and over again: of the class of the lasting ones.
            let others = locks(500);
            others.windows(2).for_each(|pair| nest(&pair[0], &pair[1]));
            nest(&lasting[0], &lasting[1]);
        }
        nest(&lasting[1], &lasting[0]);
    });
    assert_eq!(found, BROKEN);
}

#[test]
fn another_gate_is_no_gate_even_for_locks_known_by_heart() {
    let (locks, gates) = (locks(2), [Mutex::new(0), Mutex::new(0)]);
    let forth = |gate: usize| {
        let _gate = gates[gate].lock();
        nest(&locks[0], &locks[1]);
    };
    let back = || {
        let _gate = gates[0].lock();
        nest(&locks[1], &locks[0]);
    };
    let grade = |gates: &[usize]| {
        let session = Session::new(Policy::Collect);
        let (session, back) = (&session, &back);
        thread::scope(|scope| {
            let (knows, is_known) = mpsc::channel();
            // The first thread ends last, so that the two are concurrent.
            let (done, is_done) = mpsc::channel::<()>();
            scope.spawn(move || {
                session.enter(|| {
                    gates.iter().for_each(|gate| forth(*gate));
                    knows.send(()).unwrap();
                    is_done.recv().unwrap();
                });
            });
            is_known.recv().unwrap();
            session.enter(back);
            done.send(()).unwrap();
        });
        session.reports()[0].grade
    };
    assert_eq!(grade(&[0, 0, 0]), Grade::Gated);
    assert_eq!(grade(&[0, 0, 1]), Grade::Concurrent);
}

#[test]
fn locks_known_by_heart_before_a_spawn_are_witnesses_beside_the_child() {
    let locks = locks(2);
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        (0..3).for_each(|_| nest(&locks[0], &locks[1]));
        lockdep::thread::scope(|scope| {
            scope.spawn(|| nest(&locks[1], &locks[0])).join().unwrap();
        });
        assert_eq!(session.reports()[0].grade, Grade::Ordered);
        let turn = Barrier::new(2);
        lockdep::thread::scope(|scope| {
            // The one after the other, by what cannot be seen: they would wait for each other.
            let child = scope.spawn(|| {
                turn.wait();
                nest(&locks[1], &locks[0]);
            });
            nest(&locks[0], &locks[1]);
            turn.wait();
            child.join().unwrap();
        });
    });
    assert_eq!(session.reports()[0].grade, Grade::Concurrent);
}
