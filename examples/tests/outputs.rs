//! Every example is run, and what it prints is compared with `reports/examples`.
//!
//! `LOCKDEP_UPDATE=1 cargo test -p lockdep-examples` writes those files anew.

use std::{path::Path, process::Command};

/// Returns what an example prints, standard output first, and its exit code.
fn run(program: &str) -> String {
    let mut command = Command::new(program);
    let variables = ["LOCKDEP", "LOCKDEP_OUT", "RUST_BACKTRACE"];
    let output = variables.iter().fold(&mut command, |command, name| command.env_remove(name)).output();
    let output = output.expect("the example starts");
    let code = output.status.code().map_or_else(|| "none".to_owned(), |code| code.to_string());
    let text = |bytes| String::from_utf8(bytes).expect("an example prints UTF-8");
    let printed = format!("{}{}exit code {code}\n", text(output.stdout), text(output.stderr));
    printed.lines().map(|line| without_thread_number(line) + "\n").collect()
}

/// `thread 'main' (1234) panicked` names the thread by a number that differs from run to run.
fn without_thread_number(line: &str) -> String {
    let Some((before, rest)) = line.split_once("' (") else { return line.to_owned() };
    match rest.split_once(") panicked") {
        Some((_, after)) => format!("{before}' panicked{after}"),
        None => line.to_owned(),
    }
}

fn check(name: &str, program: &str, must_contain: &[&str]) {
    let printed = run(program);
    for needle in must_contain {
        assert!(printed.contains(needle), "{name} does not print {needle:?}:\n{printed}");
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../reports/examples/{name}.txt"));
    if std::env::var_os("LOCKDEP_UPDATE").is_some() {
        std::fs::write(&golden, &printed).expect("the report is written");
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(printed, expected, "{name} prints something else than {} has", golden.display());
}

macro_rules! examples {
    ($($name:ident: $must_contain:expr;)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name), env!(concat!("CARGO_BIN_EXE_", stringify!($name))), &$must_contain);
        }
    )*};
}

examples! {
    inversion: ["panicked at examples/inversion.rs:", "inversion::Bank::deposit", "inversion::Bank::audit", "exit code 101"];
    read_write: ["1 finding(s)", "rlock(config);", "exit code 0"];
    nested: ["1 finding(s)", "possible recursive locking detected", "exit code 0"];
    condvar: ["1 finding(s)", "queue --> log", "exit code 0"];
    declared_order: ["296 left after fees", "0 finding(s)", "exit code 0"];
    drop_in: ["numbers, all taken: 500500", "0 finding(s)", "exit code 0"];
}

/// The README shows the first example and what it prints: both must be the real ones.
#[test]
fn the_readme_shows_the_real_thing() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
    let (readme, source, printed) =
        (read("../README.md"), read("inversion.rs"), read("../reports/examples/inversion.txt"));
    let code = &source[source.find("struct Bank").expect("the example has a bank")..];
    let report = printed.rsplit_once("exit code").expect("the exit code is last").0;
    assert!(readme.contains(code.trim_end()), "the README's code is not that of examples/inversion.rs");
    assert!(readme.contains(report.trim_end()), "the README's report is not that of reports/examples/inversion.txt");
}
