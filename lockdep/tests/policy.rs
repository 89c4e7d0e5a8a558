//! What a report does to a program, by API and by environment; and what is left of a program that is killed.
//!
//! Each case is this test binary again, as a child that runs one of the `child_` tests.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use lockdep::{Journal, LockClass, Mutex, Policy};

static FIRST: LockClass = LockClass::new("first");
static SECOND: LockClass = LockClass::new("second");

fn invert() {
    let (first, second) = (Mutex::new_in(&FIRST, ()), Mutex::new_in(&SECOND, ()));
    drop((first.lock(), second.lock()));
    drop((second.lock(), first.lock()));
}

fn child(name: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test has a path"));
    command.args(["--exact", name, "--nocapture", "--ignored"]);
    command.env_remove("LOCKDEP").env_remove("LOCKDEP_OUT").env("RUST_BACKTRACE", "0");
    command.envs(environment.iter().copied());
    command
}

fn run(name: &str, environment: &[(&str, &str)]) -> (Output, String) {
    let output = child(name, environment).output().expect("the child starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stderr)
}

const TITLE: &str = "WARNING: possible circular locking dependency detected";

#[test]
#[ignore = "a child of the tests below"]
fn child_inverts() {
    invert();
    println!("went on");
}

#[test]
fn the_default_is_to_panic_where_the_lock_is_taken() {
    let (output, stderr) = run("child_inverts", &[]);
    assert!(!output.status.success());
    assert!(stderr.contains("panicked at lockdep/tests/policy.rs:"), "{stderr}");
    assert!(stderr.contains(TITLE) && stderr.contains("first --> second"), "{stderr}");
}

#[test]
fn print_prints_and_goes_on() {
    let (output, stderr) = run("child_inverts", &[("LOCKDEP", "print")]);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr.matches(TITLE).count(), 1, "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("went on"));
}

#[test]
fn collect_and_off_say_nothing() {
    for policy in ["collect", "off"] {
        let (output, stderr) = run("child_inverts", &[("LOCKDEP", policy)]);
        assert!(output.status.success());
        assert_eq!(stderr, "");
    }
}

#[test]
fn abort_tells_before_it_aborts() {
    let directory = Scratch::new("abort");
    let (output, stderr) = run("child_inverts", &[("LOCKDEP", "abort"), ("LOCKDEP_OUT", directory.text())]);
    assert_eq!(output.status.code(), None, "killed by a signal");
    assert!(stderr.contains(TITLE), "{stderr}");
    assert_eq!(directory.journal().reports.len(), 1);
}

#[test]
fn an_unknown_word_is_told_and_harms_nobody() {
    let (output, stderr) = run("child_inverts", &[("LOCKDEP", "colect,print")]);
    assert!(output.status.success());
    assert!(stderr.contains("LOCKDEP=colect: no such policy (known: panic, print, collect, abort)"), "{stderr}");
    assert!(stderr.contains(TITLE));
}

#[test]
#[ignore = "a child of the tests below"]
fn child_sets_the_policy() {
    lockdep::set_policy(Policy::Collect);
    invert();
    assert_eq!(lockdep::take_reports().len(), 1);
    assert_eq!(lockdep::take_reports().len(), 0);
}

#[test]
fn the_program_overrides_the_environment() {
    let (output, stderr) = run("child_sets_the_policy", &[("LOCKDEP", "abort")]);
    assert!(output.status.success(), "{stderr}");
}

struct InvertsWhenDropped;

impl Drop for InvertsWhenDropped {
    fn drop(&mut self) {
        invert();
    }
}

#[test]
#[ignore = "a child of the tests below"]
fn child_inverts_while_panicking() {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _last = InvertsWhenDropped;
        panic!("the first panic");
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"the first panic"));
    println!("survived");
}

#[test]
fn a_panic_while_panicking_prints_instead() {
    let (output, stderr) = run("child_inverts_while_panicking", &[]);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("the first panic") && stderr.contains(TITLE), "{stderr}");
}

#[test]
fn a_panic_hook_may_take_locks() {
    let (output, stderr) = run("child_has_a_hook_with_locks", &[]);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("hook: 1"), "{stderr}");
}

#[test]
#[ignore = "a child of the test above"]
fn child_has_a_hook_with_locks() {
    static PANICS: Mutex<u32> = Mutex::new(0);
    std::panic::set_hook(Box::new(|_| {
        let mut panics = PANICS.lock();
        *panics += 1;
        eprintln!("hook: {panics}");
    }));
    assert!(catch_unwind(invert).is_err());
}

#[test]
#[ignore = "a child of the test below"]
fn child_waits_to_be_killed() {
    lockdep::set_policy(Policy::Collect);
    invert();
    println!("learnt");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn what_was_learnt_survives_a_kill() {
    use std::io::BufRead;

    let directory = Scratch::new("kill");
    let mut command = child("child_waits_to_be_killed", &[("LOCKDEP_OUT", directory.text())]);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the child starts");
    let output = std::io::BufReader::new(running.stdout.take().expect("it is piped"));
    let mut lines = output.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("learnt")), "the child learns");
    running.kill().expect("the child is alive");
    running.wait().expect("the child ends");

    let journal = directory.journal();
    let names: Vec<&str> = journal.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(journal.dependencies.len(), 2);
    assert_eq!(journal.reports.len(), 1);
    assert!(journal.dependencies.iter().all(|dependency| dependency.inner_site.is_some()));
    assert!(!journal.reports[0].cycle[1].inner.stack.is_empty());
}

#[test]
fn a_journal_that_cannot_be_written_is_told_and_harms_nobody() {
    let directory = Scratch::new("file");
    let file = directory.0.join("file");
    std::fs::write(&file, "").expect("the scratch directory is writable");
    let out = file.to_str().expect("a temporary path is UTF-8");
    let (output, stderr) = run("child_inverts", &[("LOCKDEP", "collect"), ("LOCKDEP_OUT", out)]);
    assert!(output.status.success());
    assert!(stderr.starts_with("lockdep: failed to create the journal "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lockdep-policy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("a temporary path is UTF-8")
    }

    /// Reads the one journal that is here.
    fn journal(&self) -> Journal {
        let files: Vec<PathBuf> = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &files[..] else { panic!("one journal, not {files:?}") };
        read(file)
    }
}

fn read(file: &Path) -> Journal {
    let bytes = std::fs::read(file).expect("the journal is readable");
    Journal::parse(&file.display().to_string(), &bytes).expect("the journal is well-formed")
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
