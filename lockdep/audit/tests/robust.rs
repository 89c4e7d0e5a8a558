//! No input makes a parser panic: arbitrary bytes, and fixtures with pieces cut out, doubled and changed.

mod common;

use common::fixture;
use lockdep_audit::{Aliases, Document, Observation, audit, observe, patch, render};
use proptest::prelude::*;

const FILES: [&str; 8] = [
    "order-6.12.c",
    "order-6.1.c",
    "order-5.10.txt",
    "filemap-6.12.c",
    "process.rst",
    "lockdep.txt",
    "dmesg.txt",
    "trace.txt",
];

/// A fixture with a few changes at places anywhere.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8, 0..40usize);
    (0..FILES.len(), prop::collection::vec(change, 0..6)).prop_map(|(file, changes)| {
        let mut bytes = fixture(FILES[file]);
        for (place, byte, what, length) in changes {
            let at = place.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + length).min(bytes.len());
            match what {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.extend_from_within(at..end),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

fn try_all(bytes: &[u8]) {
    let document = Document::parse("f.c", bytes);
    let order = Document::parse("lockdep.order", bytes);
    let seen = Observation::parse("o", bytes).and_then(|seen| observe::combine(vec![seen]));
    for error in [document.as_ref().err(), order.as_ref().err(), seen.as_ref().err()].into_iter().flatten() {
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
    let seen = seen.unwrap_or_default();
    for document in [document, order].into_iter().flatten() {
        let audit = audit(std::slice::from_ref(&document), &seen, &Aliases::builtin());
        let _ = (render::text(&audit), render::markdown(&audit), render::html(&audit));
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = patch::propose("f.c", text, &seen, &Aliases::builtin());
        }
    }
    let _ = Aliases::builtin().extend("a", &String::from_utf8_lossy(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        try_all(&bytes);
    }

    #[test]
    fn arbitrary_lines_behind_a_heading(lines in prop::collection::vec("[ \\*]{0,9}[a-z>()*/,{}-]{0,12}( or | ->|, )?[a-z_()]{0,9}", 0..12)) {
        try_all(format!("Lock ordering:\n{}", lines.join("\n")).as_bytes());
        try_all(lines.join(" -> ").as_bytes());
    }

    #[test]
    fn mutated_fixtures(bytes in mutated()) {
        try_all(&bytes);
    }
}
