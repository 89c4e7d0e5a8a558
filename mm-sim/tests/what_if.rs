//! Every decision made otherwise, one by one: the simulator runs, and says what comes of it.

use mm_sim::{FileFaults, Outcome, Protocol, Retract, SWITCHES, WhatIf, run, scenario};

fn mail(protocol: Protocol) -> Outcome {
    run(scenario::named("mail").unwrap(), protocol, 1)
}

/// Decisions do not fit together at will: what goes wrong is found, and the simulator itself never fails.
#[test]
fn every_value_of_every_switch_runs() {
    let mut found = 0;
    for switch in SWITCHES {
        // The bugs of operations are the catalogue's; here one protocol does.
        let protocols = if switch.key() == "bug" { &[Protocol::V6_12][..] } else { &[Protocol::V6_4, Protocol::V6_12] };
        let each =
            protocols.iter().flat_map(|&protocol| switch.values().into_iter().map(move |value| (protocol, value)));
        for (protocol, value) in each {
            let what_if: WhatIf = format!("{}={value}", switch.key()).parse().unwrap();
            let outcome = mail(protocol.what_if(&what_if));
            assert_eq!(outcome.failure, None, "{} with {what_if}: {}", protocol.name, outcome.verdict);
            found += u32::from(outcome.has_findings());
            let is_kernel = switch.of(&protocol) == value;
            assert!(!is_kernel || !outcome.has_findings(), "{}: {}", protocol.name, outcome.verdict);
        }
    }
    assert!(found > 8, "only {found} decisions make a difference");
}

/// The two questions of January 2023: how retract_page_tables takes the VMA lock, and which faults run under it.
#[test]
fn what_the_mail_asks_is_a_table() {
    let verdict = |retract, file_faults| {
        let outcome = mail(Protocol { retract, file_faults, ..Protocol::JAN_2023 });
        if outcome.has_findings() { outcome.verdict } else { "silent".to_owned() }
    };
    for file_faults in [FileFaults::MmapLock, FileFaults::FaultAround, FileFaults::VmaLock] {
        let blocking = verdict(Retract::BlockingVmaLock, file_faults);
        assert!(blocking.contains("circular-dependency {") && blocking.contains("vma->vm_lock"), "{blocking}");
        assert_eq!(verdict(Retract::TryVmaLock, file_faults), "silent");
        let none = verdict(Retract::MmapLock, file_faults);
        assert!(none.contains("broken: table-freed-under-walkers"), "{none}");
    }
    let rcu = Protocol { pte_map_under_rcu: true, ..Protocol::JAN_2023 };
    assert!(!mail(Protocol { retract: Retract::PageTableLocks, ..rcu }).has_findings());
}
