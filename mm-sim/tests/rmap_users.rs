//! Those who use the reverse map, and who are told by it: the tours are silent, and go where they are meant to go.

use std::collections::BTreeMap;

use mm_sim::{Bug, Protocol, catalogue, run, scenario};

const PROTOCOLS: [Protocol; 4] = [Protocol::V6_1, Protocol::V6_4, Protocol::V6_6, Protocol::V6_12];

/// Runs a tour under every merged protocol. Returns how often operations went which way, over all runs.
fn tour(id: &str, seeds: std::ops::RangeInclusive<u64>) -> BTreeMap<&'static str, u64> {
    let scenario = scenario::named(id).unwrap();
    let mut all = BTreeMap::new();
    for protocol in PROTOCOLS {
        for seed in seeds.clone() {
            let outcome = run(scenario, protocol, seed);
            let name = protocol.name;
            assert!(
                outcome.is_expected,
                "{id} under {name}, seed {seed}: {}\n{:#?}",
                outcome.verdict, outcome.findings
            );
            for (what, count) in outcome.stats {
                *all.entry(what).or_default() += count;
            }
        }
    }
    all
}

fn went(stats: &BTreeMap<&'static str, u64>, ways: &[&str]) {
    for way in ways {
        assert!(stats.get(way).is_some_and(|count| *count > 0), "no {way} in {stats:?}");
    }
}

#[test]
fn guests_and_devices_see_what_the_process_sees() {
    went(&tour("tour-guest", 1..=2), &["accesses", "copies", "forks", "moves", "truncations"]);
}

#[test]
fn user_code_brings_pages_in() {
    went(&tour("tour-userfaultfd", 1..=4), &["userfaults", "pages_moved", "forks"]);
    let counts = ["userfaults", "tables_shared", "tables_unshared", "huge_pages_migrated", "moves"];
    went(&tour("tour-huge-userfault", 1..=3), &counts);
}

#[test]
fn pages_move_and_are_merged() {
    went(&tour("tour-movers", 1..=4), &["migrated", "numa_migrated", "ksm_merged", "forks", "unmapped"]);
}

#[test]
fn memory_breaks_and_goes() {
    went(&tour("tour-memory", 1..=4), &["memory_failures", "processes_hit", "reaped", "migrated", "ksm_merged"]);
    went(&tour("tour-memory", 1..=4), &["machine_checks", "told_later"]);
}

#[test]
fn the_list_of_mappings_can_be_read_vma_by_vma() {
    let protocol = Protocol { maps_under_vma_lock: true, ..Protocol::V6_12 };
    for seed in 1..=4 {
        let outcome = run(scenario::named("tour-memory").unwrap(), protocol, seed);
        assert!(!outcome.has_findings(), "seed {seed}: {}\n{:#?}", outcome.verdict, outcome.findings);
    }
}

/// A VMA that stays read-locked is no mere disorder: the writer that comes next waits for ever.
#[test]
fn reading_maps_with_a_leak_stops_who_wants_to_change_a_mapping() {
    let pair = catalogue::named("V10").unwrap();
    assert!(pair.buggy.has(Bug::MapsKeepVmaLock));
    let stops = |seed: u64| pair.run_buggy(seed).deadlock.is_some();
    assert!((1..=pair.seeds).any(stops), "sooner or later the writer waits for the VMA");
}
