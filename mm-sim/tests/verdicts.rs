//! Every scenario gives the expected verdict under every protocol, whatever the seed.

use std::collections::BTreeSet;

use mm_sim::{Bug, Exclusion, Invariant, Protocol, Scenario, View, catalogue, run, scenario};

fn check(id: &str, protocol: Protocol, seeds: std::ops::RangeInclusive<u64>) {
    let scenario: &Scenario = scenario::named(id).unwrap();
    for seed in seeds {
        let outcome = run(scenario, protocol, seed);
        assert!(
            outcome.is_expected,
            "{id} under {} with seed {seed}: {}, but expected: {}\n{:#?}",
            protocol.name, outcome.verdict, outcome.expected, outcome.findings
        );
    }
}

#[test]
fn the_mail_under_every_protocol() {
    for protocol in Protocol::ALL {
        check("mail", protocol, 1..=20);
    }
}

#[test]
fn without_reclaim_there_is_no_cycle() {
    for protocol in Protocol::ALL {
        check("mail-no-reclaim", protocol, 1..=5);
    }
}

#[test]
fn without_reclaim_the_cycle_is_there_all_the_same_if_lockdep_was_shown_at_boot_what_reclaim_takes() {
    for protocol in Protocol::ALL {
        check("mail-primed", protocol, 1..=5);
    }
    let scenario = scenario::named("mail-primed").unwrap();
    let outcome = run(scenario, Protocol::JAN_2023, 1);
    assert_eq!(outcome.stats.get("unmapped"), None, "nobody has reclaimed anything");
}

#[test]
fn the_tour_of_others_goes_everywhere() {
    for protocol in Protocol::ALL {
        check("tour-others", protocol, 1..=3);
    }
    let outcome = run(scenario::named("tour-others").unwrap(), Protocol::V6_12, 1);
    for stat in ["aged", "breakpoints", "populated", "mlocks", "forks"] {
        assert!(outcome.stats.get(stat).is_some_and(|count| *count > 0), "no {stat}: {:?}", outcome.stats);
    }
}

#[test]
fn file_faults_on_a_machine_short_of_memory() {
    for protocol in Protocol::ALL {
        check("mail-file-faults", protocol, 1..=5);
    }
}

#[test]
fn the_tours_of_address_spaces_find_what_their_protocol_has() {
    for protocol in Protocol::ALL {
        check("tour-address-space", protocol, 1..=2);
        check("tour-huge-pages", protocol, 1..=2);
        check("tour-huge-swap", protocol, 1..=2);
        check("tour-given-up", protocol, 1..=2);
        check("tour-copies", protocol, 1..=2);
    }
}

#[test]
fn the_tour_of_shared_memory_finds_what_its_protocol_has() {
    for protocol in Protocol::ALL {
        check("tour-shmem", protocol, 1..=4);
        check("tour-shmem-huge", protocol, 1..=3);
    }
}

#[test]
fn the_tours_of_swap_and_userfaultfd_under_every_protocol() {
    for protocol in Protocol::ALL {
        check("tour-swap", protocol, 1..=4);
        check("tour-userfaultfd", protocol, 1..=2);
    }
}

#[test]
fn the_tours_go_everywhere() {
    let went = |id: &str, stats: &[&str]| {
        let outcome = run(scenario::named(id).unwrap(), Protocol::V6_12, 1);
        for stat in stats {
            assert!(outcome.stats.get(stat).is_some_and(|count| *count > 0), "{id} has no {stat}: {:?}", outcome.stats);
        }
    };
    went("tour-address-space", &["stacks_grown", "mlocks", "holes", "lazily_freed", "moves", "moves_joined", "forks"]);
    went("tour-copies", &["collapses", "tables_retracted", "swapped_in", "moves", "forks", "copies"]);
    went("tour-shmem", &["shmem_swapped_out", "shmem_swapped_in", "holes", "truncations", "migrated", "writes"]);
    went(
        "tour-shmem-huge",
        &["shmem_huge", "huge_mapped", "huge_pmds_set", "splits", "holes_filled", "shmem_swapped_out", "migrated"],
    );
    went("tour-huge-swap", &["anon_collapses", "swapped_in_to_collapse", "swapins_given_up", "copies_failed"]);
    went("tour-given-up", &["ended_in_reclaim", "huge_faults", "swapped_out"]);
    went("tour-huge-pages", &["huge_faults", "huge_splits", "anon_collapses", "mlocks", "moves", "forks"]);
}

#[test]
fn the_deadlock_is_real_and_the_trylock_cures_it() {
    let scenario = scenario::named("mail-deadlock").unwrap();
    let deadlocks = |seed: &u64| run(scenario, Protocol::JAN_2023_FILE, *seed).deadlock.is_some();
    let seed = (1..=60).find(deadlocks).expect("one of 60 seeds deadlocks");
    let deadlock = run(scenario, Protocol::JAN_2023_FILE, seed).deadlock.unwrap();
    let locks: Vec<_> = deadlock.waits.iter().map(|wait| wait.lock.split(" of ").next().unwrap()).collect();
    assert_eq!(locks, ["folio_lock(file)", "vma->vm_lock"], "{deadlock}");
    for protocol in [Protocol::V6_4, Protocol::V6_6, Protocol::V6_12] {
        check("mail-deadlock", protocol, seed..=seed);
    }
}

#[test]
fn the_strict_view_needs_no_reclaim_to_see_the_inversion() {
    for seed in 1..=5 {
        let scenario = scenario::named("mail-no-reclaim").unwrap();
        let outcome = run(scenario, Protocol::JAN_2023.with_view(View::Strict), seed);
        assert!(outcome.is_expected && !outcome.reports.is_empty(), "seed {seed}: {}", outcome.verdict);
        let silent = run(scenario, Protocol::V6_4.with_view(View::Strict), seed);
        assert!(!silent.has_findings(), "seed {seed}: {}", silent.verdict);
    }
}

/// With the bug the verdict comes, within the seeds that the pair asks for; without it nothing is found in the same seeds.
#[test]
fn every_pair_of_the_catalogue_tells_the_bug_from_the_fix() {
    for pair in catalogue::all() {
        let outcome = pair.find();
        assert!(
            outcome.is_expected,
            "{}: {}, but expected: {}\n{:#?}",
            pair.id, outcome.verdict, outcome.expected, outcome.findings
        );
        for seed in 1..=pair.seeds.max(3) {
            let outcome = pair.run_fixed(seed);
            assert!(
                outcome.is_expected,
                "{} fixed, seed {seed}: {}\n{:#?}",
                pair.id, outcome.verdict, outcome.findings
            );
            let buggy = pair.run_buggy(seed);
            let is_right = buggy.is_expected || pair.seeds > 1 && buggy.failure.is_none();
            assert!(is_right, "{} buggy, seed {seed}: {}", pair.id, buggy.verdict);
        }
    }
}

/// The design of 5.7 to 6.0 holds i_mmap over the whole fault, and is sound where migration only tries.
#[test]
fn the_tour_of_hugetlbfs_under_every_protocol_and_both_designs() {
    for protocol in Protocol::ALL.into_iter().chain([Protocol::V6_0]) {
        check("tour-hugetlb", protocol, 1..=5);
        check("tour-huge-userfault", protocol, 1..=3);
    }
}

#[test]
fn the_tour_of_fills_while_mappings_change_under_every_protocol() {
    for protocol in Protocol::ALL {
        check("tour-userfaultfd-changes", protocol, 1..=5);
    }
}

#[test]
fn ids_are_unique_and_every_bug_has_a_pair() {
    let ids: BTreeSet<_> = catalogue::all().map(|pair| pair.id).collect();
    assert_eq!(ids.len(), catalogue::all().count());
    assert!(catalogue::ABSENT.iter().all(|absent| !ids.contains(absent.id)), "what has a pair is not absent");
    for bug in Bug::ALL {
        assert!(catalogue::all().any(|pair| pair.buggy.has(*bug)), "no pair shows {bug:?}");
    }
}

#[test]
fn a_reader_that_reads_again_can_hang() {
    let pair = catalogue::named("R5").unwrap();
    assert!((1..=10).any(|seed| pair.run_buggy(seed).deadlock.is_some()), "a writer comes in between, sooner or later");
}

/// The cycle has real stacks: through retract_page_tables, through a page fault, through reclaim.
#[test]
fn the_report_shows_the_three_paths() {
    let outcome = run(scenario::named("mail").unwrap(), Protocol::JAN_2023, 1);
    let text = lockdep_report::text::render(&outcome.reports[0]);
    for function in ["retract_page_tables", "collapse_file", "do_anonymous_page", "try_to_unmap", "shrink_folio_list"] {
        assert!(text.contains(function), "no {function} in\n{text}");
    }
    assert!(!text.contains("mm_sim::sched::"), "the scheduler's frames are nobody's business");
}

/// The rule of the mail: a protocol that forgets one of the four is caught by the invariant of that name.
#[test]
fn whoever_forgets_an_exclusion_is_caught() {
    let scenario = scenario::named("mail").unwrap();
    for exclusion in Exclusion::ALL {
        for seed in 1..=3 {
            let outcome = run(scenario, Protocol::V6_4.forgetting(exclusion), seed);
            let found = outcome.findings.iter().any(|finding| finding.invariant == Invariant::TableFreedUnderWalkers);
            assert!(found && outcome.is_expected, "{exclusion:?}, seed {seed}: {}", outcome.verdict);
        }
    }
}

#[test]
fn a_protocol_that_forgets_nothing_is_not_accused() {
    let outcome = run(scenario::named("mail").unwrap(), Protocol::V6_4, 1);
    assert!(outcome.findings.is_empty());
    assert!(outcome.stats["tables_retracted"] > 0, "it has freed tables all the same");
}
