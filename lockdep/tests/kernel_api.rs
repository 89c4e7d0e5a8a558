//! What the kernel's lockdep offers besides checking order: assertions, annotations, classes that are changed or not
//! watched, the list of classes, the table of what all threads hold.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Barrier,
    thread,
};

use lockdep::{
    Acquire, Code, Context, HARDIRQ, Holder, LockClass, LockMap, Mode, Mutex, Policy, Report, RwLock, SOFTIRQ, Session,
    WaitType, assert_nothing_held, held_count, render_classes, render_held_table,
};

/// Runs `f` in a session of its own. Returns its findings.
fn findings(f: impl FnOnce()) -> Vec<Report> {
    let session = Session::new(Policy::Collect);
    session.enter(f);
    session.reports()
}

fn codes(f: impl FnOnce()) -> Vec<Code> {
    findings(f).iter().map(|report| report.code).collect()
}

/// Returns the message with which `f` panics, if it does.
fn panics(f: impl FnOnce()) -> Option<String> {
    let message = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(message.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn what_is_held_can_be_asserted() {
    let (mutex, rwlock) = (Mutex::new(()), RwLock::new(()));
    assert_eq!(panics(|| mutex.map().assert_not_held()), None);
    assert!(panics(|| mutex.map().assert_held()).unwrap().ends_with("is not held by this thread"));
    let guard = mutex.lock();
    mutex.map().assert_held();
    mutex.map().assert_held_exclusive();
    let message = panics(|| mutex.map().assert_not_held()).unwrap();
    assert!(message.contains("kernel_api.rs:") && message.ends_with("is held by this thread"), "{message}");
    assert!(panics(|| mutex.map().assert_held_shared()).is_some());
    drop(guard);

    let reader = rwlock.read();
    rwlock.map().assert_held_shared();
    assert!(panics(|| rwlock.map().assert_held_exclusive()).is_some());
    drop(reader);
    let upgradable = rwlock.upgradable_read();
    assert_eq!((rwlock.map().is_held_shared(), rwlock.map().is_held_exclusive()), (Some(true), Some(false)));
    let writer = lockdep::RwLockUpgradableReadGuard::upgrade(upgradable);
    assert_eq!((rwlock.map().is_held_shared(), rwlock.map().is_held_exclusive()), (Some(false), Some(true)));
    drop(writer);
    assert_eq!(rwlock.map().is_held(), Some(false));
}

#[test]
fn another_threads_locks_are_not_this_threads() {
    let mutex = Mutex::new(());
    let _guard = mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!((mutex.map().is_held(), held_count()), (Some(false), Some(0)));
            assert_nothing_held();
        });
    });
    assert_eq!(held_count(), Some(1));
    assert_eq!(panics(assert_nothing_held).unwrap(), "this thread still holds 1 lock");
}

#[test]
fn a_path_that_is_seldom_taken_counts_every_time() {
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    let found = codes(|| {
        {
            let _a = a.lock();
            b.might_write(); // and mostly does not
        }
        assert_eq!((b.map().is_held(), held_count()), (Some(false), Some(0)));
        drop((b.read(), a.lock()));
    });
    assert_eq!(found, [Code::CircularDependency]);
    let harmless = || {
        let _a = a.lock();
        b.might_read();
        a.map().assert_held();
    };
    assert_eq!(codes(harmless), []);
    let twice = || {
        let _a = a.lock();
        a.might_lock();
    };
    assert_eq!(codes(twice), [Code::Recursion]);
}

#[test]
fn who_waits_for_all_holders_waits_for_them() {
    static READERS: LockClass = LockClass::new("kernel_api: readers");
    let (readers, list) = (LockMap::new_in(&READERS), Mutex::new(()));
    let read = || {
        readers.acquire(Acquire::shared_recursive());
        drop(list.lock());
        readers.release();
    };
    let synchronize = || {
        let _list = list.lock();
        readers.sync(Acquire::exclusive());
        assert_eq!(readers.is_held(), Some(false));
    };
    assert_eq!(codes(|| (read(), synchronize()).0), [Code::CircularDependency]);
    assert_eq!(codes(|| (synchronize(), read()).1), [Code::CircularDependency]);
    let free = || {
        read();
        readers.sync(Acquire::exclusive());
        synchronize();
    };
    assert_eq!(codes(free).len(), 1, "it is the list that must not be held");
    let inside = || {
        readers.acquire(Acquire::shared_recursive());
        readers.sync(Acquire::exclusive());
        readers.release();
    };
    assert_eq!(codes(inside), [Code::Recursion], "it would wait for itself");
}

#[test]
fn a_lock_can_change_its_class() {
    static ROOT: LockClass = LockClass::new("kernel_api: root");
    let make = || Mutex::new(());
    let (mut root, directory) = (make(), make());
    root.set_class(&ROOT);
    assert_eq!((root.map().is_of(&ROOT), directory.map().is_of(&ROOT)), (Some(true), Some(false)));
    let found = findings(|| {
        drop((root.lock(), directory.lock()));
        drop((directory.lock(), root.lock()));
    });
    assert_eq!(found[0].code, Code::CircularDependency, "two classes, where one would have had an order of instances");
    assert!(found[0].cycle.iter().any(|step| step.outer.class == "kernel_api: root"));
}

#[test]
fn a_class_that_is_not_watched_leaves_no_trace() {
    static UNTRACKED: LockClass = LockClass::new("kernel_api: untracked").untracked();
    let (a, b) = (Mutex::new_in(&UNTRACKED, ()), Mutex::new(()));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.lock()));
        let _a = a.lock();
        assert_eq!((a.map().is_held(), held_count()), (None, Some(0)));
        a.map().assert_held();
        a.map().assert_not_held();
    });
    assert_eq!(session.reports(), []);
    assert_eq!(session.summary().dependencies, 0);
    assert!(session.classes().iter().all(|class| class.class != "kernel_api: untracked"));
}

#[test]
fn code_can_be_left_unwatched() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let found = codes(|| {
        drop((a.lock(), b.lock()));
        lockdep::unwatched(|| drop((b.lock(), a.lock())));
        assert_eq!(held_count(), Some(0));
    });
    assert_eq!(found, []);
}

#[test]
fn a_lock_that_dies_while_it_is_held_is_told() {
    let found = findings(|| {
        let lock = Mutex::new(());
        std::mem::forget(lock.lock());
        assert_eq!(held_count(), Some(1));
        drop(lock);
        assert_eq!(held_count(), Some(0), "and is held no longer");
    });
    assert_eq!(found.iter().map(|report| report.code).collect::<Vec<_>>(), [Code::HeldFreed]);
    let moved = || {
        let lock = Mutex::new(());
        drop(lock.lock());
        assert_eq!(Box::new(lock).into_inner(), ());
    };
    assert_eq!(codes(moved), []);
}

#[test]
fn contexts_can_be_asserted_and_soft_interrupts_wait_for_hard_ones() {
    static PAUSE: Context = Context::new("kernel_api: pause");
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        assert_eq!((PAUSE.is_inside(), PAUSE.is_enabled()), (Some(false), Some(false)), "nobody watches it");
        PAUSE.assert_disabled();
        [&PAUSE, &HARDIRQ, &SOFTIRQ].into_iter().for_each(|context| context.watch());
        assert_eq!(PAUSE.is_enabled(), Some(true));
        assert!(panics(|| PAUSE.assert_disabled()).unwrap().contains("kernel_api: pause"));
        {
            let _off = HARDIRQ.disable();
            assert_eq!((HARDIRQ.is_enabled(), SOFTIRQ.is_enabled()), (Some(false), Some(false)));
        }
        assert!(panics(|| PAUSE.assert_inside()).is_some());
        let _inside = PAUSE.enter();
        PAUSE.assert_inside();
        PAUSE.assert_disabled();
    });
    assert_eq!(session.reports(), []);
}

#[test]
fn a_per_processor_lock_leads_from_no_context_to_another() {
    static LOCAL: LockClass = LockClass::new("kernel_api: local").wait(WaitType::Config);
    static PER_CPU: LockClass = LockClass::new("kernel_api: per cpu").per_cpu().wait(WaitType::Config);
    static SAFE: LockClass = LockClass::new("kernel_api: safe").wait(WaitType::Config);
    static UNSAFE: LockClass = LockClass::new("kernel_api: unsafe").wait(WaitType::Config);
    let run = |class: &'static LockClass| {
        let [safe, local, held_enabled] = [&SAFE, class, &UNSAFE].map(|class| Mutex::new_in(class, ()));
        codes(|| {
            HARDIRQ.watch();
            drop(held_enabled.lock());
            {
                let _interrupt = HARDIRQ.enter();
                drop(safe.lock());
            }
            // safe -> local -> unsafe, and never safe -> unsafe.
            let _no_interrupt = HARDIRQ.disable();
            drop((safe.lock(), local.lock()));
            drop((local.lock(), held_enabled.lock()));
        })
    };
    assert_eq!(run(&LOCAL), [Code::ContextDependency]);
    assert_eq!(run(&PER_CPU), []);
}

#[test]
fn classes_are_listed_as_the_kernel_lists_them() {
    static OUTER: LockClass = LockClass::new("kernel_api: outer");
    static MIDDLE: LockClass = LockClass::new("kernel_api: middle");
    static INNER: LockClass = LockClass::new("kernel_api: inner");
    let session = Session::new(Policy::Collect);
    let [outer, middle, inner] = [&OUTER, &MIDDLE, &INNER].map(|class| Mutex::new_in(class, ()));
    session.enter(|| {
        HARDIRQ.watch();
        drop((outer.lock(), middle.lock()));
        drop((middle.lock(), inner.lock()));
    });
    let classes = session.classes();
    let counts: Vec<_> = classes.iter().map(|class| (class.forward, class.backward, class.usage.as_str())).collect();
    assert_eq!(counts, [(3, 1, "+..."), (2, 2, "+..."), (1, 3, "+...")]);
    let text = render_classes(&classes);
    assert!(text.starts_with("all lock classes:\n"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().any(|line| line.ends_with(" FD:    2 BD:    2 +...: kernel_api: middle")), "{text}");
    assert!(lines.iter().any(|line| line.starts_with(" -> [") && line.ends_with("] kernel_api: inner")), "{text}");
}

#[test]
fn what_all_threads_hold_and_wait_for_can_be_seen() {
    static FIRST: LockClass = LockClass::new("kernel_api: first");
    static SECOND: LockClass = LockClass::new("kernel_api: second");
    let (first, second) = (Mutex::new_in(&FIRST, ()), Mutex::new_in(&SECOND, ()));
    let session = Session::new(Policy::Collect);
    lockdep::set_held_table(true);
    let seen = |name: &str| lockdep::held_table().into_iter().find(|locks| locks.thread == name);
    let held = Barrier::new(2);
    thread::scope(|scope| {
        let waiter = thread::Builder::new().name("the waiter".to_owned());
        let guard = session.enter(|| second.lock());
        waiter
            .spawn_scoped(scope, || {
                session.enter(|| {
                    let _first = first.lock();
                    held.wait();
                    drop(second.lock());
                });
            })
            .unwrap();
        held.wait();
        // It is on its way to the wait; nothing but looking tells when it is there.
        let waits = loop {
            match seen("the waiter") {
                Some(locks) if locks.waits_for.is_some() => break locks,
                _ => thread::yield_now(),
            }
        };
        assert_eq!(waits.held.iter().map(|lock| lock.class.as_str()).collect::<Vec<_>>(), ["kernel_api: first"]);
        let wanted = waits.waits_for.as_ref().unwrap();
        assert_eq!((wanted.class.as_str(), wanted.mode), ("kernel_api: second", Mode::Exclusive));
        let text = render_held_table(std::slice::from_ref(&waits));
        assert!(text.contains("1 lock held by the waiter:\n #0: (kernel_api: first){exclusive}, at "), "{text}");
        drop(guard);
    });
    assert_eq!(seen("the waiter"), None, "it has let go of everything");
    lockdep::set_held_table(false);
    assert_eq!(lockdep::held_table(), []);
    assert_eq!(session.reports(), []);
}

#[test]
fn what_this_thread_holds_can_be_seen_at_any_time() {
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        assert_eq!(lockdep::held_here().held, []);
        let (_a, _b) = (a.lock(), b.read());
        let here = lockdep::held_here();
        let modes: Vec<Mode> = here.held.iter().map(|lock| lock.mode).collect();
        assert_eq!((modes, here.waits_for), (vec![Mode::Exclusive, Mode::Shared], None));
        let own = |lock: &lockdep::ThreadLocks| {
            lock.held.iter().all(|lock| lock.stack.iter().any(|frame| frame.function.contains("kernel_api")))
        };
        assert!(own(&lockdep::held_here()), "{:?}", lockdep::held_here());
    });
}

#[test]
fn the_summary_counts_what_was_done() {
    let session = Session::new(Policy::Collect);
    let (a, b, c) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    session.enter(|| {
        drop((a.lock(), b.lock(), c.lock()));
        drop((b.lock(), c.lock()));
    });
    let summary = session.summary();
    assert_eq!((summary.counts.deepest, summary.dependencies, summary.classes), (2, 3, 3));
    assert!(summary.counts.judged >= 5 && summary.stacks > 0 && summary.threads > 0, "{summary:?}");
}

#[test]
fn a_wait_of_a_lock_of_ones_own_can_be_timed() {
    static TURNSTILE: LockClass = LockClass::new("kernel_api: turnstile");
    let map = LockMap::new_in(&TURNSTILE);
    let session = Session::new(Policy::Collect);
    lockdep::set_statistics(true);
    session.enter(|| {
        map.acquire(Acquire::exclusive());
        assert_eq!(map.timed(|| None, || 7), 7, "not free at once");
        map.release();
        map.acquire(Acquire::exclusive());
        assert_eq!(map.timed(|| Some(8), || unreachable!("it is free")), 8);
        map.release_for(Holder::current());
    });
    lockdep::set_statistics(false);
    let statistics = session.statistics();
    assert_eq!((statistics[0].wait.count, statistics[0].acquisitions), (1, 2));
}
