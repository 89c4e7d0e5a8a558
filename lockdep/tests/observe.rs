//! What can be switched on for a run: the trace, the statistics, the summary, the memory budget.
//!
//! Most of it is for the whole process, so each case is this test binary again, as a child that runs one of the `child_` tests.

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    pin::pin,
    process::Command,
    sync::{Barrier, mpsc},
    task::{self, Waker},
};

use lockdep::{
    Acquire, ClassStats, Condvar, Context, Grade, Journal, LockClass, LockMap, Mutex, Policy, RwLock,
    RwLockUpgradableReadGuard, RwLockWriteGuard, Session, Subclass, thread, watch_future,
};
use lockdep_core::{Fingerprint, Replay};

/// Runs a child. Returns its standard error; it must succeed.
fn run(name: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test has a path"));
    command.args(["--exact", name, "--nocapture", "--ignored"]);
    ["LOCKDEP", "LOCKDEP_OUT", "LOCKDEP_TRACE"].iter().for_each(|name| {
        command.env_remove(name);
    });
    let output =
        command.env("RUST_BACKTRACE", "0").envs(environment.iter().copied()).output().expect("the child starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lockdep-observe-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a temporary path is UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

static LEVELS: LockClass = LockClass::new("levels");
static RANKED: LockClass = LockClass::new("ranked").ranked();
static NESTED: LockClass = LockClass::new("nested");
static TIMER: Context = Context::new("timer");

/// Every rule broken once, in every way that locks are taken.
fn everything() {
    let (a, b, gate) = (Mutex::new(0), Mutex::new(0), Mutex::new(()));
    let (rw, other) = (RwLock::new(0), Mutex::new(0));
    // Two threads of one name, one after the other; and two at the same time.
    let name = || thread::Builder::new().name("worker".to_owned());
    let (c, d) = (Mutex::new(()), Mutex::new(()));
    let (turn, both) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        name().spawn_scoped(&scope, || drop((c.lock(), d.lock()))).unwrap().join().unwrap();
        name().spawn_scoped(&scope, || drop((d.lock(), c.lock()))).unwrap().join().unwrap();
        // Each with its locks while the other one has none: they would wait for each other.
        name()
            .spawn_scoped(&scope, || {
                drop((a.lock(), b.lock()));
                turn.wait();
                both.wait();
            })
            .unwrap();
        name()
            .spawn_scoped(&scope, || {
                turn.wait();
                drop((b.lock(), a.lock()));
                both.wait();
            })
            .unwrap();
    });
    // A gate.
    let (e, f) = (Mutex::new(()), Mutex::new(()));
    drop((gate.lock(), e.lock(), f.lock()));
    drop((gate.lock(), f.lock(), e.lock()));
    // Readers, writers, and what becomes of them.
    let reader = RwLockWriteGuard::downgrade(rw.write());
    drop((other.lock(), reader));
    let upgradable = rw.upgradable_read();
    let guard = other.lock();
    drop(RwLockUpgradableReadGuard::upgrade(upgradable));
    drop(guard);
    drop((other.lock(), rw.read_recursive()));
    drop((other.try_lock(), rw.read()));
    // A wait that takes its mutex again under another.
    let (g, h, condvar) = (Mutex::new(()), Mutex::new(()), Condvar::new());
    let mut waiting = g.lock();
    let held = h.lock();
    condvar.wait_for(&mut waiting, std::time::Duration::from_millis(1));
    drop((waiting, held));
    // Locks of one class.
    let row = [const { Mutex::new_in(&LEVELS, ()) }; 2];
    drop((row[0].lock(), row[1].lock_nested(Subclass::new(1))));
    drop((row[1].lock_nested(Subclass::new(1)), row[0].lock()));
    drop((row[0].lock(), row[1].lock()));
    let ranked = [const { Mutex::new_in(&RANKED, ()) }; 2];
    drop((ranked[1].lock_ranked(1), ranked[0].lock_ranked(0)));
    let nested = Mutex::new_in(&NESTED, ());
    drop(nested.lock_under(gate.map()));
    let many: Vec<Mutex<()>> = (0..2).map(|_| Mutex::new(())).collect();
    drop((many[0].lock(), many[1].lock()));
    drop((many[1].lock(), many[0].lock()));
    // A pinned lock, a released one, one that another thread releases.
    let pinned = Mutex::new(());
    let guard = pinned.lock();
    let pin = pinned.map().pin();
    drop(guard);
    drop(pin);
    let map = LockMap::new();
    map.acquire(Acquire::exclusive());
    map.release();
    map.release();
    map.acquire(Acquire::exclusive());
    let holder = lockdep::Holder::current();
    std::thread::scope(|scope| drop(scope.spawn(move || map.release_for(holder))));
    drop((b.lock(), a.try_lock()));
    // What is never held: a wait for all holders, a path that is not taken; and what dies while it is held.
    let (swept, sweeper) = (LockMap::new(), Mutex::new(()));
    swept.acquire(Acquire::shared());
    drop(sweeper.lock());
    swept.release();
    {
        let _sweeper = sweeper.lock();
        swept.sync(Acquire::exclusive());
        a.might_lock();
    }
    let (i, j) = (Mutex::new(()), Mutex::new(()));
    drop((i.lock(), j.lock()));
    {
        let _j = j.lock();
        i.might_lock();
    }
    let dying = Mutex::new(());
    std::mem::forget(dying.lock());
    drop(dying);
    // Contexts and polls.
    TIMER.watch();
    let log = Mutex::new(());
    drop(log.lock());
    {
        let _inside = TIMER.enter();
        drop(log.lock());
    }
    let quiet = Mutex::new(());
    {
        let _disabled = TIMER.disable();
        drop(quiet.lock());
    }
    let across = async {
        let _guard = quiet.try_lock();
        let mut first = true;
        std::future::poll_fn(|_| if std::mem::take(&mut first) { task::Poll::Pending } else { task::Poll::Ready(()) })
            .await;
    };
    let mut across = pin!(watch_future(across));
    while across.as_mut().poll(&mut task::Context::from_waker(Waker::noop())).is_pending() {}
}

#[test]
#[ignore = "a child of the test below"]
fn child_does_everything() {
    everything();
}

fn grades(reports: &[lockdep::Report]) -> BTreeMap<Fingerprint, (Grade, String)> {
    let mut grades = BTreeMap::new();
    for report in reports {
        // A finding that got worse is in a journal twice.
        let known = grades.entry(report.fingerprint).or_insert((report.grade, report.code.as_str().to_owned()));
        known.0 = known.0.max(report.grade);
    }
    grades
}

#[test]
fn a_recorded_run_is_replayed_with_the_same_findings() {
    let scratch = Scratch::new("trace");
    let (trace, journals) = (scratch.path("run.jsonl"), scratch.path("journals"));
    run("child_does_everything", &[("LOCKDEP", "collect"), ("LOCKDEP_TRACE", &trace), ("LOCKDEP_OUT", &journals)]);
    let journal = std::fs::read_dir(&journals).unwrap().next().unwrap().unwrap().path();
    let journal = Journal::parse("journal", &std::fs::read(journal).unwrap()).unwrap();
    let recorded = grades(&journal.reports);
    assert!(recorded.len() >= 11, "{recorded:?}");
    let of_grade = |grade| recorded.values().filter(|(other, _)| *other == grade).count();
    assert!(of_grade(Grade::Ordered) > 0 && of_grade(Grade::Gated) > 0 && of_grade(Grade::Concurrent) > 0);

    let replay = Replay::parse("run", &std::fs::read(trace).unwrap()).unwrap();
    assert_eq!(grades(replay.reports()), recorded);
    replay.validator().check_invariants();
    assert_eq!(replay.validator().dependencies().dependencies().count(), journal.dependencies.len());
}

#[test]
fn a_refused_acquisition_is_recorded_as_one_that_might_have_been() {
    let scratch = Scratch::new("refused");
    let trace = scratch.path("%p.jsonl");
    run("child_is_refused", &[("LOCKDEP_TRACE", &trace)]);
    let file = std::fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path();
    assert!(file.file_stem().unwrap().to_str().unwrap().parse::<u32>().is_ok(), "{file:?}");
    let replay = Replay::parse("run", &std::fs::read(file).unwrap()).unwrap();
    assert_eq!(replay.reports().len(), 1, "nothing is left over that would break what follows");
}

#[test]
#[ignore = "a child of the test above"]
fn child_is_refused() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock(), b.lock()));
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop((b.lock(), a.lock()))));
    assert!(refused.is_err());
    drop(a.lock());
    drop((a.lock(), b.lock()));
}

#[test]
fn a_trace_that_cannot_be_written_is_told_and_harms_nobody() {
    let scratch = Scratch::new("nowhere");
    let stderr = run("child_is_refused", &[("LOCKDEP_TRACE", &scratch.path("no/such/directory/run.jsonl"))]);
    assert!(stderr.contains("lockdep: failed to create the trace"), "{stderr}");
}

fn find<'a>(stats: &'a [ClassStats], class: &str, readers: bool) -> &'a ClassStats {
    stats
        .iter()
        .find(|one| one.class == class && one.readers == readers)
        .unwrap_or_else(|| panic!("{class}: {stats:?}"))
}

static QUEUE: LockClass = LockClass::new("queue");
static TABLE: LockClass = LockClass::new("table");

#[test]
#[ignore = "a child of the test below"]
fn child_counts() {
    let (queue, table) = (Mutex::new_in(&QUEUE, 0), RwLock::new_in(&TABLE, 0));
    let use_them = || {
        for _ in 0..10 {
            *queue.lock() += 1;
            let _ = *table.read() + *table.read_recursive();
            *table.write() += 1;
            drop(queue.try_lock());
        }
    };
    use_them();
    assert_eq!(lockdep::statistics(), [], "they are off");
    lockdep::set_statistics(true);
    use_them();
    let stats = lockdep::statistics();
    let of_queue = find(&stats, "queue", false);
    assert_eq!((of_queue.acquisitions, of_queue.hold.count, of_queue.wait.count), (20, 20, 0));
    assert!(of_queue.hold.ns_min <= of_queue.hold.ns_avg() && of_queue.hold.ns_avg() <= of_queue.hold.ns_max);
    let (readers, writers) = (find(&stats, "table", true), find(&stats, "table", false));
    assert_eq!((readers.acquisitions, readers.hold.count, writers.acquisitions), (20, 20, 10));

    // A thread that has to wait, as often as it takes to be so late that it does.
    let session = Session::process();
    session.clear_statistics();
    let mut rounds = 0;
    loop {
        rounds += 1;
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let guard = queue.lock();
            scope.spawn(|| {
                barrier.wait();
                *queue.lock() += 1;
            });
            barrier.wait();
            (0..100).for_each(|_| std::thread::yield_now());
            drop(guard);
        });
        let stats = lockdep::statistics();
        let of_queue = find(&stats, "queue", false);
        assert_eq!((of_queue.acquisitions, of_queue.hold.count), (2 * rounds, 2 * rounds));
        if of_queue.wait.count > 0 && of_queue.holders.is_empty() {
            // It came when the holder had said that it lets go and had not quite done so.
            session.clear_statistics();
            rounds = 0;
        } else if of_queue.wait.count > 0 {
            assert_eq!(of_queue.wait.count, 1);
            assert!(of_queue.wait.ns_min == of_queue.wait.ns_max && of_queue.wait.ns_total > 0);
            let ([(waiter, 1)], [(holder, 1)]) = (&of_queue.waiters[..], &of_queue.holders[..]) else {
                panic!("one waiter, one holder: {of_queue:?}")
            };
            assert!(waiter.line > holder.line && waiter.file.ends_with("tests/observe.rs"));
            break;
        }
    }

    lockdep::set_statistics(false);
    use_them();
    session.clear_statistics();
    use_them();
    assert_eq!(lockdep::statistics(), [], "they are off again, also for what was known before");
}

#[test]
fn locks_are_counted_while_the_statistics_are_on() {
    run("child_counts", &[]);
}

#[test]
#[ignore = "a child of the test below"]
fn child_prints_a_summary_itself() {
    let (sender, receiver) = mpsc::channel();
    // Not the main thread, and the process goes on.
    std::thread::spawn(move || {
        {
            let _summary = lockdep::summary_on_drop();
            drop(Mutex::new(()).lock());
        }
        sender.send(()).unwrap();
    });
    receiver.recv().unwrap();
}

#[test]
fn a_summary_is_printed_where_a_program_says() {
    let stderr = run("child_prints_a_summary_itself", &[]);
    assert!(stderr.contains("lockdep: no findings; 1 classes"), "{stderr}");
}

#[test]
fn a_summary_counts_by_grade_whatever_was_taken() {
    let session = Session::new(Policy::Collect);
    let locks: Vec<Mutex<()>> = (0..3).map(|_| Mutex::new(())).collect();
    let gate = Mutex::new(());
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    session.enter(|| {
        drop((locks[0].lock(), locks[1].lock()));
        drop((locks[1].lock(), locks[0].lock()));
        drop((gate.lock(), a.lock(), b.lock()));
        drop((gate.lock(), b.lock(), a.lock()));
    });
    assert_eq!(session.take_reports().len(), 2);
    let summary = session.summary();
    assert_eq!(summary.findings, [(Grade::FewThreads, 1, 1), (Grade::Gated, 1, 1)]);
    assert!(summary.to_string().starts_with("1 finding of grade few-threads (made 1 times), 1 finding of grade gated"));
}

#[test]
fn a_budget_drops_stacks_but_never_a_check() {
    let classes: Vec<&'static LockClass> = (0..200).map(|_| &*Box::leak(Box::new(LockClass::new("budget")))).collect();
    let locks: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
    let session = Session::new(Policy::Collect);
    let chain = |order: &dyn Fn(usize) -> (usize, usize)| {
        (0..199).for_each(|index| {
            let (outer, inner) = order(index);
            drop((locks[outer].lock(), locks[inner].lock()));
        });
    };
    session.enter(|| chain(&|index| (index, index + 1)));
    let full = session.summary();
    assert_eq!((full.dropped_statistics, full.dropped_stacks), (None, None));
    assert_eq!(full.dependencies, 199);

    let session = Session::new(Policy::Collect);
    let budget = full.memory / 2;
    session.set_memory_budget(budget);
    session.enter(|| {
        chain(&|index| (index, index + 1));
        chain(&|index| (index + 1, index));
    });
    let summary = session.summary();
    assert_eq!((summary.dropped_statistics, summary.dropped_stacks), (Some(budget), Some(budget)));
    assert!(summary.to_string().contains("stacks were dropped for the memory budget of"), "{summary}");
    assert_eq!(session.reports().len(), 199, "everything was found");
    let last = &session.reports()[198];
    assert!(last.cycle.iter().all(|step| step.inner.site.is_some()), "and where it is");
    assert!(last.cycle.iter().all(|step| step.inner.stack.is_empty()));
}
