//! Declared orders: `lockdep.order` files, and chains in one-line comments.
//!
//! ```text
//! # what is left of -> is acquired before what is right of it
//! accounts -> audit_log or ledger -> disk
//! cache(read) -> disk                 only where the cache is held by a reader (or `write`)
//! disk -> accounts  (trylock only)    allowed, but must not wait
//! scope import                        what follows applies there; `scope *` ends it
//! same-class account by address       several accounts at once: by address, by key, by nesting
//! ignore src/bin/*                    classes that the order has nothing to say about
//! ```

use super::{DeclaredMode, Document, Entry, Group, SameClass, Style, line};
use crate::InputError;

/// Reads a `lockdep.order` file.
pub(super) fn parse(name: &str, lines: &[(usize, &str)]) -> Result<Document, InputError> {
    let mut document = Document::new(name, Style::Declared);
    let mut scope: Option<String> = None;
    for &(number, text) in lines {
        let text = text.split('#').next().unwrap_or("").trim();
        let error = |reason: &str| InputError::at(name, number, reason);
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match word {
            "" => {}
            _ if text.contains(" -> ") => {
                chain(&mut document, number, text)?;
                document.groups.last_mut().expect("a chain makes a group").scope.clone_from(&scope);
            }
            "scope" if rest.trim() == "*" => scope = None,
            "scope" if !rest.trim().is_empty() => scope = Some(rest.trim().to_owned()),
            "ignore" if !rest.trim().is_empty() => document.ignored.push(rest.trim().to_owned()),
            "same-class" => {
                let (lock, by) = rest.split_once(" by ").ok_or_else(|| error("`same-class` needs `LOCK by WHAT`"))?;
                if !["address", "key", "nesting"].contains(&by.trim()) {
                    return Err(error("`same-class ... by`: known are `address`, `key` and `nesting`"));
                }
                let site = document.site(number);
                document.same_class.push(SameClass { name: lock.trim().to_owned(), by: by.trim().to_owned(), site });
            }
            _ => return Err(error("not a declaration: known are `a -> b`, `scope`, `same-class` and `ignore`")),
        }
    }
    match document.groups.is_empty() {
        true => Err(InputError::whole(name, "no lock order: a line `a -> b` declares one")),
        false => Ok(document),
    }
}

/// Adds a chain `a -> b or c -> d  (trylock only)`.
pub(super) fn chain(document: &mut Document, number: usize, text: &str) -> Result<(), InputError> {
    let (chain, remark) = match text.split_once("  (").or_else(|| text.rsplit_once(" (")) {
        Some((chain, remark)) if remark.trim_end().ends_with(')') => {
            (chain, Some(remark.trim_end().trim_end_matches(')')))
        }
        _ => (text, None),
    };
    let mut group = Group { is_trylock_only: remark == Some("trylock only"), ..Group::default() };
    for (depth, part) in chain.split(" -> ").enumerate() {
        let (part, mode) = mode(part.trim().trim_end_matches("*/").trim());
        let locks = line::locks(part).filter(|locks| locks.iter().flatten().all(|name| !name.is_empty()));
        let locks =
            locks.ok_or_else(|| InputError::at(&document.name, number, format!("not a lock's name: `{part}`")))?;
        let site = document.site(number);
        let last_line = site.line;
        let (annotation, parent) = (remark.map(str::to_owned), depth.checked_sub(1));
        group.entries.push(Entry { locks, annotation, mode, arrow: false, indent: 2 * depth, parent, site, last_line });
    }
    document.groups.push(group);
    Ok(())
}

fn mode(text: &str) -> (&str, Option<DeclaredMode>) {
    let words = [("(read)", DeclaredMode::Read), ("(write)", DeclaredMode::Write)];
    let found = words.into_iter().find_map(|(word, mode)| Some((text.strip_suffix(word)?.trim(), Some(mode))));
    found.unwrap_or((text, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Document, String> {
        Document::parse("lockdep.order", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_sort_of_line() {
        let text = "# order\naccounts -> log or ledger -> disk  # why\nscope import\ncache(read) -> disk\nscope *\n\
                    disk -> accounts  (trylock only)\nsame-class account by address\nignore src/bin/*\n";
        let document = parsed(text).unwrap();
        let rules: Vec<_> = document.rules().into_iter().map(|r| (r.before.name, r.after.name, r.scope)).collect();
        let rule = |a: &str, b: &str, scope: Option<&str>| (a.to_owned(), b.to_owned(), scope.map(str::to_owned));
        let expected = [
            rule("accounts", "log", None),
            rule("accounts", "ledger", None),
            rule("log", "disk", None),
            rule("ledger", "disk", None),
            rule("accounts", "disk", None),
            rule("cache", "disk", Some("import")),
        ];
        assert_eq!(rules, expected);
        assert_eq!(document.groups[1].entries[0].mode, Some(DeclaredMode::Read));
        assert_eq!(document.trylock_rules().len(), 1);
        assert_eq!(document.same_class[0].by, "address");
        assert!(document.ignores("src/bin/tool.rs:3:9") && !document.ignores("src/lib.rs:3:9"));
        assert!(document.is_whole());
    }

    #[test]
    fn chains_in_sources_are_documents_that_are_not_whole() {
        let document = Document::parse("lib.rs", b"// Lock order: a->x -> b -> c (why)\nfn f() {}\n").unwrap();
        assert_eq!(document.rules().len(), 3);
        assert_eq!(document.groups[0].entries[0].label(), "a->x");
        assert!(!document.is_whole());
    }

    #[test]
    fn a_declaration_in_a_source_that_is_not_understood_is_a_note() {
        let text = "// Lock order: a -> b\n// Lock order: see the book. -> chapter 2 of it.\n";
        let document = Document::parse("lib.rs", text.as_bytes()).unwrap();
        assert_eq!((document.groups.len(), document.notes.len()), (1, 1));
        let alone = text.lines().nth(1).unwrap();
        let error = Document::parse("lib.rs", alone.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "lib.rs:1: not understood: not a lock's name: `see the book.`");
    }

    #[test]
    fn bad_lines_are_named() {
        assert_eq!(
            parsed("a\n").unwrap_err(),
            "lockdep.order:1: not a declaration: known are `a -> b`, `scope`, `same-class` and `ignore`"
        );
        assert_eq!(
            parsed("\na -> some words here. -> b\n").unwrap_err(),
            "lockdep.order:2: not a lock's name: `some words here.`"
        );
        assert_eq!(parsed("# nothing\n").unwrap_err(), "lockdep.order: no lock order: a line `a -> b` declares one");
        assert_eq!(
            parsed("same-class a by luck\n").unwrap_err(),
            "lockdep.order:1: `same-class ... by`: known are `address`, `key` and `nesting`"
        );
    }
}
