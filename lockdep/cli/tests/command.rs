//! The command as a user runs it: what it prints, where, and with what exit code.

mod common;

use std::process::Command;

use common::{Scratch, fixture};

const JOURNAL: &str = "{\"type\":\"header\",\"version\":1,\"program\":\"bank\"}\n\
    {\"type\":\"class\",\"id\":0,\"name\":\"accounts\",\"explicit\":true}\n\
    {\"type\":\"class\",\"id\":256,\"name\":\"ledger\",\"explicit\":true}\n\
    {\"type\":\"dependency\",\"outer\":0,\"inner\":256,\"hold\":\"exclusive\",\"wait\":\"normal\",\"thread\":\"main\"}\n";

fn scratch(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    scratch.fixture("order-6.12.c").fixture("order-6.1.c").fixture("filemap-6.12.c").fixture("lockdep.txt");
    scratch.write("run.jsonl", JOURNAL).write("lockdep.order", "accounts -> ledger\n");
    scratch
}

#[test]
fn findings_are_100_and_clean_is_0_by_either_name() {
    let scratch = scratch("codes");
    for words in ["lockdep audit", "audit"] {
        let found = scratch.run(&format!("{words} --order order-6.12.c --observed lockdep.txt"));
        assert_eq!((found.code, found.stderr.as_str()), (Some(100), ""));
        assert!(found.stdout.contains("\ncontradicted\n"), "{}", found.stdout);
        let clean = scratch.run(&format!("{words} --order lockdep.order --observed run.jsonl"));
        assert_eq!((clean.code, clean.stderr.as_str()), (Some(0), ""));
        assert!(
            clean.stdout.starts_with("lockdep.order: 1 rule: 1 confirmed, so 100% confirmed\n"),
            "{}",
            clean.stdout
        );
    }
}

#[test]
fn codes_and_grades_are_explained() {
    let scratch = scratch("explain");
    let listed = scratch.run("explain");
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    for name in ["circular-dependency", "held-freed", "gated"] {
        assert!(listed.stdout.contains(name), "{}", listed.stdout);
        assert!(scratch.run(&format!("explain {name}")).stdout.starts_with(name));
    }
    let unknown = scratch.run("explain deadlock");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(101), ""));
    assert!(unknown.stderr.starts_with("deadlock: is no code"), "{}", unknown.stderr);
}

#[test]
fn wrong_usage_is_2() {
    let scratch = scratch("usage");
    for arguments in ["", "audit", "audit --order order-6.1.c --format yaml", "report", "audit --order a --kernel new"]
    {
        assert_eq!(scratch.run(arguments).code, Some(2), "{arguments}");
    }
}

#[test]
fn every_format_is_printed() {
    let scratch = scratch("formats");
    let run =
        |format: &str| scratch.run(&format!("audit --order order-6.12.c --observed lockdep.txt --format {format}"));
    assert!(run("json").stdout.starts_with("{\n"));
    assert!(run("markdown").stdout.starts_with("## order-6.12.c\n"));
    assert!(run("html").stdout.starts_with("<!doctype html>"));
}

#[test]
fn bad_input_is_one_line_and_101() {
    let scratch = scratch("bad");
    let order = String::from_utf8(fixture("order-6.12.c")).unwrap();
    let dump = String::from_utf8(fixture("lockdep.txt")).unwrap();
    scratch
        .write("binary", b"\x7fELF\x02\x00\x00rest")
        .write("plain.c", "int main(void) { return 0; }\n")
        .write("conflict.c", order.replace(" *   mm->mmap_lock\n", "<<<<<<< HEAD\n *   mm->mmap_lock\n=======\n"))
        .write("cut.c", &order[..900])
        .write("half.jsonl", JOURNAL.replace("\"name\":\"ledger\"", "\"na"))
        .write("cut.txt", &dump[..300])
        .write("other-boot.txt", dump.replace("00000000000000a", "00000000000000f"))
        .write(
            "cut-chains.txt",
            "all lock chains:\nirq_context: 0\n[000000000000000a] a.b\n\nirq_context: 0\n[000000000000000a] a",
        )
        .write("twice.txt", format!("{dump}{dump}"))
        .write("bad.order", "accounts -> ledger\nwhat is this\n")
        .write("names", "doc x\n")
        .write("empty", "");
    let cases = [
        ("audit --order absent.c", "absent.c: no such file or directory"),
        ("audit --order binary", "binary:1: binary data: not a text with a lock order"),
        ("audit --order plain.c", "plain.c: no lock-ordering comment (a line \"Lock ordering:\" starts one)"),
        ("audit --order conflict.c", "conflict.c:7: a merge-conflict marker: resolve the conflict first"),
        ("audit --order cut.c", "cut.c:21: the lock-ordering comment does not end: the file is cut"),
        (
            "audit --order bad.order",
            "bad.order:2: not a declaration: known are `a -> b`, `scope`, `same-class` and `ignore`",
        ),
        ("audit --order order-6.1.c --observed binary", "binary:1: binary data: not an observation"),
        ("audit --order order-6.1.c --observed empty", "empty: empty"),
        ("audit --order order-6.1.c --observed half.jsonl", "half.jsonl:3: not a journal record: "),
        ("audit --order order-6.1.c --observed cut.txt", "cut.txt:8: the dump is cut: its last line does not end"),
        (
            "audit --order order-6.1.c --observed cut-chains.txt",
            "cut-chains.txt:6: the dump is cut: its last line does not end",
        ),
        (
            "audit --order order-6.1.c --observed twice.txt",
            "twice.txt:42: a second header: two dumps, perhaps of different boots, in one file",
        ),
        (
            "audit --order order-6.1.c --observed lockdep.txt --observed other-boot.txt",
            "other-boot.txt:2: `&mm->mmap_lock` has another key in lockdep.txt:2: the dumps are of different boots",
        ),
        ("audit --order order-6.1.c --aliases names", "names:1: `doc` before the first `lock`"),
        ("audit --kernel-tree .", ".: no mm/rmap.c: not a kernel tree"),
        ("audit --kernel-tree plain.c", "plain.c: not a tree, and not a tarball that can be read: "),
        ("report half.jsonl", "half.jsonl:3: not a journal record: "),
        ("report absent.jsonl", "absent.jsonl: no such file or directory"),
        ("report binary", "binary:1: not a lockdep journal: the first line is no header"),
    ];
    for (arguments, expected) in cases {
        let run = scratch.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(101), ""), "{arguments}: {}", run.stderr);
        assert!(run.stderr.starts_with(expected), "{arguments}: {}", run.stderr);
        assert_eq!(run.stderr.matches('\n').count(), 1, "{arguments}: {}", run.stderr);
    }
}

#[test]
fn a_journal_that_is_cut_at_its_end_loses_its_last_line_only() {
    let scratch = scratch("cut");
    scratch.write("cut.jsonl", format!("{JOURNAL}{{\"type\":\"depen"));
    let audit = scratch.run("audit --order lockdep.order --observed cut.jsonl");
    assert_eq!(audit.code, Some(0));
    assert!(audit.stdout.contains("note: cut.jsonl:5: the last line was cut and is left out\n"), "{}", audit.stdout);
    let report = scratch.run("report cut.jsonl");
    assert_eq!((report.code, report.stdout.as_str()), (Some(0), "no findings\n"));
    assert_eq!(report.stderr, "note: cut.jsonl:5: the last line was cut and is left out\n");
}

#[test]
fn lines_that_only_together_are_contradicted_are_a_finding() {
    let scratch = scratch("together");
    scratch.write("several.order", "ledger -> cache\ncache -> accounts\n");
    let run = scratch.run("audit --order several.order --observed run.jsonl");
    assert_eq!((run.code, run.stderr.as_str()), (Some(100), ""), "{}", run.stdout);
    assert!(run.stdout.contains("accounts -> ledger"), "{}", run.stdout);
}

#[test]
fn a_trace_of_events_is_an_observation() {
    let scratch = scratch("trace");
    let event = |class: &str, instance: u32| {
        format!("{{\"event\":\"acquire\",\"class\":\"{class}\",\"instance\":{instance}}}\n")
    };
    let header = "{\"event\":\"trace\",\"version\":1,\"program\":\"bank\"}\n";
    scratch.write("good.jsonl", format!("{header}{}{}", event("accounts", 1), event("ledger", 2)));
    scratch.write("bad.jsonl", format!("{header}{}{}", event("ledger", 2), event("accounts", 1)));
    let good = scratch.run("audit --order lockdep.order --observed good.jsonl");
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    assert!(good.stdout.starts_with("lockdep.order: 1 rule: 1 confirmed"), "{}", good.stdout);
    let bad = scratch.run("audit --order lockdep.order --observed bad.jsonl");
    assert_eq!(bad.code, Some(100));
    assert!(bad.stdout.contains("\n  accounts (line 1) before ledger (line 1)\n"), "{}", bad.stdout);
}

#[test]
fn a_project_is_searched_for_its_declarations() {
    let scratch = Scratch::new("project");
    scratch
        .write("src/bank.rs", "// Lock order: ledger -> accounts\n")
        .write("src/other.rs", "fn f() {}\n")
        .write("target/gen.rs", "// Lock order: x -> y\n")
        .write("run.jsonl", JOURNAL);
    let run = scratch.run("audit --order . --observed run.jsonl");
    assert_eq!(run.code, Some(100));
    assert!(run.stdout.starts_with("./src/bank.rs: 1 rule: 1 contradicted"), "{}", run.stdout);
    assert!(!run.stdout.contains("target"), "{}", run.stdout);
}

#[test]
fn a_patch_is_one_that_git_applies_and_leaves_nothing_to_change() {
    let scratch = Scratch::new("patch");
    scratch.fixture("lockdep.txt").write("linux/mm/rmap.c", fixture("order-6.12.c"));
    scratch.write("linux/mm/filemap.c", fixture("filemap-6.12.c"));
    scratch.write("linux/Makefile", "VERSION = 6\nPATCHLEVEL = 12\n");
    let patch = scratch.run("audit --kernel-tree linux --observed lockdep.txt --patch");
    assert_eq!(patch.code, Some(100));
    assert!(patch.stderr.contains("linux/mm/rmap.c: move `vma_start_write`\n"), "{}", patch.stderr);
    assert!(patch.stdout.starts_with("--- a/mm/rmap.c\n+++ b/mm/rmap.c\n@@ "), "{}", patch.stdout);
    scratch.write("linux/change.patch", &patch.stdout);
    let git = Command::new("git").args(["apply", "change.patch"]).current_dir(scratch.path().join("linux")).output();
    let Ok(git) = git else { return common::skipped("a_patch_is_one_that_git_applies: there is no git") };
    assert!(git.status.success(), "{}", String::from_utf8_lossy(&git.stderr));
    for file in ["rmap", "filemap"] {
        let again = scratch.run(&format!("audit --order linux/mm/{file}.c --observed lockdep.txt"));
        assert_eq!(again.code, Some(0), "{}", again.stdout);
    }
    let again = scratch.run("audit --kernel-tree linux --observed lockdep.txt --patch");
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""));
}

#[test]
fn a_tarball_is_a_kernel_tree() {
    let scratch = Scratch::new("tarball");
    scratch.fixture("lockdep.txt");
    let mut archive = tar::Builder::new(Vec::new());
    let files = [
        ("linux-6.6/Makefile", b"VERSION = 6\nPATCHLEVEL = 6\n".to_vec()),
        ("linux-6.6/mm/filemap.c", fixture("filemap-6.12.c")),
        ("linux-6.6/mm/rmap.c", fixture("order-6.12.c")),
    ];
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, bytes.as_slice()).unwrap();
    }
    let tar = archive.into_inner().unwrap();
    let mut xz = Vec::new();
    std::io::Read::read_to_end(&mut liblzma::read::XzEncoder::new(tar.as_slice(), 1), &mut xz).unwrap();
    let mut gz = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzEncoder::new(tar.as_slice(), flate2::Compression::fast()), &mut gz)
        .unwrap();
    scratch
        .write("linux.tar", &tar)
        .write("linux.tar.xz", &xz)
        .write("linux.tar.gz", &gz)
        .write("cut.tar.xz", &xz[..xz.len() / 2]);
    for name in ["linux.tar", "linux.tar.xz", "linux.tar.gz"] {
        let run = scratch.run(&format!("audit --kernel-tree {name} --observed lockdep.txt"));
        assert_eq!(run.code, Some(100), "{}", run.stderr);
        assert!(run.stdout.starts_with(&format!("{name}/mm/rmap.c: 172 rules: 2 contradicted")), "{}", run.stdout);
        assert!(run.stdout.contains("inode_lock (line 23)"), "the version is known: {}", run.stdout);
        assert!(!run.stdout.contains("tasklist_lock (line 29): memory"), "6.6 still has it");
    }
    let cut = scratch.run("audit --kernel-tree cut.tar.xz");
    assert_eq!(cut.code, Some(101));
    assert_eq!(cut.stderr.matches('\n').count(), 1, "{}", cut.stderr);
}

#[test]
fn a_journals_findings_are_reported_once_each() {
    let class = |name: &str| {
        format!("{{\"class\":\"{name}\",\"mode\":\"exclusive\",\"site\":{{\"file\":\"src/bank.rs\",\"line\":7}}}}")
    };
    let (a, b) = (class("accounts"), class("ledger"));
    let edge = |outer: &str, inner: &str| {
        format!(
            "{{\"outer\":{outer},\"inner\":{inner},\"kind\":{{\"hold\":\"exclusive\",\"wait\":\"normal\"}},\"thread\":\"main\"}}"
        )
    };
    let finding = format!(
        "{{\"type\":\"report\",\"code\":\"circular-dependency\",\"fingerprint\":\"00000000000000aa\",\"thread\":\"main\",\
         \"wanted\":{a},\"cycle\":[{},{}],\"held\":[{b}]}}\n",
        edge(&b, &a),
        edge(&a, &b)
    );
    let scratch = scratch("report");
    scratch.write("found.jsonl", format!("{JOURNAL}{finding}{finding}"));
    let text = scratch.run("report found.jsonl found.jsonl");
    assert_eq!((text.code, text.stderr.as_str()), (Some(100), ""));
    assert_eq!(text.stdout.matches("possible circular locking dependency detected").count(), 1, "{}", text.stdout);
    let json = scratch.run("report found.jsonl --format json");
    assert_eq!(json.code, Some(100));
    assert!(json.stdout.contains("\"code\": \"circular-dependency\""), "{}", json.stdout);
    let audit = scratch.run("audit --order lockdep.order --observed found.jsonl");
    assert_eq!(audit.code, Some(100));
    assert!(
        audit.stdout.contains("=> the new acquisition breaks the documented order: it is likely wrong"),
        "{}",
        audit.stdout
    );
}
