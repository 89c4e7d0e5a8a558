//! No caps: numbers far beyond any program's, each within seconds.

use lockdep_core::{
    Acquired, ClassId, Code, Event, FailOn, HeldStack, Mode, Point, Replay, Request, Validator, Violation,
    event::{Acquire, Action, Lock},
};

fn request(class: u32) -> Request {
    Request::new(Acquired::new(ClassId::new(class), Mode::Exclusive, false), u64::from(class), Point::new(1))
}

/// Nests two classes. Returns what that breaks.
fn pair(validator: &mut Validator, outer: u32, inner: u32) -> Vec<Violation> {
    let held = HeldStack::new();
    held.push(request(outer).how, u64::from(outer), Point::new(1));
    validator.acquire(&held, &request(inner)).violations
}

#[test]
fn a_hundred_thousand_classes_and_a_million_dependencies() {
    let mut validator = Validator::new();
    let classes = 100_000;
    // Each class before ten others, scattered, always upwards; the numbers are then mixed so that most do not fit the
    // order in which they arrive.
    let mixed = |class: u32| (u64::from(class) * 48_271 % u64::from(classes)) as u32;
    for step in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
        for class in (0..classes).map(mixed) {
            if class + step < classes {
                assert_eq!(pair(&mut validator, class, class + step), []);
            }
        }
    }
    assert!(validator.dependencies().len() > 999_000);
    let violations = pair(&mut validator, classes - 1, 0);
    assert!(matches!(&violations[..], [Violation::Cycle(steps)] if steps.len() > 1000), "the shortest is long");
}

#[test]
fn ten_thousand_locks_held_by_one_thread() {
    let mut validator = Validator::new();
    let held = HeldStack::new();
    for class in 0..10_000 {
        assert_eq!(validator.acquire(&held, &request(class)).violations, []);
        held.push(request(class).how, u64::from(class), Point::new(1));
    }
    held.check_invariants();
    assert!(held.release(5_000).is_some());
    held.check_invariants();
    let violations = pair(&mut validator, 9_999, 0);
    assert!(matches!(&violations[..], [Violation::Cycle(_)]));
    let grade = validator.grade(&violations[0]).grade;
    assert!(FailOn::default().fails(grade), "what one thread holds together does not gate it: {grade}");
}

/// The events of a thread that nests two locks.
fn nest(replay: &mut Replay, thread: &str, outer: u64, inner: u64) {
    let acquire = |lock: u64| Action::Acquire(Acquire::new(&format!("lock-{lock}"), lock, Mode::Exclusive));
    let release = |lock| Action::Release(Lock { class: None, instance: lock });
    for action in [acquire(outer), acquire(inner), release(inner), release(outer)] {
        replay.step(&Event::new(thread, action)).expect("a sound trace");
    }
}

#[test]
fn a_cycle_of_a_thousand_locks_is_told_whole() {
    let mut replay = Replay::new();
    for lock in 0..1000 {
        nest(&mut replay, &format!("thread-{}", lock % 7), lock, (lock + 1) % 1000);
    }
    let [report] = replay.reports() else { panic!("one finding") };
    assert_eq!((report.code, report.cycle.len()), (Code::CircularDependency, 1000));
    assert_eq!(report.grade, lockdep_core::Grade::FewThreads, "seven threads for a deadlock of a thousand");
}

#[test]
fn five_hundred_reports_in_one_run_and_each_once() {
    let mut replay = Replay::new();
    for round in 0..3 {
        for number in 0..500 {
            nest(&mut replay, "one", 2 * number, 2 * number + 1);
            nest(&mut replay, "two", 2 * number + 1, 2 * number);
        }
        assert_eq!(replay.reports().len(), 500, "in round {round}");
    }
    assert!(replay.reports().iter().all(|report| replay.times_seen(report.fingerprint) == 3));
    replay.validator().check_invariants();
}

#[test]
fn millions_of_short_lived_locks_leave_no_trace_but_their_classes() {
    let mut validator = Validator::new();
    assert_eq!(pair(&mut validator, 1, 2), []);
    for lock in 0..1_000_000u64 {
        let held = HeldStack::new();
        let first = Request { orders_instances: true, ..request(7) };
        held.push(first.how, 10 + 2 * lock, Point::new(1));
        let second = Request { instance: 11 + 2 * lock, ..first };
        assert_eq!(validator.acquire(&held, &second).violations, []);
    }
    let remembered = validator.instances(ClassId::new(7)).map_or(0, |graph| graph.node_count());
    assert!((1..10_000).contains(&remembered), "{remembered}");
    assert!(validator.forgotten_instances() > 1_900_000, "and it says so");
    assert_eq!(pair(&mut validator, 2, 1).len(), 1, "the order of classes stays");
}

/// Returns how much memory the process has in use, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// `cargo test --release -p lockdep-core --test capacity -- --ignored --nocapture --test-threads 1`
#[test]
#[ignore = "prints figures"]
fn memory_per_class_and_dependency() {
    let per = |bytes: u64, count: u64| bytes / count;
    let start = resident();
    let mut validator = Validator::new();
    for class in 0..100_000u32 {
        assert_eq!(pair(&mut validator, class, class + 1), []);
    }
    let chained = resident();
    for class in 0..100_000u32 {
        for step in 2..12 {
            assert_eq!(pair(&mut validator, class, class + step), []);
        }
    }
    let dense = resident();
    println!("a class with its first dependency: {} bytes", per(chained - start, 100_000));
    println!("a further dependency: {} bytes", per(dense - chained, 1_000_000));
    println!("a held lock: {} bytes", size_of::<lockdep_core::HeldLock>());
    println!("a witness: {} bytes", size_of::<lockdep_core::Witness>());
    assert!(per(dense - chained, 1_000_000) < 512, "a dependency costs a few hundred bytes");
}
