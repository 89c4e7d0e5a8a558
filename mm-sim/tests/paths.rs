//! The operations against the documented code paths of the kernel.

use mm_sim::{
    MmapMark, Protocol,
    mutate::{self, Effort},
    paths::{self, Query, Tables, Verdict},
};

#[test]
fn every_documented_path_is_taken_or_excepted_and_every_exception_is_needed() {
    let table = paths::check(&Tables::builtin(), &Query { more_seeds: 3, ..Query::default() });
    let text = table.to_string();
    assert!(table.is_complete(), "{}", text.split("\n## excepted").next().unwrap());
    let covered = table.count(|verdict| matches!(verdict, Verdict::Covered { .. }));
    assert!(covered * 10 >= table.rows.len() * 7, "only {covered} of {} are covered", table.rows.len());
}

/// A kernel that takes the locks of `mmap` in another order: its path is missing, at the lock that comes too late.
#[test]
fn a_path_in_another_order_is_missing() {
    let tables = Tables::builtin();
    let under_imap = Protocol { mmap_mark: MmapMark::UnderImap, ..Protocol::V6_6 };
    let query = Query { path: Some("mmap_file"), ..Query::default() };
    let sound = paths::check(&tables, &Query { protocol: Some(Protocol::V6_6), ..query });
    assert!(sound.is_complete(), "{sound}");
    let table = paths::check(&tables, &Query { protocol: Some(under_imap), ..query });
    let [row] = table.rows.as_slice() else { panic!("{table}") };
    let Verdict::Missing { step, followed, nearest } = &row.verdict else { panic!("{table}") };
    assert_eq!((step.as_str(), *followed), ("i_mmap_rwsem:write", 2));
    let nearest = nearest.as_ref().unwrap();
    let texts: Vec<_> = nearest.trace.iter().map(|line| (line.text.as_str(), line.follows)).collect();
    assert_eq!(nearest.seen.operation, "mmap");
    assert_eq!(texts[0], ("mmap_lock:write", true));
}

/// One acquisition swapped with the next one.
#[test]
fn a_mutant_of_an_operation_is_missing_too() {
    let mutants = mutate::mutants(Protocol::V6_12, Effort::Quick).unwrap();
    let name = "swap mm->mmap_lock in op/mmap.rs mmap";
    let swapped = mutants.iter().find(|mutant| mutant.to_string() == name);
    let query = Query { protocol: Some(Protocol::V6_12), path: Some("mmap_file"), ..Query::default() };
    let table = paths::check(&Tables::builtin(), &Query { mutant: Some(swapped.unwrap()), ..query });
    assert!(matches!(table.rows[0].verdict, Verdict::Missing { .. }), "{table}");
}

/// Whom a fork tells of the child, and when, differs between kernels: once all is copied from 6.12 on, and first of all before.
#[test]
fn a_fork_enters_the_lists_when_its_kernel_does() {
    let steps = |early: &str, late: &str| {
        let copies = "anon_vma:write anon_vma:release ptl:exclusive ptl:exclusive!nested=1 ptl:release ptl:release";
        format!("fork @ 6.12\n mmap_lock:write mmap_lock:write!nested=1 {early} {copies} {late} mmap_lock:release\n")
    };
    let lists =
        "ksm_mmlist_lock:exclusive ksm_mmlist_lock:release khugepaged_mm_lock:exclusive khugepaged_mm_lock:release";
    let places = "lock mmap_lock = mm->mmap_lock\nlock anon_vma = anon_vma->rwsem\nlock ptl = pte_lock\n\
                  lock ksm_mmlist_lock = ksm_mmlist_lock\nlock khugepaged_mm_lock = khugepaged_mm_lock\n\
                  kernel 6.12 = 6.12\npath fork = dup_mmap\n";
    let is_taken = |path: &str, protocol: Protocol| {
        let tables = Tables::read_or_builtin(Some(("paths", path)), Some(("places", places))).unwrap();
        paths::check(&tables, &Query { protocol: Some(protocol), ..Query::default() }).is_complete()
    };
    let (early, late) = (steps(lists, ""), steps("", lists));
    assert!(is_taken(&late, Protocol::V6_12) && !is_taken(&early, Protocol::V6_12));
    let before = Protocol { fork_enters_lists_last: false, ..Protocol::V6_12 };
    assert!(is_taken(&early, before) && !is_taken(&late, before));
}

fn error(paths: Option<(&str, &str)>, places: Option<(&str, &str)>) -> String {
    Tables::read_or_builtin(paths, places).unwrap_err().to_string()
}

#[test]
fn a_table_that_cannot_be_read_is_an_error_with_file_and_line() {
    assert_eq!(error(Some(("f", "a @ 6.1\n ptl:maybe\n")), None), "f:2: not a step: ptl:maybe");
    assert_eq!(
        error(Some(("f", "a @ 6.1\n big_kernel_lock:read\n")), None),
        "f:1: no class and no reason for the lock big_kernel_lock"
    );
    assert_eq!(error(Some(("f", "a @ 2.6\n ptl:read\n")), None), "f:1: no protocol for the kernel 2.6");
    let path = Some(("f", "a @ 6.12\n ptl:read\n"));
    let places = |line: &str| format!("lock ptl = pte_lock\nkernel 6.12 = 6.12\n{line}\n");
    let bad = |line: &str| error(path, Some(("g", &places(line))));
    assert_eq!(bad("path a = V99: munmap"), "g:3: no such bug: V99");
    assert_eq!(bad("path b = munmap"), "g:3: no such path: b");
    assert_eq!(bad("kernel 6.1 = 7.0"), "g:3: no such protocol: 7.0");
    assert_eq!(bad("kernel 6.6+ = none"), "g:3: there is a protocol 6.6");
    assert_eq!(bad("except a @ 6.6: why"), "g:3: no such path under such a protocol: a @ 6.6");
    let hidden = "g:3: no `path` line for a @ 6.12: nothing could show that the exception is not needed";
    assert_eq!(bad("except a @ 6.12: why"), hidden);
}
