//! What the tests of this crate share: fixtures, and real kernel data where a checkout has it.

#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use lockdep_audit::{Aliases, Audit, Document, Observation, audit, observe};

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn document(name: &str) -> Document {
    Document::parse(name, &fixture(name)).unwrap()
}

pub(crate) fn observed(names: &[&str]) -> Vec<Observation> {
    observe::combine(names.iter().map(|name| Observation::parse(name, &fixture(name)).unwrap()).collect()).unwrap()
}

pub(crate) fn audited(document_name: &str, observations: &[Observation]) -> Audit {
    audit(&[document(document_name)], observations, &Aliases::builtin())
}

/// The directory of real kernel data, or nothing and a loud line.
pub(crate) fn kernel_data(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kernel");
    let root = std::env::var_os("LOCKDEP_KERNEL_DATA").map_or(beside, PathBuf::from);
    let data = root.join("6.12");
    if data.join("lockdep.txt").is_file() {
        return Some(data);
    }
    skipped(&format!("{test}: no kernel data in {} (set LOCKDEP_KERNEL_DATA)", root.display()));
    None
}

/// A document as an outline: two blanks a level, `@` and the scope behind a root.
pub(crate) fn outline(document: &Document) -> String {
    let mut out = String::new();
    for (number, group) in document.groups.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for (at, entry) in group.entries.iter().enumerate() {
            let depth = group.ancestors(at).count();
            let scope = group.scope.as_deref().filter(|_| depth == 0).map(|scope| format!(" @{scope}"));
            out.push_str(&format!("{}{}{}\n", "  ".repeat(depth), entry.label(), scope.unwrap_or_default()));
        }
    }
    out
}

/// Says that a test did not run, past the test harness, which would keep it to itself.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}
