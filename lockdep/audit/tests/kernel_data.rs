//! The audit of Linux 6.12 by what a running kernel showed: its known errors are found, each with its evidence.

mod common;

use std::path::Path;

use common::kernel_data;
use lockdep_audit::{Aliases, Audit, Document, Observation, Verdict, audit, compare::EdgeVerdict, observe, patch};

fn read(data: &Path, files: &[&str]) -> Vec<Observation> {
    let parse = |file: &&str| Observation::parse(file, &std::fs::read(data.join(file)).unwrap()).unwrap();
    observe::combine(files.iter().map(parse).collect()).unwrap()
}

fn documents(data: &Path) -> Vec<Document> {
    let parse = |file: &str| Document::parse(file, &std::fs::read(data.join(file)).unwrap()).unwrap();
    let mut documents = vec![parse("rmap_comment.txt"), parse("filemap_comment.txt")];
    documents.iter_mut().for_each(|document| document.version = Some((6, 12)));
    documents
}

fn whole(data: &Path) -> Audit {
    audit(&documents(data), &read(data, &["lockdep.txt", "lockdep_chains.txt"]), &Aliases::builtin())
}

#[test]
fn the_place_of_the_vma_lock_is_contradicted() {
    let Some(data) = kernel_data("the_place_of_the_vma_lock_is_contradicted") else { return };
    let audit = whole(&data);
    let rmap = &audit.documents[0];
    let contradicted: Vec<_> =
        rmap.with_verdict(Verdict::Contradicted).map(|a| (a.before.as_str(), a.after.as_str())).collect();
    let expected = [("hugetlbfs_i_mmap_rwsem_key", "vma->vm_lock"), ("mapping->invalidate_lock", "vma->vm_lock")];
    assert_eq!(contradicted, expected, "these and no others");
    let several: Vec<_> = rmap.against_several().map(|d| (d.outer.as_str(), d.inner.as_str())).collect();
    let hugetlb = [("vma->vm_lock", "hugetlb vma_lock"), ("vma->vm_lock", "hugetlb_fault_mutex")];
    assert_eq!(several, hugetlb, "the hugetlb part and the main part together put the VMA lock innermost");
    let direct = rmap.rule("mapping->invalidate_lock", "vma_start_write").unwrap().evidence_against.as_ref().unwrap();
    assert!(direct.is_direct());
    assert_eq!(rmap.rule("folio_lock", "vma_start_write").unwrap().verdict, Verdict::Invisible);
}

#[test]
fn what_the_comments_lack_is_named() {
    let Some(data) = kernel_data("what_the_comments_lack_is_named") else { return };
    let audit = whole(&data);
    let missing = |at: usize| audit.documents[at].missing.iter().map(|m| m.lock.as_str()).collect::<Vec<_>>();
    assert_eq!(missing(0), ["fs_reclaim", "mmu_notifier_invalidate_range_start"]);
    assert_eq!(missing(1), ["vma->vm_lock", "fs_reclaim", "mmu_notifier_invalidate_range_start"]);
    let unnamed = |at: usize| audit.documents[at].unnamed.iter().map(|u| u.lock.as_str()).collect::<Vec<_>>();
    for lock in ["hugetlbfs_i_mmap_rwsem_key", "hugetlb_fault_mutex", "hugetlb vma_lock"] {
        assert!(unnamed(1).contains(&lock) && !unnamed(0).contains(&lock), "{lock}: only filemap.c has no hugetlb");
    }
    let nestings: Vec<_> = audit.documents[0].nestings.iter().map(|nesting| nesting.lock.as_str()).collect();
    assert!(nestings.contains(&"mm->mmap_lock") && nestings.contains(&"pte_lock"), "{nestings:?}");
}

#[test]
fn stale_conflicting_and_misplaced_lines_are_told() {
    let Some(data) = kernel_data("stale_conflicting_and_misplaced_lines_are_told") else { return };
    let audit = whole(&data);
    let [rmap, filemap] = audit.documents.as_slice() else { panic!("two documents") };
    let stale = |at: &lockdep_audit::DocumentAudit| at.stale.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    assert_eq!(stale(rmap), ["inode_lock", "tasklist_lock"]);
    assert_eq!(stale(filemap), ["__free_pte", "exclusive_swap_page", "check_pte_range"]);
    let within: Vec<_> = rmap.conflicts.iter().map(|c| (c.before.as_str(), c.after.as_str(), c.is_certain)).collect();
    assert_eq!(within, [("folio_lock", "hugetlbfs_i_mmap_rwsem_key", false)]);
    let between: Vec<_> = audit.conflicts.iter().map(|c| (c.before.as_str(), c.after.as_str())).collect();
    assert_eq!(between, [("swap_lock", "mapping->private_lock")]);
    let under_swap = rmap.rule("swap_lock", "mapping->private_lock").unwrap();
    assert_eq!(under_swap.instead.as_ref().map(|(outer, _)| outer.as_str()), Some("pte_lock"));
    let i_rwsem = rmap.rule("inode->i_rwsem", "mm->mmap_lock").unwrap();
    assert_eq!(i_rwsem.verdict, Verdict::Ambiguous, "hugetlbfs takes it under the mmap lock, the others above");
}

#[test]
fn chains_show_what_the_dump_hides_and_trylocks_are_no_inversions() {
    let Some(data) = kernel_data("chains_show_what_the_dump_hides") else { return };
    let alone = audit(&documents(&data), &read(&data, &["lockdep.txt"]), &Aliases::builtin());
    let both = whole(&data);
    let verdict =
        |audit: &Audit| audit.documents[0].rule("mapping->private_lock", "folio_lock_memcg move_lock").unwrap().verdict;
    assert_eq!((verdict(&alone), verdict(&both)), (Verdict::Unobserved, Verdict::Confirmed));
    let mmap = both.documents[0].rule("mm->mmap_lock", "vma_start_write").unwrap();
    assert_eq!(mmap.verdict, Verdict::Confirmed);
    assert!(mmap.together_reversed.as_ref().is_some_and(|together| together.by_trylock));
}

#[test]
fn the_patched_comments_are_clean() {
    let Some(data) = kernel_data("the_patched_comments_are_clean") else { return };
    let seen = read(&data, &["lockdep.txt", "lockdep_chains.txt"]);
    for file in ["rmap_comment.txt", "filemap_comment.txt"] {
        let text = std::fs::read_to_string(data.join(file)).unwrap();
        let patch = patch::propose(file, &text, &seen, &Aliases::builtin()).unwrap();
        assert_eq!(patch.left, Vec::<String>::new());
        let patched = Document::parse(file, patch.text.as_bytes()).unwrap();
        assert!(!audit(&[patched], &seen, &Aliases::builtin()).has_findings(), "{file}");
    }
}

#[test]
fn every_report_in_the_logs_is_read_and_judged() {
    let Some(data) = kernel_data("every_report_in_the_logs_is_read_and_judged") else { return };
    let judged = |file: &str| {
        let seen = read(&data, &[&format!("splats/{file}.txt")]);
        audit(&documents(&data)[..1], &seen, &Aliases::builtin()).documents.remove(0).findings
    };
    for entry in std::fs::read_dir(data.join("splats")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!judged(&name).is_empty(), "{name}");
    }
    let circle = &judged("mm_vma_then_mmap")[0];
    let verdicts: Vec<_> = circle.edges.iter().map(|edge| edge.verdict).collect();
    assert_eq!(verdicts, [EdgeVerdict::Breaks, EdgeVerdict::Follows]);
    assert_eq!(circle.conclusion, "the new acquisition breaks the documented order: it is likely wrong");
    let five = &judged("cycle5_mutex")[0];
    assert_eq!((five.edges.len(), five.conclusion.as_str()), (5, "the document does not say"));
    assert_eq!(judged("mm_lru_then_ptl")[0].edges[0].verdict, EdgeVerdict::Breaks);
}

#[test]
fn the_recording_agrees_with_the_dump() {
    let Some(data) = kernel_data("the_recording_agrees_with_the_dump") else { return };
    let seen = read(&data, &["trace_lock.txt"]);
    let audit = audit(&documents(&data), &seen, &Aliases::builtin());
    let rmap = &audit.documents[0];
    assert_eq!(rmap.rule("mapping->invalidate_lock", "vma_start_write").unwrap().verdict, Verdict::Contradicted);
    assert_eq!(
        rmap.rule("mm->mmap_lock", "vma_start_write").unwrap().verdict,
        Verdict::Confirmed,
        "a trylock below is none"
    );
    assert_eq!(
        rmap.rule("mm->mmap_lock", "i_pages lock").unwrap().verdict,
        Verdict::Ambiguous,
        "many locks have that name"
    );
    assert_eq!(audit.reported, 0, "a circle of names alone is not a finding");
}
