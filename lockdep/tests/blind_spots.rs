//! Deadlocks that the kernel's validator cannot see (Linux 6.12), on real locks: each must be seen here. And their
//! neighbours that are none.

use std::thread;

use lockdep::{Code, HARDIRQ, LockClass, Mutex, Policy, RwLock, Session, WaitType};

/// Runs steps, each on a thread of its own, one after another, in a session of their own. Returns the codes of its findings.
fn codes(steps: &[&(dyn Fn() + Sync)]) -> Vec<Code> {
    let session = Session::new(Policy::Collect);
    for step in steps {
        thread::scope(|scope| {
            scope.spawn(|| session.enter(step));
        });
    }
    session.reports().iter().map(|report| report.code).collect()
}

const CIRCULAR: [Code; 1] = [Code::CircularDependency];

#[test]
fn first_a_class_that_is_reached_over_an_unusable_way_first() {
    // n leads to m twice: as a recursive reader, after which the reader m -> p is no way on, and, by way of k, as a writer.
    let (n, k, p, m) = (Mutex::new(()), Mutex::new(()), Mutex::new(()), RwLock::new(()));
    let steps: [&(dyn Fn() + Sync); 5] = [
        &|| drop((n.lock(), m.read_recursive())),
        &|| drop((n.lock(), k.lock())),
        &|| drop((k.lock(), m.write())),
        &|| drop((m.read_recursive(), p.lock())),
        &|| drop((p.lock(), n.lock())),
    ];
    assert_eq!(codes(&steps), CIRCULAR);
    assert_eq!(codes(&[steps[0], steps[1], steps[3], steps[4]]), [], "without the usable way there is none");
    // In whatever order they are learnt.
    for first in 0..steps.len() {
        let turned: Vec<_> = (0..steps.len()).map(|index| steps[(first + index) % steps.len()]).collect();
        assert_eq!(codes(&turned), CIRCULAR, "from step {first} on");
    }
}

#[test]
fn second_a_class_that_is_reached_as_by_a_recursive_reader_first_and_otherwise_later() {
    // The same search, two steps further: the way as a writer is longer.
    let (n, k, l, p, m) = (Mutex::new(()), Mutex::new(()), Mutex::new(()), Mutex::new(()), RwLock::new(()));
    let found = codes(&[
        &|| drop((n.lock(), m.read_recursive())),
        &|| drop((n.lock(), k.lock())),
        &|| drop((k.lock(), l.lock())),
        &|| drop((l.lock(), m.read())),
        &|| drop((m.read_recursive(), p.lock())),
        &|| drop((p.lock(), n.lock())),
    ]);
    assert_eq!(found, CIRCULAR);
}

#[test]
fn third_a_recursive_reader_in_between() {
    let (a, r, c) = (RwLock::new(()), RwLock::new(()), Mutex::new(()));
    let nest = || drop((a.write(), r.read_recursive(), c.lock()));
    assert_eq!(codes(&[&nest, &|| drop((c.lock(), a.write()))]), CIRCULAR);
    assert_eq!(codes(&[&|| drop((c.lock(), a.write())), &nest]), CIRCULAR);
    assert_eq!(codes(&[&nest, &|| drop((c.lock(), r.read_recursive()))]), [], "two readers");
}

#[test]
fn fourth_a_per_processor_lock_in_between() {
    static LOCAL: LockClass = LockClass::new("blind spots: local").per_cpu().wait(WaitType::Config);
    static SAFE: LockClass = LockClass::new("blind spots: safe").wait(WaitType::Config);
    static UNSAFE: LockClass = LockClass::new("blind spots: unsafe").wait(WaitType::Config);
    let [safe, local, other] = [&SAFE, &LOCAL, &UNSAFE].map(|class| Mutex::new_in(class, ()));
    let usage = || {
        HARDIRQ.watch();
        drop(other.lock()); // may be interrupted
        let _interrupt = HARDIRQ.enter();
        drop(safe.lock());
    };
    let nest = || {
        let _off = HARDIRQ.disable();
        drop((safe.lock(), local.lock(), other.lock()));
    };
    assert_eq!(codes(&[&usage, &nest]), [Code::ContextDependency]);
    assert_eq!(codes(&[&nest, &usage]), [Code::ContextInversion]);
}

#[test]
fn fifth_an_acquisition_that_is_excused() {
    static NODE: LockClass = LockClass::new("blind spots: node");
    let (root, other) = (Mutex::new(()), Mutex::new(()));
    let [first, second] = [&NODE, &NODE].map(|class| Mutex::new_in(class, ()));
    let nest = || {
        let _root = root.lock();
        let _first = first.lock_under(root.map());
        let _other = other.lock();
        drop(second.lock_under(root.map()));
    };
    assert_eq!(codes(&[&nest, &|| drop((first.lock(), other.lock()))]), CIRCULAR);
    assert_eq!(codes(&[&nest]).len(), 1, "even alone it says node -> other -> node");
}

#[test]
fn sixth_a_chain_that_was_proven_before_it_was_wrong() {
    let log = Mutex::new(());
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        let hold = || drop(log.lock());
        (0..10).for_each(|_| hold());
        HARDIRQ.watch();
        hold(); // the same line, known by heart; from now on it may be interrupted
        let _interrupt = HARDIRQ.enter();
        drop(log.try_lock());
        assert_eq!(session.reports(), [], "a trylock waits for nobody");
        drop(log.lock());
    });
    let codes: Vec<Code> = session.reports().iter().map(|report| report.code).collect();
    assert!(codes.contains(&Code::InconsistentUsage), "{codes:?}");
}
