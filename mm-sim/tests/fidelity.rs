//! The lock order of the simulator against that of a running kernel.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use lockdep_audit::{Observation, observe::Source};
use mm_sim::{
    Protocol,
    fidelity::{Difference, Fidelity, observe},
};

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lockdep-small.txt")
}

fn small_dump() -> Observation {
    Observation::parse("small", &fs::read(small()).unwrap()).unwrap()
}

/// A simulator that has learnt just these dependencies.
fn simulator(dependencies: &[(&str, &str)]) -> Observation {
    let mut observation = Observation::new("ours", Source::Journal);
    for (outer, inner) in dependencies {
        let (outer, inner) = (observation.add_class(outer), observation.add_class(inner));
        observation.add_dependency(outer, inner, Default::default());
    }
    observation
}

fn pairs(differences: &[Difference]) -> Vec<(&str, &str)> {
    differences.iter().map(|d| (d.outer.as_str(), d.inner.as_str())).collect()
}

fn compare(dependencies: &[(&str, &str)]) -> Fidelity {
    Fidelity::compare(&Protocol::V6_12, &small_dump(), &simulator(dependencies)).unwrap()
}

#[test]
fn what_is_missed_extra_or_the_other_way_around_is_named() {
    let fidelity = compare(&[
        ("mm->mmap_lock", "mm->mmap_lock/1"),
        ("mm->mmap_lock", "vma->vm_lock"),
        ("vma->vm_lock", "folio_lock(file)"),
        ("folio_lock(file)", "mapping.invalidate_lock"),
        ("mapping.invalidate_lock", "mapping->i_mmap_rwsem"),
        ("mapping.invalidate_lock", "inode->i_rwsem"),
        ("pte_lock", "mapping->i_mmap_rwsem"),
        ("fs_reclaim", "pte_lock"),
        ("a lock of tomorrow", "pte_lock"),
    ]);
    assert_eq!(pairs(&fidelity.contradictions), [("pte_lock", "mapping->i_mmap_rwsem")]);
    assert_eq!(fidelity.contradictions[0].why, "&mapping->i_mmap_rwsem -> ptlock_ptr(ptdesc)#2");
    assert_eq!(pairs(&fidelity.extra), [("fs_reclaim", "pte_lock")]);
    assert_eq!(
        pairs(&fidelity.missed),
        [
            ("mapping->i_mmap_rwsem", "pte_lock"),
            ("pte_lock", "mapping->private_lock"),
            ("pte_lock", "pmd_lock"),
            ("vma->vm_lock", "fs_reclaim"),
        ],
        "the rest is there: directly, through the folio lock that no kernel's lockdep sees, or one step further"
    );
    assert_eq!(fidelity.missed[3].at, "small:9", "each miss has its line");
    assert_eq!((fidelity.real, fidelity.reproduced), (9, 5));
    assert_eq!((fidelity.ours, fidelity.confirmed), (6, 4), "jbd2_handle is no lock of the table, but it leads on");
    assert_eq!(fidelity.unknown, ["a lock of tomorrow"]);
    let text = fidelity.to_string();
    assert!(text.starts_with("1 order CONTRADICTS that of small\n"), "{text}");
}

/// Two ways around in the kernel itself are nobody's contradiction.
#[test]
fn an_order_that_the_kernel_has_both_ways_is_none() {
    let mut kernel = small_dump();
    let (ptl, imap) = (kernel.add_class("ptlock_ptr(ptdesc)#2"), kernel.add_class("&mapping->i_mmap_rwsem"));
    kernel.add_dependency(ptl, imap, Default::default());
    let ours = simulator(&[("pte_lock", "mapping->i_mmap_rwsem")]);
    let fidelity = Fidelity::compare(&Protocol::V6_12, &kernel, &ours).unwrap();
    assert!(fidelity.contradictions.is_empty() && fidelity.extra.is_empty());
}

#[test]
fn a_dump_without_memory_management_is_refused() {
    let kernel = Observation::parse("d", b"all lock classes:\n00000000000000a1: rtnl_mutex\n\n").unwrap();
    let error = Fidelity::compare(&Protocol::V6_12, &kernel, &simulator(&[])).unwrap_err();
    assert_eq!(error.to_string(), "d:1: no dependency between locks of memory management");
}

fn mm_sim(kernel: &Path) -> (Option<i32>, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_mm-sim")).arg("fidelity").arg("--kernel").arg(kernel).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn bad_dumps_are_named_with_their_lines() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let text = fs::read_to_string(small()).unwrap();
    for (name, contents, reason) in [
        ("cut", &text[..text.len() - 60], ": the dump is cut: its last line does not end"),
        ("mixed", &*format!("{text}{text}"), ":35: a second header: two dumps"),
        ("none", "all lock classes:\n", ":1: no lock class"),
    ] {
        let path = directory.join(name);
        fs::write(&path, contents).unwrap();
        let (code, _, error) = mm_sim(&path);
        assert!(code == Some(101) && error.contains(name) && error.contains(reason), "{code:?} {error}");
    }
    assert_eq!(mm_sim(Path::new("/nowhere")).0, Some(101));
}

/// The whole way: 6.12 as simulated against a dump in which one dependency stands the other way around.
#[test]
fn a_kernel_of_another_order_is_contradicted() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reversed");
    let text = fs::read_to_string(small()).unwrap();
    let reversed = text
        .replace(" -> [00000000000000a7] fs_reclaim\n", "")
        .replace("+.+.: fs_reclaim\n", "+.+.: fs_reclaim\n -> [00000000000000a2] &vma->vm_lock->lock\n");
    fs::write(&path, reversed).unwrap();
    let (code, text, _) = mm_sim(&path);
    assert_eq!(code, Some(100), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].ends_with("CONTRADICTS that of ".to_owned().as_str()) || lines[0].contains("CONTRADICT"),
        "{text}"
    );
    assert!(text.contains("vma->vm_lock -> fs_reclaim\n"), "{text}");
    assert!(text.contains("fs_reclaim -> &vma->vm_lock->lock\n"), "the kernel's own order is shown: {text}");
}

fn kernel_data(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/kernel");
    let root = env::var_os("LOCKDEP_KERNEL_DATA").map_or(beside, PathBuf::from);
    let dump = root.join("6.12/lockdep.txt");
    if dump.is_file() {
        return Some(dump);
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: no {} (set LOCKDEP_KERNEL_DATA)", dump.display());
    None
}

#[test]
fn linux_6_12_is_not_contradicted() {
    let Some(dump) = kernel_data("linux_6_12_is_not_contradicted") else { return };
    let kernel = Observation::parse("lockdep.txt", &fs::read(dump).unwrap()).unwrap();
    let fidelity = Fidelity::compare(&Protocol::V6_12, &kernel, &observe(Protocol::V6_12)).unwrap();
    assert!(fidelity.contradictions.is_empty(), "{fidelity}");
    assert!(fidelity.precision() >= 0.8, "{fidelity}");
    assert!(fidelity.recall() >= 0.9, "{fidelity}");
    assert!(fidelity.extra.iter().all(|extra| extra.why != "unexplained"), "{fidelity}");
}
