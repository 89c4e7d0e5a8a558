//! The files below `reports/audit` are what the command prints today.
//!
//! `LOCKDEP_UPDATE=1 cargo test -p cargo-lockdep --test gallery` writes them anew.

mod common;

use std::path::Path;

use common::{Scratch, kernel_data};

/// File, arguments.
const PAGES: [(&str, &str); 8] = [
    ("6.12/audit.txt", "--order rmap_comment.txt --order filemap_comment.txt"),
    ("6.12/audit.md", "--order rmap_comment.txt --order filemap_comment.txt --format markdown"),
    ("6.12/audit.html", "--order rmap_comment.txt --order filemap_comment.txt --format html"),
    ("6.12/order.patch", "--order order-6.12.c --patch"),
    ("6.12/report.txt", "--order rmap_comment.txt --observed splats/mm_imap_then_vma.txt"),
    ("6.1/audit.txt", "--order order-6.1.c"),
    ("6.1/audit.html", "--order order-6.1.c --format html"),
    ("6.1/order.patch", "--order order-6.1.c --patch"),
];
const DUMPS: &str = "--kernel 6.12 --observed lockdep.txt --observed lockdep_chains.txt";
const README: &str = include_str!("gallery/README.md");

#[test]
fn the_gallery_is_what_the_command_prints() {
    let Some(data) = kernel_data("the_gallery_is_what_the_command_prints") else { return };
    let scratch = Scratch::new("gallery");
    let files =
        ["rmap_comment.txt", "filemap_comment.txt", "lockdep.txt", "lockdep_chains.txt", "splats/mm_imap_then_vma.txt"];
    for file in files {
        scratch.write(file, std::fs::read(data.join(file)).unwrap());
    }
    scratch.fixture("order-6.12.c").fixture("order-6.1.c");
    let mut wrong = Vec::new();
    for (file, arguments) in PAGES {
        let run = scratch.run(&format!("audit {arguments} {DUMPS}"));
        assert_eq!(run.code, Some(100), "{file}: {}", run.stderr);
        check(file, &run.stdout, &mut wrong);
    }
    check("README.md", &readme(&scratch), &mut wrong);
    assert!(wrong.is_empty(), "not what the command prints (LOCKDEP_UPDATE=1 writes them anew): {wrong:?}");
}

/// Compares a file of the gallery, or writes it.
fn check(file: &str, expected: &str, wrong: &mut Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports/audit").join(file);
    if std::env::var_os("LOCKDEP_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    } else if std::fs::read_to_string(&path).ok().as_deref() != Some(expected) {
        wrong.push(file.to_owned());
    }
}

/// The README with the parts of the audits in place of `{part version}`.
fn readme(scratch: &Scratch) -> String {
    let markdown = |order: &str| scratch.run(&format!("audit {order} --format markdown {DUMPS}")).stdout;
    let pages = [
        ("6.12", markdown("--order rmap_comment.txt --order filemap_comment.txt")),
        ("6.1", markdown("--order order-6.1.c")),
    ];
    let mut readme = README.to_owned();
    for (version, page) in &pages {
        let summary = page.split("### ").next().unwrap().trim();
        let parts = [
            ("summary", summary.split_once("\n\n").map_or("", |(_, table)| table)),
            ("contradicted", section(page, "### Contradicted")),
            ("missing", section(page, "### Missing")),
            ("stale", section(page, "### Stale names")),
            ("conflicts", section(page, "## Documents against each other")),
        ];
        for (name, text) in parts {
            readme = readme.replace(&format!("{{{name} {version}}}"), text);
        }
    }
    assert!(!readme.contains(" 6.12}") && !readme.contains(" 6.1}"), "every part is known");
    readme
}

/// The text between a heading and the next.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("{heading}\n")).map_or(page.len(), |at| at + heading.len());
    let rest = &page[start..];
    let end = rest.find("\n#").or_else(|| rest.find("\n**")).unwrap_or(rest.len());
    rest[..end].trim()
}
