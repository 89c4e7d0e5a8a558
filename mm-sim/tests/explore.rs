//! Schedules one by one: the deadlock that the mail foresees, mutants that only a few schedules show, and no false alarm.

use std::process::Command;

use mm_sim::{
    Protocol, Schedule, explore,
    mutate::{self, Effort, Fate},
    scenario, size,
};

#[test]
fn the_deadlock_of_the_mail_is_found_and_replayed() {
    let scenario = scenario::named("small-collapse").unwrap();
    let exploration = explore::explore(scenario, Protocol::JAN_2023_FILE, 1, 500);
    let (schedule, found) = exploration.found.expect("one preemption is enough");
    let deadlock = found.deadlock.expect("they wait for each other");
    let waits: Vec<_> = deadlock.waits.iter().map(|w| (&*w.actor, w.lock.split(" of ").next().unwrap())).collect();
    assert_eq!(waits, [("khugepaged", "vma->vm_lock"), ("file-fault", "folio_lock(file)")]);
    let again: Schedule = schedule.to_string().parse().unwrap();
    let replayed = explore::replay(scenario, Protocol::JAN_2023_FILE, again.clone());
    assert_eq!(replayed.deadlock.as_ref(), Some(&deadlock), "the same to the step");
    let cured = explore::replay(scenario, Protocol::V6_6, again);
    assert!(!cured.has_findings(), "{}", cured.verdict);
}

/// Drawn schedules find it too, and what is left of them are the departures that it takes.
#[test]
fn drawn_schedules_find_the_deadlock_and_shrink_to_what_it_takes() {
    let scenario = scenario::named("small-collapse").unwrap();
    for seed in 1..=3 {
        let exploration = explore::draw(scenario, Protocol::JAN_2023_FILE, 2, seed, 200);
        let (schedule, found) = exploration.found.unwrap_or_else(|| panic!("seed {seed} finds nothing"));
        assert!(found.deadlock.is_some(), "{}", found.verdict);
        let departures = schedule.to_string();
        assert!(!departures.contains(','), "one departure is enough, {departures} are many");
        let again = explore::replay(scenario, Protocol::JAN_2023_FILE, departures.parse().unwrap());
        assert_eq!(again.deadlock, found.deadlock, "the same to the step");
    }
    let cured = explore::draw(scenario, Protocol::V6_6, 2, 1, 100);
    assert!(cured.found.is_none() && cured.runs == 100, "{cured}");
}

#[test]
fn without_a_bug_no_schedule_goes_wrong() {
    let all = [
        ("small-fork", 2),
        ("small-cow", 1),
        ("small-walk", 1),
        ("small-truncate", 1),
        ("small-mapped-late", 2),
        ("small-moved-hole", 1),
        ("small-moved-cut", 1),
        ("small-moved-dirty", 2),
        ("small-swap-file", 1),
        ("small-buffers", 1),
    ];
    for (id, preemptions) in all {
        let exploration = explore::explore(scenario::named(id).unwrap(), Protocol::V6_12, preemptions, 2000);
        assert!(exploration.found.is_none() && exploration.is_complete, "{id}: {exploration}");
        assert!(exploration.runs > 10, "{id}: only {} schedules", exploration.runs);
    }
}

/// A fault that comes during a truncation may leave a folio beyond the end; nothing may be left of it at the end.
#[test]
fn a_folio_beyond_the_end_goes_with_its_file() {
    let scenario = scenario::named("small-cow").unwrap();
    let exploration = explore::explore(scenario, Protocol::V6_12, 2, 300);
    assert!(exploration.found.is_none(), "{exploration}");
}

#[test]
fn mutants_that_a_soak_does_not_see_are_detected() {
    let looks = [
        "vma-sequence",
        "unmap-again",
        "folio-mapped-again",
        "swap-on-file",
        "buffers-in-use",
        "pmd-under",
        "rcu-grace",
    ];
    for name in looks.map(|look| format!("forget {look}")) {
        let campaign = mutate::campaign(Protocol::V6_12, Effort::Quick, Some(&name)).unwrap();
        assert_eq!((campaign.trials.len(), campaign.detected()), (1, 1), "{campaign}");
    }
}

/// Each acquisition of i_mmap that the small scenarios reach, left out and swapped.
#[test]
fn a_lock_that_is_left_out_or_swapped_is_noticed() {
    let campaign = mutate::campaign(Protocol::V6_12, Effort::Quick, Some("mapping->i_mmap_rwsem in")).unwrap();
    let of =
        |name: &str| &campaign.trials.iter().find(|trial| trial.name == name).unwrap_or_else(|| panic!("{name}")).fate;
    for name in ["mem/rmap.rs rmap_walk_trees", "op/unmap_mapping.rs unmap_mapping_pages"] {
        let how = |twist: &str| match of(&format!("{twist} mapping->i_mmap_rwsem in {name}")) {
            Fate::Detected(how) => how.clone(),
            fate => panic!("{twist} {name}: {fate:?}"),
        };
        assert!(how("skip").starts_with("invariant: "), "{campaign}");
        assert!(how("swap").starts_with("lockdep: ") || how("swap").starts_with("invariant: "), "{campaign}");
    }
    assert!(campaign.rate() >= 0.95, "{campaign}");
}

/// The campaign in short: what the small scenarios reach, and do not show as much of as the full workload does.
#[test]
fn nearly_all_mutants_of_the_small_scenarios_are_detected() {
    let campaign = mutate::campaign(Protocol::V6_12, Effort::Quick, None).unwrap();
    assert!(campaign.trials.len() > 50, "{campaign}");
    assert!(campaign.rate() >= 0.85, "{campaign}");
}

#[test]
fn a_fault_takes_as_many_steps_however_many_processes_there_are() {
    let size::Sizes(sizes) = size::measure(Protocol::V6_12, 10, 900).unwrap();
    assert_eq!(sizes.iter().map(|size| size.vmas).collect::<Vec<_>>(), [900, 9000]);
    let (one, ten) = (sizes[0].steps_per_fault, sizes[1].steps_per_fault);
    assert!(ten > 1.0 && ten <= one * 1.02, "{one} and {ten} steps a fault");
    assert!(size::measure(Protocol::V6_12, 10, 3).is_err(), "too few fresh pages");
}

#[test]
fn a_bad_schedule_is_refused() {
    let mm_sim = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_mm-sim")).arg("explore").args(args).output().unwrap();
    let output = mm_sim(&["small-fork", "--schedule", "7"]);
    assert_eq!(output.status.code(), Some(101));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not `POINT:ACTOR`: 7"));
    assert_eq!(mm_sim(&["nothing"]).status.code(), Some(101));
    assert_eq!(mm_sim(&["small-fork", "--schedule", ""]).status.code(), Some(0));
}
