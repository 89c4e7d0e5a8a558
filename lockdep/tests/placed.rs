//! Nest locks, declared orders and pins, on real locks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lockdep::{Acquire, Code, LockClass, LockMap, Mutex, Policy, Report, RwLock, Session};

fn findings(f: impl FnOnce()) -> Vec<Report> {
    let session = Session::new(Policy::Collect);
    session.enter(f);
    session.reports()
}

fn codes(f: impl FnOnce()) -> Vec<Code> {
    findings(f).iter().map(|report| report.code).collect()
}

const NOTHING: [Code; 0] = [];

#[test]
fn a_nest_lock_lets_locks_of_one_class_nest_in_any_order() {
    static VMA: LockClass = LockClass::new("nested vma");
    let mm = RwLock::new(());
    let vmas = [const { Mutex::new_in(&VMA, ()) }; 3];
    let all = |order: [usize; 3]| {
        let _mm = mm.write();
        let _guards = order.map(|index| vmas[index].lock_under(mm.map()));
    };
    assert_eq!(codes(|| [[0, 1, 2], [2, 1, 0], [1, 0, 2]].into_iter().for_each(all)), NOTHING);
    // Without the nest lock they do not nest, wherever it is said.
    assert_eq!(codes(|| drop(vmas.each_ref().map(|vma| vma.lock()))), [Code::Recursion]);
    assert_eq!(codes(|| drop(vmas.each_ref().map(|vma| vma.lock_under(mm.map()))))[0], Code::NestNotHeld);
    // Nor do those that were acquired before it.
    let too_late = || {
        let _first = vmas[0].lock();
        let _mm = mm.write();
        let _second = vmas[1].lock_under(mm.map());
    };
    assert!(codes(too_late).contains(&Code::Recursion));
    // The same lock twice is the same lock twice.
    let twice = || {
        let _mm = mm.write();
        vmas[0].map().acquire_under(Acquire::exclusive(), mm.map());
        vmas[0].map().acquire_under(Acquire::exclusive(), mm.map());
        (0..2).for_each(|_| vmas[0].map().release());
    };
    assert_eq!(codes(twice), [Code::Recursion]);
}

#[test]
fn a_known_line_still_asks_for_its_nest_lock() {
    static NODE: LockClass = LockClass::new("nested node");
    let (root, node) = (Mutex::new(()), Mutex::new_in(&NODE, ()));
    let lock = |nest: bool| {
        // The same line, under the same locks, with and without the lock that it names being that one.
        let other = Mutex::new(());
        let (named, held) = if nest { (&root, &root) } else { (&root, &other) };
        let _held = held.lock();
        let _node = node.lock_under(named.map());
    };
    assert_eq!(codes(|| (0..3).for_each(|_| lock(true))), NOTHING);
    assert_eq!(codes(|| [true, true, false].into_iter().for_each(lock)), [Code::NestNotHeld]);
}

#[test]
fn a_nest_lock_must_stay_while_locks_are_nested_under_it() {
    static VMA: LockClass = LockClass::new("vma to stay");
    let (mm, vma) = (Mutex::new(()), Mutex::new_in(&VMA, ()));
    let early = || {
        let guard = mm.lock();
        let vma = vma.lock_under(mm.map());
        drop(guard);
        drop(vma);
    };
    let reports = findings(early);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].code, Code::NestNotHeld);
    let in_order = || {
        let _guard = mm.lock();
        let _vma = vma.lock_under(mm.map());
    };
    assert_eq!(codes(in_order), NOTHING);
}

#[test]
fn what_was_nested_once_is_not_nested_for_ever() {
    static TWICE: LockClass = LockClass::new("placed: twice");
    static RANKED_TWICE: LockClass = LockClass::new("placed: ranked twice").ranked();
    let (nest, lock) = (Mutex::new(()), Mutex::new_in(&TWICE, ()));
    let (low, high) = (Mutex::new_in(&RANKED_TWICE, ()), Mutex::new_in(&RANKED_TWICE, ()));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        let held = nest.lock();
        drop(lock.lock_under(nest.map()));
        let plain = lock.lock();
        drop(held); // nothing is nested under it now
        drop(plain);
        assert_eq!(session.reports(), []);
        drop(low.lock_ranked(1));
        let _unranked = low.lock();
        drop(high.lock_ranked(2));
    });
    let codes: Vec<Code> = session.reports().iter().map(|report| report.code).collect();
    assert_eq!(codes, [Code::DeclaredOrder], "a lock without a rank has none from before");
}

#[test]
fn dependencies_of_a_nested_lock_are_learnt_all_the_same() {
    static INODE: LockClass = LockClass::new("nested inode");
    let (sb, list) = (Mutex::new(()), Mutex::new(()));
    let inodes = [const { Mutex::new_in(&INODE, ()) }; 2];
    let nest = || {
        let _sb = sb.lock();
        let _first = inodes[0].lock_under(sb.map());
        let _list = list.lock();
        let _second = inodes[1].lock_under(sb.map());
    };
    // The kernel learns nothing at the second one, and misses this.
    assert_eq!(codes(nest), [Code::CircularDependency]);
}

#[test]
fn a_class_orders_its_locks_by_a_function() {
    static NODE: LockClass = LockClass::new("compared node").compared(|outer, inner| outer.ilog2() < inner.ilog2());
    let nodes = [const { Mutex::new_in(&NODE, ()) }; 8];
    let walk = |path: &[u64]| {
        let _guards: Vec<_> = path.iter().map(|&node| nodes[node as usize].lock_ranked(node)).collect();
    };
    assert_eq!(codes(|| [&[1, 2, 4], &[1, 3, 7], &[1, 3, 4]].into_iter().for_each(|path| walk(path))), NOTHING);
    assert_eq!(codes(|| walk(&[1, 4, 3])), [Code::DeclaredOrder], "upwards");
    assert_eq!(codes(|| walk(&[1, 2, 3])), [Code::DeclaredOrder], "neighbours, though their numbers rise");
    // The same lines under the same classes once went well.
    assert_eq!(codes(|| [&[2, 4], &[4, 2]].into_iter().for_each(|path| walk(path))), [Code::DeclaredOrder]);
}

#[test]
fn a_class_orders_its_locks_by_rank() {
    static ACCOUNT: LockClass = LockClass::new("ranked account").ranked();
    let accounts = [const { Mutex::new_in(&ACCOUNT, ()) }; 3];
    let transfer = |first: u64, second: u64| {
        let _first = accounts[first as usize].lock_ranked(first);
        let _second = accounts[second as usize].lock_ranked(second);
    };
    assert_eq!(codes(|| [(0, 1), (1, 2), (0, 2), (0, 1)].into_iter().for_each(|(a, b)| transfer(a, b))), NOTHING);
    assert_eq!(codes(|| [(0, 1), (2, 1)].into_iter().for_each(|(a, b)| transfer(a, b))), [Code::DeclaredOrder]);
    // On a line that is known to be in order.
    assert_eq!(codes(|| (0..2).for_each(|_| transfer(1, 0))), [Code::DeclaredOrder]);
    // Who says no rank has none.
    assert_eq!(codes(|| drop((accounts[0].lock(), accounts[1].lock_ranked(1)))), [Code::DeclaredOrder]);
}

#[test]
fn a_class_orders_its_locks_by_address() {
    static PAGE: LockClass = LockClass::new("page by address").ranked_by_address();
    let pages: Vec<RwLock<()>> = (0..4).map(|_| RwLock::new_in(&PAGE, ())).collect();
    let lock = |order: &[usize]| drop(order.iter().map(|&index| pages[index].write()).collect::<Vec<_>>());
    assert_eq!(codes(|| [&[0, 1, 2, 3][..], &[1, 3], &[0, 2]].into_iter().for_each(lock)), NOTHING);
    assert_eq!(codes(|| lock(&[2, 1])), [Code::DeclaredOrder]);
    assert_eq!(codes(|| lock(&[0, 3, 1])), [Code::DeclaredOrder], "whatever else is held");
    // Released in between, nothing nests.
    assert_eq!(codes(|| [&[3][..], &[2], &[1]].into_iter().for_each(lock)), NOTHING);
}

#[test]
fn a_declared_class_may_have_its_order_learnt_or_none() {
    static LEARNT: LockClass = LockClass::new("learnt").learnt_order();
    static FREE: LockClass = LockClass::new("without order").without_order();
    let learnt = [const { Mutex::new_in(&LEARNT, ()) }; 2];
    let both = |a: usize, b: usize| drop((learnt[a].lock(), learnt[b].lock()));
    assert_eq!(codes(|| (both(0, 1), both(0, 1)).0), NOTHING);
    assert_eq!(codes(|| (both(0, 1), both(1, 0)).0), [Code::InstanceOrder]);
    let free = [const { Mutex::new_in(&FREE, ()) }; 2];
    let other = Mutex::new(());
    let anyhow = || {
        drop((free[0].lock(), free[1].lock(), other.lock()));
        drop((other.lock(), free[1].lock(), free[0].lock()));
    };
    assert_eq!(codes(anyhow), NOTHING);
    let held_twice = || {
        let map = LockMap::new_in(&FREE);
        map.acquire(Acquire::exclusive());
        map.release();
        map.release();
    };
    assert_eq!(codes(held_twice), [Code::ReleaseUnheld], "the stack is checked all the same");
}

#[test]
fn a_pinned_lock_must_not_be_released_not_even_for_a_while() {
    let queue = Mutex::new(0);
    let callback = |lets_go: bool| {
        let mut guard = queue.lock();
        let pin = queue.map().pin();
        if lets_go {
            drop(guard);
            guard = queue.lock();
        }
        drop(pin);
        *guard += 1;
    };
    assert_eq!(codes(|| (0..2).for_each(|_| callback(false))), NOTHING);
    let reports = findings(|| callback(true));
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].code, Code::PinnedRelease);
    assert!(reports[0].wanted.stack.iter().any(|frame| frame.function.contains("a_pinned_lock")), "{reports:?}");
    assert_eq!(codes(|| drop(queue.map().pin())), [Code::NotHeld]);
    // A pin under another lock, and two pins.
    let other = Mutex::new(());
    let deep = || {
        let _queue = queue.lock();
        let pins = [queue.map().pin(), queue.map().pin()];
        drop(other.lock());
        drop(pins);
        drop(other.lock());
    };
    assert_eq!(codes(deep), NOTHING);
}

#[test]
fn a_pinned_release_panics_if_that_is_the_policy_and_lets_go() {
    let queue = Mutex::new(());
    let session = Session::new(Policy::Panic);
    session.enter(|| {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let guard = queue.lock();
            let _pin = queue.map().pin();
            drop(guard);
        }));
        let message = *outcome.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("releasing a pinned lock"), "{message}");
        assert_eq!(queue.map().is_held(), Some(false));
    });
    assert!(!queue.is_locked());
}
