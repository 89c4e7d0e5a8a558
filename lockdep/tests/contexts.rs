//! Contexts, wait types, polls and regions on real locks and real threads.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{self, Poll, Waker},
    thread,
};

use lockdep::{
    Acquire, Code, Context, LockClass, LockMap, Mutex, Policy, Region, Report, RwLock, SIGNAL_HANDLER, Session,
    WaitType, watch_future, watch_future_limited,
};

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
fn a_handler_must_not_wait_for_what_it_interrupts() {
    let log = Mutex::new(());
    let handler = || {
        let _inside = SIGNAL_HANDLER.enter();
        drop(log.lock());
    };
    let reports = findings(|| {
        SIGNAL_HANDLER.watch();
        drop(log.lock());
        handler();
    });
    assert_eq!(reports[0].code, Code::InconsistentUsage);
    assert_eq!(reports[0].context.as_deref(), Some("signal"));
    assert_eq!(reports[0].cycle.len(), 2);
    assert!(reports[0].cycle.iter().all(|step| !step.inner.stack.is_empty() || !step.outer.stack.is_empty()));
    // In the other order the handler comes first, and makes itself known.
    let reversed = || {
        handler();
        drop(log.lock());
    };
    assert_eq!(codes(reversed), [Code::InconsistentUsage]);
    let blocked = || {
        SIGNAL_HANDLER.watch();
        let blocked = SIGNAL_HANDLER.disable();
        drop(log.lock());
        drop(blocked);
        handler();
    };
    assert_eq!(codes(blocked), NOTHING);
    let tried = || {
        SIGNAL_HANDLER.watch();
        drop(log.lock());
        let _inside = SIGNAL_HANDLER.enter();
        drop(log.try_lock());
    };
    assert_eq!(codes(tried), NOTHING);
}

#[test]
fn a_known_chain_is_checked_again_once_a_context_is_watched() {
    static LATE: Context = Context::new("late");
    let log = Mutex::new(());
    let lock = || drop(log.lock());
    let reports = findings(|| {
        (0..3).for_each(|_| lock());
        LATE.watch();
        lock();
        let _inside = LATE.enter();
        lock();
    });
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].context.as_deref(), Some("late"));
}

#[test]
fn a_context_enabled_too_early_is_told_where_it_is_enabled() {
    static PAUSE: Context = Context::new("pause");
    let log = Mutex::new(());
    let in_the_pause = || {
        let _inside = PAUSE.enter();
        drop(log.lock());
    };
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        in_the_pause();
        let (disabled, again) = (PAUSE.disable(), PAUSE.disable());
        let guard = log.lock();
        drop(again);
        assert_eq!(session.reports(), [], "still disabled");
        drop(disabled);
        let reports = session.reports();
        assert_eq!(reports.len(), 1, "enabled while the lock is held");
        assert_eq!(reports[0].code, Code::InconsistentUsage);
        assert!(reports[0].wanted.site.as_ref().unwrap().file.ends_with("tests/contexts.rs"));
        drop(guard);
    });
    let late = || {
        in_the_pause();
        let _disabled = PAUSE.disable();
        drop(log.lock());
    };
    assert_eq!(codes(late), NOTHING);
}

#[test]
fn another_thread_learns_that_a_context_is_watched() {
    static TIMER: Context = Context::new("timer");
    let (log, other) = (Mutex::new(()), Mutex::new(()));
    let session = Session::new(Policy::Collect);
    let (before, after) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            session.enter(|| {
                // Proven, and in this thread's cache.
                (0..2).for_each(|_| drop(log.lock()));
                before.wait();
                after.wait();
                (0..2).for_each(|_| drop(log.lock()));
            });
        });
        session.enter(|| {
            before.wait();
            TIMER.watch();
            after.wait();
            drop(other.lock());
        });
    });
    let handler = || {
        session.enter(|| {
            let _inside = TIMER.enter();
            drop(log.lock());
        });
    };
    handler();
    assert_eq!(session.reports()[0].code, Code::InconsistentUsage);
}

#[test]
fn what_an_interrupted_thread_holds_orders_nothing_by_itself() {
    static CALLBACK: Context = Context::new("callback");
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let inversion_by_interruption = || {
        CALLBACK.watch();
        {
            let _a = a.lock();
            let _inside = CALLBACK.enter();
            drop(b.lock());
        }
        // Whoever holds b cannot be interrupted by a callback that wants a: none does. But a's holder may wait for b in
        // the callback, while b's waits for a.
        let _disabled = CALLBACK.disable();
        drop((b.lock(), a.lock()));
    };
    let reports = findings(inversion_by_interruption);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].code, Code::ContextDependency);
}

#[test]
fn guards_of_contexts_may_be_dropped_in_any_order() {
    static ONE: Context = Context::new("one");
    static TWO: Context = Context::new("two");
    let log = Mutex::new(());
    let mixed = || {
        let one = ONE.enter();
        let two = TWO.enter();
        drop(one);
        drop(log.lock()); // in the second, with the first enabled
        drop(two);
        let _disabled = TWO.disable();
        let one = ONE.enter();
        drop(log.lock());
        drop(one);
    };
    let contexts: Vec<_> = findings(mixed).into_iter().filter_map(|report| report.context).collect();
    assert_eq!(contexts, ["one"]);
}

#[test]
fn a_blocking_lock_under_one_that_spins() {
    static SPIN: LockClass = LockClass::new("queue").wait(WaitType::Spin);
    static FREE: LockClass = LockClass::new("epoch").wait_types(WaitType::Free, WaitType::Sleep);
    let (spin, mutex, free) = (LockMap::new_in(&SPIN), Mutex::new(()), LockMap::new_in(&FREE));
    let under_spin = |f: &dyn Fn()| {
        codes(|| {
            spin.acquire(Acquire::exclusive());
            f();
            spin.release();
        })
    };
    assert_eq!(under_spin(&|| drop(mutex.lock())), [Code::WaitContext]);
    assert_eq!(under_spin(&|| drop(mutex.try_lock())), NOTHING);
    let epoch = || {
        free.acquire(Acquire::shared_recursive());
        free.release();
    };
    assert_eq!(under_spin(&epoch), NOTHING);
    assert_eq!(
        codes(|| {
            let _mutex = mutex.lock();
            spin.acquire(Acquire::exclusive());
            spin.release();
        }),
        NOTHING
    );
}

/// Polls a future until it is done.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task::Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Suspends the task once.
async fn give_way() {
    let mut first = true;
    std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

#[test]
fn a_guard_across_an_await_point() {
    static ASYNC: LockClass = LockClass::new("async").wait(WaitType::Await);
    let (mutex, rwlock, map) = (Mutex::new(0), RwLock::new(0), LockMap::new_in(&ASYNC));
    let across = async {
        let mut guard = mutex.lock();
        give_way().await;
        *guard += 1;
    };
    let reports = findings(|| run(watch_future(across)));
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].code, Code::WaitContext);
    assert_eq!(reports[0].waits, Some((lockdep_core::WaitType::Await, lockdep_core::WaitType::Sleep)));
    let conflict = reports[0].conflict.as_ref().unwrap();
    assert!(conflict.site.as_ref().unwrap().file.ends_with("tests/contexts.rs"));

    let let_go = async {
        *mutex.lock() += 1;
        *rwlock.write() += 1;
        give_way().await;
        let _read = rwlock.read();
    };
    assert_eq!(codes(|| run(watch_future(let_go))), NOTHING);
    let of_the_runtime = async {
        map.acquire(Acquire::exclusive());
        give_way().await;
        map.release();
    };
    assert_eq!(codes(|| run(watch_future(of_the_runtime))), NOTHING);
    // Held around all the polls, by whoever polls: nothing to do with the task.
    let around = || {
        let _outer = mutex.lock();
        run(watch_future(give_way()));
    };
    assert_eq!(codes(around), NOTHING);
    assert_eq!(*mutex.lock(), 2);
}

#[test]
fn a_blocking_lock_inside_a_poll_if_that_is_forbidden() {
    static SPIN: LockClass = LockClass::new("spin").wait(WaitType::Spin);
    let (mutex, spin) = (Mutex::new(0), LockMap::new_in(&SPIN));
    let locks = || async { *mutex.lock() += 1 };
    assert_eq!(codes(|| run(watch_future_limited(locks(), WaitType::Spin))), [Code::WaitContext]);
    assert_eq!(codes(|| run(watch_future(locks()))), NOTHING);
    assert_eq!(codes(|| run(watch_future_limited(watch_future(locks()), WaitType::Spin))), [Code::WaitContext]);
    let spins = async {
        spin.acquire(Acquire::exclusive());
        spin.release();
    };
    assert_eq!(codes(|| run(watch_future_limited(spins, WaitType::Spin))), NOTHING);
    // What is forbidden inside is allowed again outside.
    assert_eq!(
        codes(|| {
            run(watch_future_limited(async {}, WaitType::Spin));
            *mutex.lock() += 1;
        }),
        NOTHING
    );
}

#[test]
fn what_is_held_around_a_poll_orders_what_is_acquired_inside() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let poll_under_a = || {
        let _a = a.lock();
        run(watch_future(async { drop(b.lock()) }));
    };
    let reports = codes(|| {
        poll_under_a();
        drop((b.lock(), a.lock()));
    });
    assert_eq!(reports, [Code::CircularDependency]);
}

#[test]
fn a_poll_that_panics_is_left() {
    let mutex = Mutex::new(());
    let panics = AtomicBool::new(false);
    let reports = codes(|| {
        let task = watch_future_limited(async { panic!("in a poll") }, WaitType::Spin);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run::<_>(task)));
        panics.store(outcome.is_err(), Relaxed);
        drop(mutex.lock());
    });
    assert!(panics.load(Relaxed));
    assert_eq!(reports, NOTHING);
}

#[test]
fn a_region_that_an_allocation_may_enter() {
    static RECLAIM: LockClass = LockClass::new("reclaim region");
    let (reclaim, cache) = (Region::new_in(&RECLAIM), Mutex::new(()));
    let shrink = || {
        let _inside = reclaim.enter();
        drop(cache.lock());
    };
    let allocate = |barred: bool| {
        let _cache = cache.lock();
        let _bars = barred.then(|| (reclaim.bar(), reclaim.bar()));
        reclaim.may_enter();
    };
    assert_eq!(codes(|| (shrink(), allocate(false)).0), [Code::CircularDependency]);
    assert_eq!(codes(|| (allocate(false), shrink()).0), [Code::CircularDependency]);
    assert_eq!(codes(|| (shrink(), allocate(true)).0), NOTHING);
    // The bars are gone with their guards.
    assert_eq!(codes(|| (allocate(true), shrink(), allocate(false)).0), [Code::CircularDependency]);
    // Reclaim that allocates would wait for itself.
    let recursive = || {
        let _inside = reclaim.enter();
        reclaim.may_enter();
    };
    assert_eq!(codes(recursive), [Code::Recursion]);
}
