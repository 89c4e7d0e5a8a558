//! The simulator's declared order, `lockdep.order`, held against what its protocols do.

use lockdep_audit::{Aliases, Audit, Document, DocumentAudit, Observation, Verdict, audit};
use mm_sim::{Protocol, run, scenario};

const ORDER: &[u8] = include_bytes!("../lockdep.order");
const SEEDS: u64 = 2;

/// Audits the order against all scenarios under these protocols.
fn audited(protocols: &[Protocol]) -> Audit {
    let mut observed = None::<Observation>;
    for protocol in protocols {
        for (scenario, seed) in scenario::ALL.iter().flat_map(|scenario| (0..SEEDS).map(move |seed| (scenario, seed))) {
            let journal = run(scenario, *protocol, seed).journal;
            match &mut observed {
                Some(known) => known.add_journal(protocol.name, &journal),
                None => observed = Some(Observation::from_journal(protocol.name, &journal)),
            }
        }
    }
    let document = Document::parse("lockdep.order", ORDER).expect("the order is one");
    audit(&[document], &[observed.expect("there are protocols")], &Aliases::builtin())
}

fn contradicted(document: &DocumentAudit) -> Vec<String> {
    let name = |audit: &lockdep_audit::compare::RuleAudit| format!("{} -> {}", audit.before, audit.after);
    document.with_verdict(Verdict::Contradicted).map(name).collect()
}

#[test]
fn the_merged_protocols_keep_to_the_order_and_exercise_most_of_it() {
    let audit = audited(&[Protocol::V6_1, Protocol::V6_4, Protocol::V6_6, Protocol::V6_12]);
    let document = &audit.documents[0];
    let undeclared: Vec<_> = document.undocumented().map(|seen| format!("{} -> {}", seen.outer, seen.inner)).collect();
    assert_eq!((contradicted(document), undeclared), (vec![], vec![]));
    assert!(!audit.has_findings());
    let nestings: Vec<_> = document.nestings.iter().map(|nesting| nesting.lock.as_str()).collect();
    assert_eq!(nestings, ["mm->mmap_lock", "pte_lock"]);
    let (confirmed, all) = (document.with_verdict(Verdict::Confirmed).count(), document.rules.len());
    assert!(confirmed * 4 >= all * 3, "{confirmed} of {all} declared pairs are exercised");
}

#[test]
fn each_merged_protocol_keeps_to_it_alone() {
    for protocol in [Protocol::V6_1, Protocol::V6_4, Protocol::V6_6, Protocol::V6_12] {
        let audit = audited(&[protocol]);
        assert!(!audit.has_findings(), "{}: {}", protocol.name, lockdep_audit::render::text(&audit));
    }
}

#[test]
fn the_series_of_january_2023_breaks_it_where_the_mail_says() {
    for protocol in [Protocol::JAN_2023, Protocol::JAN_2023_FILE] {
        let audit = audited(&[protocol]);
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
