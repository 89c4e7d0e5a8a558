//! Verdicts, places of missing locks, judged reports and patches, on fixtures.

mod common;

use common::{audited, document, fixture, observed};
use lockdep_audit::{
    Aliases, Document, Observation, Verdict, audit,
    compare::{DependencyVerdict, EdgeVerdict},
    observe, patch, render,
};

fn verdict(audit: &lockdep_audit::Audit, before: &str, after: &str) -> Verdict {
    audit.documents[0].rule(before, after).unwrap_or_else(|| panic!("no rule {before} -> {after}")).verdict
}

#[test]
fn each_verdict_has_its_case() {
    let audit = audited("order-6.12.c", &observed(&["lockdep.txt"]));
    assert_eq!(verdict(&audit, "mapping->invalidate_lock", "vma_start_write"), Verdict::Contradicted);
    assert_eq!(verdict(&audit, "hugetlbfs_i_mmap_rwsem_key", "vma_start_write"), Verdict::Contradicted);
    assert_eq!(verdict(&audit, "mm->mmap_lock", "vma_start_write"), Verdict::Confirmed);
    assert_eq!(verdict(&audit, "mm->mmap_lock", "pte_lock"), Verdict::Confirmed);
    assert_eq!(verdict(&audit, "inode->i_rwsem", "mm->mmap_lock"), Verdict::Ambiguous);
    assert_eq!(verdict(&audit, "swap_lock", "mapping->private_lock"), Verdict::Unobserved);
    assert_eq!(verdict(&audit, "folio_lock", "vma_start_write"), Verdict::Invisible);
    assert!(audit.has_findings());
}

#[test]
fn a_contradiction_by_way_of_others_shows_the_way() {
    let audit = audited("order-6.12.c", &observed(&["lockdep.txt"]));
    let rule = audit.documents[0].rule("hugetlbfs_i_mmap_rwsem_key", "vma_start_write").unwrap();
    let evidence = rule.evidence_against.as_ref().unwrap();
    assert_eq!(
        evidence.to_string(),
        "&vma->vm_lock->lock -> &hugetlb_fault_mutex_table[i] -> &hugetlbfs_i_mmap_rwsem_key"
    );
    assert_eq!(evidence.steps[1].at.as_ref().unwrap().to_string(), "lockdep.txt:36");
}

#[test]
fn folding_never_joins_two_filesystems_in_the_middle_of_a_path() {
    // #1 -> b and a -> #2 exist; no class is on both, so `a` before `b` is not known.
    let dump = "all lock classes:\n00000001 FD: 2 BD: 1 ....: a\n -> [00000003] &sb->s_type->i_mutex_key#2\n\n\
                00000002 FD: 2 BD: 1 ....: &sb->s_type->i_mutex_key\n -> [00000004] b\n\n\
                00000003 FD: 1 BD: 2 ....: &sb->s_type->i_mutex_key#2\n\n00000004 FD: 1 BD: 2 ....: b\n\n";
    let seen = Observation::parse("d", dump.as_bytes()).unwrap();
    let document = Document::parse("f", b"Lock ordering:\nb\n  a\n    i_rwsem\n").unwrap();
    let audit = audit(&[document], &[seen], &Aliases::builtin());
    assert_eq!(verdict(&audit, "b", "a"), Verdict::Unobserved);
    assert_eq!(verdict(&audit, "a", "i_rwsem"), Verdict::Confirmed);
    assert_eq!(verdict(&audit, "b", "i_rwsem"), Verdict::Contradicted);
}

#[test]
fn the_lock_that_a_6_1_comment_lacks_is_named_with_its_place() {
    let audit = audited("order-6.1.c", &observed(&["lockdep.txt"]));
    let missing = audit.documents[0].missing.iter().find(|missing| missing.lock == "vma->vm_lock").unwrap();
    assert_eq!(missing.name, "vma_start_write");
    let bound =
        |bound: &Option<(String, lockdep_core::Site)>| bound.as_ref().map(|(name, site)| (name.clone(), site.line));
    assert_eq!(bound(&missing.place.outer), Some(("mm->mmap_lock".to_owned(), 7)));
    assert_eq!(bound(&missing.place.inner), Some(("mapping->invalidate_lock".to_owned(), 8)));
    let text = render::text(&audit);
    assert!(
        text.contains("vma->vm_lock belongs after mm->mmap_lock (line 7) and before mapping->invalidate_lock (line 8)"),
        "{text}"
    );
}

#[test]
fn a_lock_on_both_sides_of_another_has_no_place_for_it() {
    let journal = "{\"type\":\"header\",\"version\":1,\"program\":\"sim\"}\n".to_owned()
        + &[(0, "mm->mmap_lock"), (1, "vma->vm_lock"), (2, "mapping->i_mmap_rwsem"), (3, "fs_reclaim")]
            .map(|(id, name)| format!("{{\"type\":\"class\",\"id\":{id},\"name\":\"{name}\",\"explicit\":true}}\n"))
            .concat()
        + &[(0, 1), (0, 2), (2, 1), (1, 3), (3, 2)]
            .map(|(o, i)| format!("{{\"type\":\"dependency\",\"outer\":{o},\"inner\":{i},\"hold\":\"exclusive\",\"wait\":\"normal\",\"thread\":\"t\"}}\n"))
            .concat();
    let seen = Observation::parse("sim.jsonl", journal.as_bytes()).unwrap();
    let audit = audited("order-6.1.c", std::slice::from_ref(&seen));
    let missing = audit.documents[0].missing.iter().find(|missing| missing.lock == "vma->vm_lock").unwrap();
    assert_eq!(missing.both_sides, ["mapping->i_mmap_rwsem"]);
    // The document of 6.12 has an opinion on the circle: it is contradicted, not ambiguous.
    let audit = audited("order-6.12.c", &[seen]);
    assert_eq!(verdict(&audit, "vma_start_write", "mapping->i_mmap_rwsem"), Verdict::Contradicted);
}

#[test]
fn a_recursive_reader_does_not_make_a_circle() {
    // b is held by a reader and c waits as a recursive reader: nobody waits.
    let journal = |wait: &str, hold: &str| {
        let class =
            |id: u32, name: &str| format!("{{\"type\":\"class\",\"id\":{id},\"name\":\"{name}\",\"explicit\":true}}\n");
        let dependency = |outer: u32, inner: u32, hold: &str, wait: &str| {
            format!(
                "{{\"type\":\"dependency\",\"outer\":{outer},\"inner\":{inner},\"hold\":\"{hold}\",\"wait\":\"{wait}\",\"thread\":\"t\"}}\n"
            )
        };
        let text = "{\"type\":\"header\",\"version\":1,\"program\":\"p\"}\n".to_owned()
            + &class(0, "a")
            + &class(1, "b")
            + &class(2, "c")
            + &dependency(2, 1, "exclusive", wait)
            + &dependency(1, 0, hold, "normal");
        Observation::parse("j", text.as_bytes()).unwrap()
    };
    let document = || Document::parse("f", b"Lock ordering:\na\n  b\n    c\n").unwrap();
    let judged = |seen| verdict(&audit(&[document()], &[seen], &Aliases::builtin()), "a", "c");
    assert_eq!(judged(journal("recursive", "shared")), Verdict::Unobserved);
    assert_eq!(judged(journal("recursive", "exclusive")), Verdict::Contradicted);
    assert_eq!(judged(journal("normal", "shared")), Verdict::Contradicted);
}

#[test]
fn a_report_is_judged_edge_by_edge() {
    let audit = audited("order-6.12.c", &observed(&["dmesg.txt"]));
    let [circle, freed] = audit.documents[0].findings.as_slice() else { panic!("two reports") };
    assert_eq!(circle.thread.as_deref(), Some("walker/180"));
    let edges: Vec<_> = circle.edges.iter().map(|edge| (edge.outer.as_str(), edge.is_new, edge.verdict)).collect();
    let expected =
        [("&mapping->i_mmap_rwsem", true, EdgeVerdict::Breaks), ("&vma->vm_lock->lock", false, EdgeVerdict::Follows)];
    assert_eq!(edges, expected);
    assert_eq!(circle.conclusion, "the new acquisition breaks the documented order: it is likely wrong");
    assert_eq!(circle.edges[1].stack, ["down_read", "unmap_range", "fault_file"]);
    assert_eq!((freed.title.as_str(), freed.classes.as_slice()), ("held lock freed!", &["&o->m".to_owned()][..]));
    assert_eq!(
        verdict(&audit, "vma_start_write", "mapping->i_mmap_rwsem"),
        Verdict::Confirmed,
        "the new edge is no witness"
    );
    assert!(audit.has_findings());
}

#[test]
fn an_edge_that_is_seen_elsewhere_speaks_against_the_document() {
    let order = b"/*\n * Lock ordering:\n * mapping->i_mmap_rwsem\n *   vma_start_write\n */\n";
    let document = || Document::parse("f.c", order).unwrap();
    let judged = |files: &[&str]| {
        let audit = audit(&[document()], &observed(files), &Aliases::builtin());
        audit.documents[0].findings[0].conclusion.clone()
    };
    assert_eq!(
        judged(&["dmesg.txt"]),
        "what was known before breaks the documented order: that code, or the document, is likely wrong"
    );
    // The dump has no such dependency of its own; the recording does.
    assert_eq!(judged(&["dmesg.txt", "lockdep.txt"]), judged(&["dmesg.txt"]));
    let elsewhere = fixture("trace.txt");
    let elsewhere = String::from_utf8(elsewhere).unwrap().replace("mapping.invalidate_lock", "&mapping->i_mmap_rwsem");
    let mut seen = observed(&["dmesg.txt"]);
    seen.push(Observation::parse("t", elsewhere.as_bytes()).unwrap());
    let audit = audit(&[document()], &seen, &Aliases::builtin());
    let conclusion = &audit.documents[0].findings[0].conclusion;
    assert!(conclusion.ends_with("and was seen elsewhere, too: the document is likely wrong"), "{conclusion}");
}

#[test]
fn a_log_that_is_cut_in_a_chain_is_refused() {
    let text = fixture("dmesg.txt");
    let cut = text.iter().take(600).copied().collect::<Vec<_>>();
    let error = Observation::parse("d", &cut).unwrap_err().to_string();
    assert!(error.ends_with("a circular dependency without its chain: the log is cut"), "{error}");
}

#[test]
fn a_patch_mends_everything_and_moves_only_what_must_move() {
    for file in ["order-6.12.c", "order-6.1.c", "filemap-6.12.c"] {
        let seen = observed(&["lockdep.txt"]);
        let text = String::from_utf8(fixture(file)).unwrap();
        let patch = patch::propose(file, &text, &seen, &Aliases::builtin()).unwrap();
        assert_eq!(patch.left, Vec::<String>::new(), "{file}");
        let patched = Document::parse(file, patch.text.as_bytes()).unwrap();
        assert!(!audit(&[patched], &seen, &Aliases::builtin()).has_findings(), "{file}:\n{}", patch.text);
        let again = patch::propose(file, &patch.text, &seen, &Aliases::builtin()).unwrap();
        assert_eq!((again.steps, again.text), (Vec::new(), patch.text), "{file}: a patched file needs no patch");
    }
}

#[test]
fn the_patch_of_6_12_moves_one_line() {
    let text = String::from_utf8(fixture("order-6.12.c")).unwrap();
    let patch = patch::propose("mm/rmap.c", &text, &observed(&["lockdep.txt"]), &Aliases::builtin()).unwrap();
    assert_eq!(patch.steps, ["move `vma_start_write`", "add `fs_reclaim (any memory allocation)`"]);
    let diff = patch.diff("mm/rmap.c");
    let changed = |sign: char| diff.lines().filter(|line| line.starts_with(sign)).count();
    assert_eq!((changed('-'), changed('+')), (5, 6), "{diff}");
    assert!(
        diff.contains("\n+ *     vma_start_write\n+ *       mapping->invalidate_lock (faults on files)\n"),
        "{diff}"
    );
}

#[test]
fn a_gap_in_the_indentation_takes_a_line_without_moving_what_is_below() {
    let dump = "all lock classes:\n00000001 FD: 3 BD: 1 ....: &mm->mmap_lock\n -> [00000002] vm_lock\n\n\
                00000002 FD: 2 BD: 2 ....: vm_lock\n -> [00000003] &mapping->i_mmap_rwsem\n\n\
                00000003 FD: 1 BD: 3 ....: &mapping->i_mmap_rwsem\n\n";
    let seen = [Observation::parse("d", dump.as_bytes()).unwrap()];
    let text = "/*\n * Lock ordering:\n * mmap_lock\n *     i_mmap_rwsem\n *       anon_vma->rwsem\n */\n";
    let patch = patch::propose("f.c", text, &seen, &Aliases::builtin()).unwrap();
    let expected = text.replace(" * mmap_lock\n", " * mmap_lock\n *   vma_start_write\n");
    assert_eq!(patch.text, expected);
}

#[test]
fn a_document_on_another_subject_lacks_nothing() {
    let document = Document::parse("f", b"Lock ordering:\nmmap_lock\n  my_driver_lock\n").unwrap();
    let audit = audit(&[document], &observed(&["lockdep.txt"]), &Aliases::builtin());
    assert_eq!(audit.documents[0].missing, []);
}

#[test]
fn nothing_is_patched_where_nothing_is_wrong() {
    let text = String::from_utf8(fixture("order-6.12.c")).unwrap();
    let patch = patch::propose("f.c", &text, &[], &Aliases::builtin()).unwrap();
    assert_eq!((patch.diff("f.c"), patch.steps), (String::new(), Vec::new()));
}

#[test]
fn documents_that_exclude_each_other_are_told() {
    let documents = [document("order-6.12.c"), document("filemap-6.12.c")];
    let audit = audit(&documents, &[], &Aliases::builtin());
    let conflicts: Vec<_> =
        audit.conflicts.iter().map(|c| (c.before.as_str(), c.after.as_str(), c.is_certain)).collect();
    assert_eq!(conflicts, [("swap_lock", "mapping->private_lock", true)]);
}

#[test]
fn a_declared_order_knows_what_is_undeclared_nested_and_trylocked() {
    let order = b"a -> b -> c\nc -> a  (trylock only)\nignore dep::*\nsame-class a by nesting\n";
    let document = Document::parse("lockdep.order", order).unwrap();
    let journal = "{\"type\":\"header\",\"version\":1,\"program\":\"p\"}\n".to_owned()
        + &["a", "b", "c", "d", "dep::x", "a/1", "b/1"]
            .iter().enumerate()
            .map(|(id, name)| format!("{{\"type\":\"class\",\"id\":{id},\"name\":\"{name}\",\"explicit\":true}}\n"))
            .collect::<String>()
        + &[(0, 1), (1, 3), (4, 0), (0, 5), (1, 6)]
            .map(|(o, i)| format!("{{\"type\":\"dependency\",\"outer\":{o},\"inner\":{i},\"hold\":\"exclusive\",\"wait\":\"normal\",\"thread\":\"t\"}}\n"))
            .concat();
    let seen = Observation::parse("j", journal.as_bytes()).unwrap();
    let audit = audit(&[document], &[seen], &Aliases::builtin());
    let part = &audit.documents[0];
    let undeclared: Vec<_> = part.undocumented().map(|d| (d.outer.as_str(), d.inner.as_str())).collect();
    assert_eq!(undeclared, [("b", "d")]);
    assert_eq!(part.dependencies.iter().filter(|d| d.verdict == DependencyVerdict::Implied).count(), 1);
    let nestings: Vec<_> = part.nestings.iter().map(|n| (n.lock.as_str(), n.declared.as_deref())).collect();
    assert_eq!(nestings, [("a", Some("nesting")), ("b", None)]);
    assert!(audit.has_findings());
    assert!(part.rules.iter().any(|rule| rule.is_trylock_only && rule.verdict == Verdict::Unobserved));
    assert!(render::text(&audit).contains("seen, and not declared\n  b -> d: would belong below line 1\n"));
}

#[test]
fn journals_of_several_processes_are_one_graph() {
    let journal = |name: &str, dependency: (u32, u32)| {
        let classes = ["a", "b", "c"].iter().enumerate();
        let classes = classes
            .map(|(id, name)| format!("{{\"type\":\"class\",\"id\":{id},\"name\":\"{name}\",\"explicit\":true}}\n"));
        let (o, i) = dependency;
        let text = "{\"type\":\"header\",\"version\":1,\"program\":\"p\"}\n".to_owned()
            + &classes.collect::<String>()
            + &format!(
                "{{\"type\":\"dependency\",\"outer\":{o},\"inner\":{i},\"hold\":\"exclusive\",\"wait\":\"normal\",\"thread\":\"t\"}}\n"
            );
        Observation::parse(name, text.as_bytes()).unwrap()
    };
    let seen = observe::combine(vec![journal("one", (2, 1)), journal("two", (1, 0))]).unwrap();
    let document = Document::parse("f", b"Lock ordering:\na\n  c\n").unwrap();
    let audit = audit(&[document], &seen, &Aliases::builtin());
    assert_eq!(verdict(&audit, "a", "c"), Verdict::Contradicted, "c -> b of one process, b -> a of another");
}

#[test]
fn every_text_fits_100_columns_and_every_page_is_escaped() {
    let seen = observed(&["lockdep.txt", "dmesg.txt"]);
    let documents = [document("order-6.12.c"), document("order-6.1.c"), document("filemap-6.12.c")];
    let audit = audit(&documents, &seen, &Aliases::builtin());
    let text = render::text(&audit);
    assert_eq!(text.lines().filter(|line| line.chars().count() > 100).collect::<Vec<_>>(), Vec::<&str>::new());
    let html = render::html(&audit);
    assert!(html.contains("class=\"arc contradicts\"") && html.contains("&amp;vma-&gt;vm_lock-&gt;lock"));
    assert!(!html.contains("&vma->") && html.trim_end().ends_with("</html>"));
    assert!(
        render::markdown(&audit).contains("- `mapping->invalidate_lock` (line 8) before `vma_start_write` (line 11)\n")
    );
    let json: serde_json::Value = serde_json::from_str(&render::json(&audit)).unwrap();
    assert_eq!(json["documents"][0]["rules"][0]["verdict"], "ambiguous");
}

#[test]
fn the_folio_lock_is_judged_where_it_is_seen() {
    let mut seen = Observation::new("sim", observe::Source::Journal);
    let vma = seen.add_class("vma->vm_lock");
    let folio = seen.add_class("folio_lock(file)");
    seen.add_dependency(vma, folio, observe::Witness::default());
    let audit = audited("order-6.12.c", &[seen]);
    assert_eq!(verdict(&audit, "folio_lock", "vma_start_write"), Verdict::Contradicted);
    assert_eq!(
        verdict(&audit, "mapping->invalidate_lock", "folio_lock"),
        Verdict::Unobserved,
        "seen, so not invisible"
    );
}

#[test]
fn an_empty_observation_is_told() {
    let audit = audited("order-6.12.c", &[Observation::new("sim", observe::Source::Journal)]);
    let notes: Vec<_> = audit.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes, ["no dependency was observed, so nothing can be said about any rule"]);
    assert_eq!(audited("order-6.12.c", &observed(&["lockdep.txt"])).notes, []);
}
