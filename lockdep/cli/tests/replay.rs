//! `cargo lockdep replay` as a user runs it.

mod common;

use common::Scratch;

const HEADER: &str = "{\"event\":\"trace\",\"version\":1,\"program\":\"bank\"}\n";

/// The events of a thread that nests two locks.
fn nest(thread: &str, outer: &str, inner: &str) -> String {
    let event = |event: &str, class: &str| {
        let instance = class.bytes().map(u64::from).sum::<u64>();
        format!("{{\"thread\":\"{thread}\",\"event\":\"{event}\",\"class\":\"{class}\",\"instance\":{instance}}}\n")
    };
    [("acquire", outer), ("acquire", inner), ("release", inner), ("release", outer)]
        .map(|(name, class)| event(name, class))
        .concat()
}

#[test]
fn an_inversion_is_told_in_both_formats() {
    let scratch = Scratch::new("replay-inversion");
    scratch.write("t.jsonl", format!("{HEADER}{}{}", nest("one", "a", "b"), nest("two", "b", "a")));
    let text = scratch.run("replay t.jsonl");
    assert_eq!((text.code, text.stderr.as_str()), (Some(100), ""));
    assert!(text.stdout.contains("possible circular locking dependency detected"), "{}", text.stdout);
    let json = scratch.run("lockdep replay t.jsonl --format json");
    assert_eq!(json.code, Some(100));
    assert!(json.stdout.contains("\"grade\": \"concurrent\""), "{}", json.stdout);
}

#[test]
fn the_classes_of_a_trace_are_read_back_by_the_audit() {
    let scratch = Scratch::new("replay-classes");
    let trace = format!("{HEADER}{}{}", nest("one", "a", "b"), nest("one", "b", "c"));
    let classes = lockdep_core::Replay::parse("t.jsonl", trace.as_bytes()).unwrap().classes();
    assert_eq!(
        classes.iter().map(|class| (class.forward, class.backward)).collect::<Vec<_>>(),
        [(3, 1), (2, 2), (1, 3)]
    );
    scratch.write("classes", lockdep_report::classes::render(&classes));
    scratch.write("lockdep.order", "a -> b\nb -> c\n");
    let run = scratch.run("audit --order lockdep.order --observed classes");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    assert!(run.stdout.starts_with("lockdep.order: 2 rules: 2 confirmed"), "{}", run.stdout);
}

#[test]
fn a_gated_cycle_is_told_and_fails_only_if_asked() {
    let scratch = Scratch::new("replay-gated");
    let gated = |thread: &str, outer: &str, inner: &str| {
        let gate = |event: &str| {
            format!("{{\"thread\":\"{thread}\",\"event\":\"{event}\",\"class\":\"gate\",\"instance\":1}}\n")
        };
        format!("{}{}{}", gate("acquire"), nest(thread, outer, inner), gate("release"))
    };
    scratch.write("t.jsonl", format!("{HEADER}{}{}", gated("one", "a", "b"), gated("two", "b", "a")));
    let run = scratch.run("replay t.jsonl");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert!(run.stdout.contains("grade gated: (gate) was held around all parts."), "{}", run.stdout);
    assert_eq!(scratch.run("replay t.jsonl --fail all").code, Some(100));
}

#[test]
fn clean_is_0_and_bad_input_is_one_line_and_101() {
    let scratch = Scratch::new("replay-bad");
    scratch.write("clean.jsonl", format!("{HEADER}{}", nest("one", "a", "b")));
    let clean = scratch.run("replay clean.jsonl");
    assert_eq!((clean.code, clean.stdout.as_str()), (Some(0), "no findings\n"));
    for (name, text, message) in [
        ("empty.jsonl", String::new(), "empty.jsonl:1: empty: not a lockdep trace: the first line is no header"),
        ("elf.jsonl", "\u{7f}ELF\n".to_owned(), "elf.jsonl:1: not a lockdep trace: the first line is no header"),
        (
            "exit.jsonl",
            format!("{HEADER}{{\"event\":\"exit\",\"context\":\"softirq\"}}\n"),
            "exit.jsonl:2: softirq has not been entered",
        ),
        ("new.jsonl", HEADER.replace(":1,", ":9,"), "new.jsonl:1: of version 9, but known is only 1"),
    ] {
        scratch.write(name, text);
        let run = scratch.run(&format!("replay {name}"));
        assert_eq!((run.code, run.stderr.trim_end()), (Some(101), message));
    }
    assert_eq!(scratch.run("replay").code, Some(2));
    assert_eq!(scratch.run("replay clean.jsonl --fail sometimes").code, Some(2));
    scratch.write("cut.jsonl", format!("{HEADER}{}{{\"event\":\"acq", nest("one", "a", "b")));
    let cut = scratch.run("replay cut.jsonl");
    assert_eq!(cut.code, Some(0));
    assert_eq!(cut.stderr.trim_end(), "note: cut.jsonl:6: the last line was cut and is left out");
}
