//! The simulator's declared order, `lockdep.order`, held against what its protocols do.

use lockdep::Journal;
use lockdep_audit::{Aliases, Audit, Document, DocumentAudit, Observation, Verdict, audit, render};
use mm_sim::{Protocol, run, scenario};

const ORDER: &[u8] = include_bytes!("../lockdep.order");
const SCENARIOS: [&str; 5] = ["mail", "mail-file-faults", "mail-deadlock", "soak", "soak-hugetlb"];
const MERGED: [Protocol; 4] = [Protocol::V6_1, Protocol::V6_4, Protocol::V6_6, Protocol::V6_12];

/// What the scenarios do under a protocol.
fn journals(protocol: Protocol) -> Vec<Journal> {
    SCENARIOS.iter().map(|id| run(scenario::named(id).expect("it is one"), protocol, 1).journal).collect()
}

/// Audits the order against what was done.
fn audited(journals: &[Journal]) -> Audit {
    let mut observed = Observation::from_journal("mm-sim", &journals[0]);
    journals[1..].iter().for_each(|journal| observed.add_journal("mm-sim", journal));
    let document = Document::parse("lockdep.order", ORDER).expect("the order is one");
    audit(&[document], &[observed], &Aliases::builtin())
}

fn contradicted(document: &DocumentAudit) -> Vec<String> {
    let name = |audit: &lockdep_audit::compare::RuleAudit| format!("{} -> {}", audit.before, audit.after);
    document.with_verdict(Verdict::Contradicted).map(name).collect()
}

#[test]
fn the_merged_protocols_keep_to_the_order_each_and_together() {
    let mut all = Vec::new();
    for protocol in MERGED {
        let journals = journals(protocol);
        let audit = audited(&journals);
        assert!(!audit.has_findings(), "{}: {}", protocol.name, render::text(&audit));
        all.extend(journals);
    }
    let audit = audited(&all);
    assert!(!audit.has_findings(), "{}", render::text(&audit));
    let document = &audit.documents[0];
    let nestings: Vec<_> = document.nestings.iter().map(|nesting| nesting.lock.as_str()).collect();
    assert_eq!(nestings, ["mm->mmap_lock", "pte_lock"]);
    let (confirmed, all) = (document.with_verdict(Verdict::Confirmed).count(), document.rules.len());
    assert!(confirmed * 4 >= all * 3, "{confirmed} of {all} declared pairs are exercised");
}

#[test]
fn the_series_of_january_2023_breaks_it_where_the_mail_says() {
    for protocol in [Protocol::JAN_2023, Protocol::JAN_2023_FILE] {
        let audit = audited(&journals(protocol));
        assert!(audit.has_findings() && audit.reported > 0);
        let broken = contradicted(&audit.documents[0]);
        assert!(
            broken.iter().any(|rule| rule == "vma->vm_lock -> mapping->i_mmap_rwsem"),
            "{}: {broken:?}",
            protocol.name
        );
        for rule in audit.documents[0].with_verdict(Verdict::Contradicted) {
            let evidence = rule.evidence_against.as_ref().expect("a contradiction has evidence");
            let is_waited_for = evidence.steps.iter().any(|step| step.inner == "vma->vm_lock");
            assert!(is_waited_for, "only waiting for the VMA lock breaks the order: {evidence}");
        }
    }
}

/// It is where the place of the VMA lock in the kernel's own document comes from, below the folio lock.
#[test]
fn until_6_5_a_vma_is_write_locked_under_a_folio_lock_in_one_place() {
    let audit_of = |protocol| {
        let tour = run(scenario::named("tour-shmem-huge").expect("it is one"), protocol, 1);
        assert!(tour.is_expected, "{}: {}", protocol.name, tour.verdict);
        audited(&[tour.journal])
    };
    let audit = audit_of(Protocol::V6_4);
    let broken: Vec<_> = audit.documents[0].with_verdict(Verdict::Contradicted).collect();
    assert!(!broken.is_empty());
    for rule in broken {
        let evidence = rule.evidence_against.as_ref().expect("a contradiction has evidence");
        let is_it = |outer: &str, inner: &str| outer.starts_with("folio_lock") && inner == "vma->vm_lock";
        assert!(evidence.steps.iter().any(|step| is_it(&step.outer, &step.inner)), "{evidence}");
    }
    for protocol in [Protocol::V6_1, Protocol::V6_6, Protocol::V6_12] {
        let broken = contradicted(&audit_of(protocol).documents[0]);
        assert!(broken.is_empty(), "{}: {broken:?}", protocol.name);
    }
}
