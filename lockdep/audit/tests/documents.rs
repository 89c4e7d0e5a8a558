//! The grammar, on fixtures in the same form as the comments of several kernel versions, and on the real ones.

mod common;

use common::{document, fixture, kernel_data, outline};
use lockdep_audit::{
    Aliases, Document, Observation, audit,
    document::Style,
    observe::{Source, Witness},
};

/// The hierarchy of 6.12: facts of the kernel, which our fixture has in its own words.
const RMAP_6_12: &str = include_str!("data/rmap-6.12.outline");
const FILEMAP_6_12: &str = include_str!("data/filemap-6.12.outline");

#[test]
fn the_fixture_of_6_12_has_the_hierarchy_of_6_12() {
    let document = document("order-6.12.c");
    assert_eq!(outline(&document), RMAP_6_12);
    assert_eq!(document.notes, []);
    assert_eq!(document.style, Style::Indented);
    let (_, first) = document.entries().next().unwrap();
    assert_eq!(first.site.to_string(), "order-6.12.c:6");
    let (_, joined) = document.entries().find(|(_, entry)| entry.last_line > entry.site.line).unwrap();
    assert_eq!((joined.site.line, joined.last_line), (24, 26), "an annotation of three lines is one entry");
}

#[test]
fn the_real_comments_of_6_12_have_it_too() {
    let Some(data) = kernel_data("the_real_comments_of_6_12_have_it_too") else { return };
    for (file, expected) in [("rmap_comment.txt", RMAP_6_12), ("filemap_comment.txt", FILEMAP_6_12)] {
        let document = Document::parse(file, &std::fs::read(data.join(file)).unwrap()).unwrap();
        assert_eq!(outline(&document), expected, "{file}");
        assert_eq!(document.notes, [], "{file}");
    }
}

#[test]
fn the_version_without_the_vma_lock_differs_by_that_line() {
    let without: Vec<_> = RMAP_6_12.lines().map(str::trim).filter(|line| *line != "vma_start_write").collect();
    let older = outline(&document("order-6.1.c")).replace("page->flags PG_locked", "folio_lock");
    assert_eq!(older.lines().map(str::trim).collect::<Vec<_>>(), without);
}

#[test]
fn stars_braces_arrows_and_odd_columns_of_5_10() {
    let document = document("order-5.10.txt");
    assert_eq!(document.notes, []);
    let outline = outline(&document);
    assert!(outline.contains("\n    page->flags PG_locked\n      hugetlbfs_i_mmap_rwsem_key\n"), "{outline}");
    assert!(outline.contains("mem_cgroup_{begin,end}_page_stat\n"), "{outline}");
    assert!(outline.contains("\nanon_vma->rwsem, mapping->i_mutex @memory_failure\n  tasklist_lock\n"), "{outline}");
    assert!(
        outline.ends_with("\nmapping->i_mmap_rwsem @hugetlbfs\n  hugetlb_fault_mutex\n    page->flags PG_locked\n")
    );
    let (_, lock_page) = document.entries().find(|(_, entry)| entry.label().ends_with("PG_locked")).unwrap();
    assert_eq!(lock_page.annotation.as_deref(), Some("lock_page; see huegtlbfs below"));
}

#[test]
fn arrows_and_groups_of_filemap() {
    let document = document("filemap-6.12.c");
    assert_eq!(document.style, Style::Arrows);
    assert_eq!(document.groups.len(), 8);
    assert_eq!(document.notes, []);
    assert_eq!(document.groups[7].scope.as_deref(), None, "only a root's annotation names the scope");
    assert_eq!(document.groups[6].entries[1].locks, [["page_table_lock", "pte_lock"]]);
}

#[test]
fn restructured_text_has_both_comments() {
    let document = document("process.rst");
    let expected = "inode->i_rwsem\n  mm->mmap_lock\n    mapping->i_mmap_rwsem\n      anon_vma->rwsem\n\ni_mmap_rwsem\n  private_lock\n";
    assert_eq!(outline(&document), expected);
}

#[test]
fn a_document_of_5_10_contradicts_itself_in_the_hugetlb_part() {
    let audit = audit(&[document("order-5.10.txt")], &[], &Aliases::builtin());
    let conflicts = &audit.documents[0].conflicts;
    let is_fault_mutex = |name: &str| name == "hugetlb_fault_mutex";
    let found =
        conflicts.iter().find(|c| is_fault_mutex(&c.after) && c.before == "folio_lock").expect("the fault mutex");
    assert_eq!((found.first.after.site.line, found.second.after.site.line), (9, 30));
    assert!(!found.is_certain, "the scopes differ, so both may be true");
    assert!(!audit.has_findings());
}

#[test]
fn stale_names_are_told_where_the_new_ones_are_seen() {
    let mut seen = Observation::new("dump", Source::ProcLockdep);
    let mmap = seen.add_class("&mm->mmap_lock");
    let inode = seen.add_class("&sb->s_type->i_mutex_key#8");
    seen.add_dependency(inode, mmap, Witness::default());
    let audit = audit(&[document("order-5.10.txt")], &[seen], &Aliases::builtin());
    let stale: Vec<_> = audit.documents[0].stale.iter().map(|stale| (stale.name.as_str(), stale.site.line)).collect();
    assert_eq!(stale, [("inode->i_mutex", 4)], "what was not seen is not called stale");
}

#[test]
fn what_a_version_does_not_have_is_told_with_the_version_only() {
    let mut document = document("order-6.12.c");
    let stale = |document: &Document| {
        let audit = audit(std::slice::from_ref(document), &[], &Aliases::builtin());
        audit.documents[0].stale.iter().map(|stale| stale.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(stale(&document), Vec::<String>::new());
    document.version = Some((6, 6));
    assert_eq!(stale(&document), ["inode_lock"]);
    document.version = Some((6, 12));
    assert_eq!(stale(&document), ["inode_lock", "tasklist_lock"]);
}

#[test]
fn a_conflict_marker_anywhere_is_refused() {
    let mut text = fixture("order-6.12.c");
    text.extend_from_slice(b"\n<<<<<<< HEAD\n");
    let error = Document::parse("f.c", &text).unwrap_err();
    assert!(error.to_string().ends_with(": a merge-conflict marker: resolve the conflict first"));
    assert!(error.line > 40);
}
