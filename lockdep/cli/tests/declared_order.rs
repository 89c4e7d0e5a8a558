//! A Rust project's own order: the example is run, and its journal held against `examples/lockdep.order`.
//!
//! `LOCKDEP_UPDATE=1 cargo test -p cargo-lockdep --test declared_order` writes the audit in `reports/examples` anew.

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use common::Scratch;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A directory with the declared order, the example's source, and the journal of a run of it.
fn scratch(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    for file in ["lockdep.order", "declared_order.rs"] {
        scratch.write(&format!("examples/{file}"), std::fs::read(workspace().join("examples").join(file)).unwrap());
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--package", "lockdep-examples", "--bin", "declared_order"]);
    let run = cargo.current_dir(workspace()).env_remove("LOCKDEP").env("LOCKDEP_OUT", scratch.path().join("journals"));
    let output = run.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let journals: Vec<_> = std::fs::read_dir(scratch.path().join("journals")).unwrap().map(Result::unwrap).collect();
    assert_eq!(journals.len(), 1, "{journals:?}");
    // The name has the process id.
    std::fs::rename(journals[0].path(), scratch.path().join("journals/run.jsonl")).unwrap();
    scratch
}

fn order() -> String {
    std::fs::read_to_string(workspace().join("examples/lockdep.order")).unwrap()
}

#[test]
fn the_example_confirms_its_order_but_for_one_undeclared_dependency() {
    let scratch = scratch("declared");
    let run = scratch.run("audit --order examples/lockdep.order --observed journals/run.jsonl");
    assert_eq!((run.code, run.stderr.as_str()), (Some(100), ""));
    let json = scratch.run("audit --order examples/lockdep.order --observed journals/run.jsonl --format json").stdout;
    let audit: serde_json::Value = serde_json::from_str(&json).unwrap();
    let document = &audit["documents"][0];
    let mut verdicts: Vec<_> = entries(&document["rules"], |rule| {
        format!("{} -> {} {}", text(&rule["before"]), text(&rule["after"]), text(&rule["verdict"]))
    });
    verdicts.sort_unstable();
    let expected = [
        "account -> disk confirmed",
        "account -> ledger confirmed",
        "account -> mailbox unobserved",
        "ledger -> disk confirmed",
        "rates -> account confirmed",
        "rates -> disk confirmed",
        "rates -> ledger confirmed",
    ];
    assert_eq!(verdicts, expected);
    let undeclared = entries(&document["dependencies"], |dependency| {
        let is_undeclared = dependency["verdict"] == "undocumented";
        is_undeclared.then(|| format!("{} -> {}", text(&dependency["outer"]), text(&dependency["inner"])))
    });
    assert_eq!(undeclared.into_iter().flatten().collect::<Vec<_>>(), ["ledger -> statistics"]);

    let golden = workspace().join("reports/examples/declared_order.audit.txt");
    if std::env::var_os("LOCKDEP_UPDATE").is_some() {
        std::fs::write(&golden, &run.stdout).unwrap();
    }
    assert_eq!(run.stdout, std::fs::read_to_string(&golden).unwrap());
}

fn entries<T>(list: &serde_json::Value, each: impl Fn(&serde_json::Value) -> T) -> Vec<T> {
    list.as_array().unwrap().iter().map(each).collect()
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_exit_code_is_for_a_pipeline() {
    let scratch = scratch("pipeline");
    let code = |order: &str| {
        scratch.write("lockdep.order", order);
        let run = scratch.run("audit --order lockdep.order --observed journals/run.jsonl");
        (run.code, run.stdout)
    };
    let whole = format!("{}ledger -> statistics\n", order());
    let (clean, _) = code(&whole);
    assert_eq!(clean, Some(0), "with every dependency declared");
    let (ignoring, _) = code(&format!("{}ignore statistics\n", order()));
    assert_eq!(ignoring, Some(0), "or left out on purpose");

    let (turned, printed) = code(&whole.replace("ledger -> disk", "disk -> ledger"));
    assert_eq!(turned, Some(100), "{printed}");
    assert!(printed.contains("\ncontradicted\n  disk (line 2) before ledger (line 2)\n"), "{printed}");

    let (nesting, printed) = code(&whole.replace("same-class", "# same-class"));
    assert_eq!(nesting, Some(100), "two accounts at once are a finding where nobody has declared it: {printed}");
}

#[test]
fn a_project_is_audited_by_its_directory() {
    let scratch = scratch("directory");
    let run = scratch.run("audit --order examples --observed journals/run.jsonl");
    assert_eq!(run.code, Some(100), "{}", run.stderr);
    assert!(
        run.stdout.starts_with("examples/lockdep.order: 7 rules: 6 confirmed, 1 unobserved, so 85% confirmed\n"),
        "{}",
        run.stdout
    );
}

/// The validator's own locks cannot be watched by it, but what is declared can be held against the source.
#[test]
fn the_runtime_declares_every_lock_that_it_has() {
    let runtime = workspace().join("lockdep/src/runtime");
    let scratch = Scratch::new("runtime");
    scratch.write("runtime/mod.rs", std::fs::read(runtime.join("mod.rs")).unwrap());
    let run = scratch.run("audit --order runtime --format json");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    let audit: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let document = &audit["documents"][0];
    let rules = entries(&document["rules"], |rule| (text(&rule["before"]).to_owned(), text(&rule["after"]).to_owned()));
    assert!(rules.contains(&("learnt".to_owned(), "PREFIXES".to_owned())), "{rules:?}");
    assert_eq!(audit["notes"], serde_json::json!([]));

    let mut declared: Vec<&str> = rules.iter().flat_map(|(before, after)| [before.as_str(), after.as_str()]).collect();
    declared.sort_unstable();
    declared.dedup();
    let sources: String = std::fs::read_dir(&runtime)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for lock in &declared {
        let is_taken = ["lock", "read", "write", "get"].iter().any(|how| sources.contains(&format!("{lock}.{how}(")));
        assert!(is_taken, "`{lock}` is declared, and no lock of the runtime");
    }
    let taken = sources.split([' ', '(', '*', '&', ';', '{', '\n']).filter_map(|word| {
        let path = [".lock()", ".read()", ".write()"].iter().find_map(|how| word.split_once(how))?.0;
        path.rsplit('.').next()
    });
    for lock in taken.filter(|lock| !["orphans", "lockdep"].contains(lock)) {
        assert!(declared.contains(&lock), "`{lock}` is locked in the runtime, and not in its declared order");
    }
}
