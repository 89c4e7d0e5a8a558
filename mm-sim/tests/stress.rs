//! The operations on real threads: silent where the protocol is right, and found where it is not.

use std::{process::Command, sync::Mutex, time::Duration};

use mm_sim::{
    Protocol,
    stress::{Mix, Stress, StressOutcome},
};

fn stress(protocol: Protocol, seed: u64, mix: Mix) -> StressOutcome {
    Stress { threads: 5, time: Duration::from_millis(1500), protocol, seed, mix, locks: false }.run()
}

#[test]
fn the_merged_protocols_are_silent_on_real_threads() {
    for protocol in [Protocol::V6_1, Protocol::V6_4, Protocol::V6_6, Protocol::V6_12] {
        let outcome = stress(protocol, 1, Mix::All);
        assert_eq!(outcome.verdict, "silent", "{}: {outcome}", protocol.name);
        assert!(outcome.stats["accesses"] > 100 && outcome.stats["forks"] > 0, "{outcome}");
        assert_eq!(outcome.stats.contains_key("faults_under_vma_lock"), protocol.vma_lock, "{outcome}");
    }
    assert_eq!(stress(Protocol::V6_12, 2, Mix::Faults).verdict, "silent");
}

/// One turn of all scenarios, whatever time is left.
#[test]
fn every_operation_is_silent_on_real_threads() {
    let stress =
        Stress { threads: 1, time: Duration::ZERO, protocol: Protocol::V6_12, seed: 1, mix: Mix::Tours, locks: false };
    let outcome = stress.run();
    assert_eq!((outcome.verdict.as_str(), outcome.scenario), ("silent", None), "{outcome}");
    assert!(outcome.machines > 20 && outcome.threads > 8, "{outcome}");
    for count in ["swapped_out", "ksm_merged", "migrated", "userfaults", "tables_shared", "gup_fast", "execs", "moves"]
    {
        assert!(outcome.stats.get(count).is_some_and(|times| *times > 0), "{count}: {outcome}");
    }
}

/// What only one scenario shows is found, and said to be in it.
#[test]
fn the_scenario_that_shows_something_is_named() {
    let protocol = Protocol::V6_4.forgetting(mm_sim::Exclusion::VmaLock);
    let stress = Stress { threads: 1, time: Duration::ZERO, protocol, seed: 1, mix: Mix::Tours, locks: false };
    let found = (1..=20).map(|seed| Stress { seed, ..stress }.run()).find(StressOutcome::has_findings);
    let outcome = found.expect("one of twenty turns frees a table");
    assert!(outcome.verdict.contains("table-freed-under-walkers"), "{outcome}");
    assert!(outcome.scenario.is_some_and(|scenario| outcome.to_string().contains(&format!("\nin {scenario}\n"))));
}

/// What closes the cycle comes in a second or two, or else in the next.
#[test]
fn the_series_of_january_2023_is_found() {
    for protocol in [Protocol::JAN_2023, Protocol::JAN_2023_FILE] {
        let found = (1..=20).map(|seed| stress(protocol, seed, Mix::All)).find(StressOutcome::has_findings);
        let outcome = found.expect("one of twenty runs sees the cycle");
        assert!(outcome.findings.is_empty() && outcome.failure.is_none(), "{outcome}");
        assert!(outcome.verdict.contains("mapping->i_mmap_rwsem"), "{outcome}");
        assert!(outcome.to_string().starts_with(&outcome.verdict), "the verdict comes first");
    }
}

/// A protocol that forgets the VMA lock when it frees tables: the invariant sees it on real threads too.
#[test]
fn a_forgotten_exclusion_is_found() {
    let protocol = Protocol::V6_4.forgetting(mm_sim::Exclusion::VmaLock);
    let found = (1..=20).map(|seed| stress(protocol, seed, Mix::All)).find(StressOutcome::has_findings);
    assert!(found.expect("one of twenty runs frees a table").verdict.contains("table-freed-under-walkers"));
}

#[test]
fn the_command_line_says_what_was_found_and_by_whom() {
    let mm_sim = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_mm-sim")).arg("stress").args(args).output().unwrap();
    let output = mm_sim(&["--threads", "2", "--seconds", "0.3", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["verdict"], "silent");
    assert!(value["vma_lock_hits"].as_f64().is_some_and(|hits| hits > 0.0));
    assert_eq!(mm_sim(&["--threads", "0"]).status.code(), Some(2));
    assert_eq!(mm_sim(&["--tours", "--threads", "2"]).status.code(), Some(2), "scenarios have their own threads");
    let output = mm_sim(&["--scenario", "tour-userfaultfd", "--seconds", "0", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["verdict"], &value["machines"]), (&"silent".into(), &1.into()), "at least once");
    let output = mm_sim(&["--scenario", "nothing"]);
    assert_eq!(output.status.code(), Some(101));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such scenario: nothing"), "{output:?}");
    assert_eq!(mm_sim(&["--seconds", "-1"]).status.code(), Some(2), "clap takes it for an option");
    assert_eq!(mm_sim(&["--seconds=-1"]).status.code(), Some(101));
}

/// How far it is while it runs, and how the locks were used.
#[test]
fn progress_is_told_and_lock_statistics_are_kept() {
    let stress = Stress {
        threads: 4,
        time: Duration::from_millis(500),
        protocol: Protocol::V6_12,
        seed: 3,
        mix: Mix::All,
        locks: true,
    };
    let told = Mutex::new(Vec::new());
    let outcome = stress.run_telling(Duration::from_millis(50), |progress| told.lock().unwrap().push(progress));
    assert_eq!(outcome.verdict, "silent", "{outcome}");
    let told = told.into_inner().unwrap();
    assert!(told.len() > 1 && told.is_sorted_by_key(|progress| progress.faults), "{told:?}");
    let mmap_lock = outcome.locks.iter().find(|lock| lock.class == "mm->mmap_lock" && !lock.readers);
    assert!(mmap_lock.is_some_and(|lock| lock.acquired > 10 && lock.hold_ns_max > 0), "{outcome}");
    assert!(outcome.to_string().contains("hold avg"), "{outcome}");
}
