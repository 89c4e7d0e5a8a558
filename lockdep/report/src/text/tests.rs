use lockdep_core::{DependencyKind, Fingerprint, HoldKind, Site, WaitKind, WaitType};

use super::*;

fn acquisition(class: &str, mode: Mode, line: u32) -> Acquisition {
    let site = Site { file: "src/a.rs".to_owned(), line, column: 5 };
    let frame = Frame { function: format!("take_{class}"), site: Some(site.clone()) };
    Acquisition { class: class.to_owned(), lock: None, mode, trylock: false, site: Some(site), stack: vec![frame] }
}

fn dependency(outer: Acquisition, inner: Acquisition, thread: &str) -> Dependency {
    let kind = DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Normal };
    Dependency { outer, inner, kind, thread: thread.to_owned(), span: Some("fault{addr=7}".to_owned()) }
}

fn sample() -> Report {
    let (a, b, c) = ("a", "b", "c");
    let lock = |class, line| acquisition(class, Mode::Exclusive, line);
    Report {
        code: Code::CircularDependency,
        fingerprint: Fingerprint::of(Code::CircularDependency, &[a, b, c]),
        thread: "three".to_owned(),
        wanted: lock(a, 6),
        cycle: vec![
            dependency(lock(c, 5), lock(a, 6), "three"),
            dependency(lock(a, 1), acquisition(b, Mode::Shared, 2), "one"),
            dependency(acquisition(b, Mode::Shared, 3), lock(c, 4), "two"),
        ],
        conflict: None,
        same_instance: false,
        grade: Grade::Concurrent,
        gate: None,
        context: None,
        waits: None,
        held: vec![lock(c, 5)],
        span: None,
    }
}

#[test]
fn a_circle_reads_like_the_kernels() {
    let text = render(&sample());
    let expected = "\
======================================================
WARNING: possible circular locking dependency detected
------------------------------------------------------
three is trying to acquire lock:
 (a){exclusive}, at src/a.rs:6:5

but thread is already holding lock:
 (c){exclusive}, at src/a.rs:5:5

which lock already depends on the new lock.

the existing dependency chain (in reverse order) is:

-> #2 (c){exclusive}, at src/a.rs:4:5
   acquired by two (in fault{addr=7}) while holding (b), dependency EN:
       take_c (src/a.rs:4:5)
   (b) had been acquired at src/a.rs:3:5:
       take_b (src/a.rs:3:5)

-> #1 (b){shared}, at src/a.rs:2:5
   acquired by one (in fault{addr=7}) while holding (a), dependency EN:
       take_b (src/a.rs:2:5)
   (a) had been acquired at src/a.rs:1:5:
       take_a (src/a.rs:1:5)

-> #0 (a){exclusive}, at src/a.rs:6:5
   acquired by three (in fault{addr=7}) while holding (c), dependency EN:
       take_a (src/a.rs:6:5)
   (c) had been acquired at src/a.rs:5:5:
       take_c (src/a.rs:5:5)

other info that might help us debug this:

Chain exists of:
  a --> b --> c

 Possible unsafe locking scenario:

  CPU0                    CPU1
  ----                    ----
  lock(c);
                          rlock(b);
                          lock(c);
  lock(a);

 *** DEADLOCK ***

1 lock held by three:
 #0: (c){exclusive}, at src/a.rs:5:5

[circular-dependency ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_recursion_says_whether_it_is_certain() {
    let mut report = Report {
        code: Code::Recursion,
        cycle: Vec::new(),
        conflict: Some(acquisition("a", Mode::Exclusive, 1)),
        ..sample()
    };
    assert!(render(&report).contains("May be due to missing lock nesting notation"));
    report.same_instance = true;
    assert!(render(&report).contains("the thread waits for itself"));
    report.conflict = Some(acquisition("a", Mode::Shared, 1));
    assert!(render(&report).contains("  rlock(a);\n  lock(a);"));
}

#[test]
fn every_code_has_a_title_and_a_story_of_its_own() {
    let conflict = Some(acquisition("b", Mode::Shared, 9));
    let stories = Code::ALL.map(|code| {
        let cycle = if code == Code::WaitContext { Vec::new() } else { sample().cycle };
        let waits = Some((WaitType::Sleep, WaitType::Spin));
        render(&Report { code, cycle, conflict: conflict.clone(), waits, ..sample() })
    });
    assert!(stories.iter().all(|story| !story.contains("locking rule broken")));
    let of = |code| &stories[Code::ALL.iter().position(|other| *other == code).unwrap()];
    assert!(of(Code::WaitContext).contains("which blocks the thread (Sleep), where what spins (Spin) is the most"));
    assert!(of(Code::NestNotHeld).contains("Nested lock was not taken"));
    assert!(of(Code::HeldFreed).contains("three is destroying a lock that it holds:\n (b){shared}"));
    assert!(of(Code::HeldAtExit).contains("three ends with a lock held"));
    assert!(of(Code::PinnedRelease).contains("releasing a lock that was pinned"));
}

#[test]
fn a_guard_across_an_await_point_is_told_with_its_stack() {
    let waits = Some((WaitType::Await, WaitType::Sleep));
    let (conflict, context) = (Some(acquisition("cache", Mode::Exclusive, 4)), Some("await point".to_owned()));
    let report =
        Report { code: Code::WaitContext, cycle: Vec::new(), conflict, context, waits, span: None, ..sample() };
    let text = render(&report);
    let expected = "three leaves the task at an await point at src/a.rs:6:5\nwhile holding lock:\n (cache){exclusive}";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("take_cache (src/a.rs:4:5)\n\nwhich blocks the thread (Await is needed here"), "{text}");
}

#[test]
fn locks_of_one_class_are_numbered() {
    let lock = |number, line| Acquisition { lock: Some(number), ..acquisition("row", Mode::Exclusive, line) };
    let cycle = vec![dependency(lock(2, 3), lock(1, 4), "two"), dependency(lock(1, 1), lock(2, 2), "one")];
    let text = render(&Report { code: Code::InstanceOrder, cycle, wanted: lock(1, 4), ..sample() });
    assert!(text.contains("acquired by one (in fault{addr=7}) while holding (row[1])"), "{text}");
    assert!(text.contains("Chain exists of:\n  row[1] --> row[2]"), "{text}");
    assert!(text.contains("  lock(row[2]);\n"), "{text}");
}

#[test]
fn a_context_is_told_as_an_interrupt() {
    let cycle = vec![
        dependency(acquisition("a", Mode::Exclusive, 1), acquisition("<hardirq>", Mode::Exclusive, 1), "one"),
        dependency(acquisition("<hardirq>", Mode::Exclusive, 2), acquisition("a", Mode::Shared, 2), "two"),
    ];
    let context = Some("hardirq".to_owned());
    let text = render(&Report { code: Code::InconsistentUsage, cycle, context, ..sample() });
    assert!(text.contains("WARNING: inconsistent lock state\n"), "{text}");
    assert!(text.contains("  lock(a);\n  <Interrupt: hardirq>\n    rlock(a);"), "{text}");
}

#[test]
fn a_grade_says_what_speaks_against_the_cycle() {
    let graded = |grade| render(&Report { grade, gate: Some("g".to_owned()), ..sample() });
    assert!(!graded(Grade::Concurrent).contains("grade"));
    assert!(graded(Grade::Gated).contains("grade gated: (g) was held around all parts"));
    assert!(graded(Grade::Ordered).contains("grade ordered"));
    assert!(graded(Grade::FewThreads).contains("the order is just as broken"));
}

#[test]
fn a_release_without_a_lock_is_told() {
    let report = Report { code: Code::ReleaseUnheld, cycle: Vec::new(), held: Vec::new(), ..sample() };
    let text = render(&report);
    assert!(text.contains("bad unlock balance detected!"));
    assert!(text.contains("three is trying to release lock (a) at src/a.rs:6:5"));
    assert!(text.contains("no locks held by three."));
}
