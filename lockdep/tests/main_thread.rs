//! The summary that is printed when the main thread ends. Without a test harness, whose main thread runs no test: this
//! program is its own child.

use std::process::Command;

use lockdep::{LockClass, Mutex};

static QUEUE: LockClass = LockClass::new("queue");
static TABLE: LockClass = LockClass::new("table");

fn child() {
    let (a, b) = (Mutex::new_in(&QUEUE, 0), Mutex::new_in(&TABLE, 0));
    drop((a.lock(), b.lock()));
    (0..3).for_each(|_| drop((b.lock(), a.lock())));
}

/// Returns what a child prints to standard error.
fn run(words: &str) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test has a path"));
    command.env_remove("LOCKDEP_OUT").env_remove("LOCKDEP_TRACE").env("LOCKDEP", words).arg("child");
    let output = command.output().expect("the child starts");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("child") {
        return child();
    }
    let summary = "lockdep: 1 finding of grade few-threads (made 3 times); 2 classes, 2 dependencies, ";
    let stderr = run("collect,summary");
    assert!(stderr.starts_with(summary) && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(run("collect"), "");
    let stderr = run("collect,stat");
    assert!(stderr.contains("wait total") && stderr.contains("\nqueue ") && stderr.contains(summary), "{stderr}");
    println!("the summary is printed when the main thread ends, if it is asked for: ok");
}
