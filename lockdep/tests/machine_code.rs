//! Without the feature `enabled` checking costs nothing: the release machine code of functions that use lockdep's locks is
//! that of the same functions with parking_lot's.
//!
//! The package `machine_code` beside this file is compiled with either kind of lock. Compared is every function that the
//! compiler leaves in it, instruction by instruction; only the names of labels and the hashes in symbols may differ.

#![cfg(target_os = "linux")] // the assembly of ELF targets is what this reads

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    path::Path,
    process::Command,
    sync::LazyLock,
};

/// Instructions by function.
type Functions = BTreeMap<String, Vec<String>>;

const PARKING_LOT: &str = "parking_lot";
const OFF: &str = "lockdep";
const ON: &str = "enabled";

static WITH_PARKING_LOT: LazyLock<Functions> = LazyLock::new(|| functions(&assembly(PARKING_LOT)));

/// Functions that must be there, one a way to use a lock.
const REPRESENTATIVES: [&str; 8] =
    ["lock", "nested_lock", "crossed_release", "try_lock", "read", "write", "upgrade", "wait"];

#[test]
fn without_checking_the_machine_code_is_that_of_parking_lot() {
    let difference = difference(&WITH_PARKING_LOT, &functions(&assembly(OFF)));
    assert!(difference.is_empty(), "{difference}");
}

/// The comparison above can fail: with checking compiled in, no function that acquires is the same.
#[test]
fn with_checking_the_machine_code_differs() {
    let on = functions(&assembly(ON));
    for name in REPRESENTATIVES {
        let name = format!("lockdep_machine_code::{name}");
        let (theirs, ours) = (&WITH_PARKING_LOT[&name], &on[&name]);
        assert!(theirs.len() > 5, "{name} has code: {theirs:?}");
        assert_ne!(theirs, ours, "{name}");
    }
}

#[test]
fn names_of_labels_and_hashes_of_symbols_do_not_count_and_all_else_does() {
    let with = |text: &str| functions(text).remove("k::f").expect("the function is found");
    let first = "_ZN1k1f17h0123456789abcdefE:\n\t.cfi_startproc\n.LBB0_2:\n\tjne\t.LBB0_2\n\tcallq\t*_ZN1k1g17h00112233445566\
                 77E@GOTPCREL(%rip)\n.Lfunc_end0:\n";
    let renamed = first.replace("BB0_2", "BB7_9").replace("89abcdef", "98badcfe").replace("6677E", "7766E");
    assert_eq!(with(first), [".L0:", "jne .L0", "callq *k::g@GOTPCREL(%rip)"]);
    assert_eq!(with(first), with(&renamed));
    assert_ne!(with(first), with(&first.replace("jne", "je")));
    assert_ne!(with(first), with(&first.replace("1k1g17", "1k1h17")));
}

/// Compiles the package as release builds are and returns its assembly.
fn assembly(locks: &str) -> String {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // A name of its own, so that cargo does not take the work for done already.
    let path = scratch.join(format!("machine-code-{locks}-{}.s", std::process::id()));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--quiet", "--package", "lockdep-machine-code", "--lib", "--release"]);
    cargo.arg("--target-dir").arg(scratch.parent().expect("the scratch directory is in the target directory"));
    if locks != PARKING_LOT {
        cargo.args(["--features", locks]);
    }
    cargo.args(["--", "-Ccodegen-units=1", &format!("--emit=asm={}", path.display())]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&path).expect("the compiler has written the assembly");
    std::fs::remove_file(&path).expect("the assembly is ours to remove");
    text
}

/// Returns the functions of an assembly, normalised.
fn functions(assembly: &str) -> Functions {
    let mut functions: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut current = None;
    for line in assembly.lines() {
        match line.strip_suffix(':') {
            Some(label) if !label.starts_with(['.', '"', '\t']) => current = Some(symbol(label)),
            _ => {}
        }
        // Directives describe sections, unwinding and debug information.
        let is_code = line.starts_with('\t') && !line.starts_with("\t.");
        if let Some(name) = current.as_ref().filter(|_| is_code || line.starts_with(".L")) {
            functions.entry(name.clone()).or_default().push(line);
        }
    }
    // What has no instructions is data.
    functions.retain(|_, lines| lines.iter().any(|line| line.starts_with('\t')));
    functions.into_iter().map(|(name, lines)| (name, normalised(&lines))).collect()
}

/// Numbers the labels of a function in the order in which instructions mention them, and drops those that none mentions.
fn normalised(lines: &[&str]) -> Vec<String> {
    let mut labels: HashMap<&str, usize> = HashMap::new();
    for word in lines.iter().filter(|line| line.starts_with('\t')).flat_map(|line| words(line)) {
        let next = labels.len();
        if word.starts_with(".L") {
            labels.entry(word).or_insert(next);
        }
    }
    let mut code = Vec::new();
    for line in lines {
        match line.strip_suffix(':') {
            Some(label) => code.extend(labels.get(label).map(|number| format!(".L{number}:"))),
            None => code.push(words(line).map(|word| renamed(word, &labels)).collect::<String>().trim().to_owned()),
        }
    }
    code
}

fn renamed(word: &str, labels: &HashMap<&str, usize>) -> String {
    match labels.get(word) {
        Some(number) => format!(".L{number}"),
        None if word == "\t" => " ".to_owned(),
        None => symbol(word),
    }
}

/// Splits a line into names and what is between them.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    line.split_inclusive(move |c| !is_name(c)).flat_map(move |piece| {
        let end = piece.trim_end_matches(|c| !is_name(c)).len();
        [&piece[..end], &piece[end..]]
    })
}

/// Returns the name of a symbol without its hash.
fn symbol(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Returns what differs, both sides in full; nothing if nothing does.
fn difference(theirs: &Functions, ours: &Functions) -> String {
    let mut text = String::new();
    for name in theirs.keys().chain(ours.keys().filter(|name| !theirs.contains_key(*name))) {
        let (theirs, ours) = (theirs.get(name), ours.get(name));
        if theirs != ours {
            let show = |code: Option<&Vec<String>>| code.map_or("(absent)".to_owned(), |code| code.join("\n    "));
            let _ = writeln!(text, "{name}\n  parking_lot:\n    {}\n  lockdep:\n    {}", show(theirs), show(ours));
        }
    }
    text
}
