//! Random operations of several processes, each access checked against the memory model.

use mm_sim::{Protocol, run, scenario};

#[test]
fn whatever_processes_do_memory_is_what_the_model_says() {
    let soak = scenario::named("soak").unwrap();
    for protocol in [Protocol::V6_1, Protocol::V6_4, Protocol::V6_6, Protocol::V6_12] {
        let mut accesses = 0;
        for seed in 1..=25 {
            let outcome = run(soak, protocol, seed);
            assert!(
                outcome.is_expected,
                "{} with seed {seed}: {}\n{:#?}",
                protocol.name, outcome.verdict, outcome.findings
            );
            accesses += outcome.stats["accesses"];
        }
        assert!(accesses > 1000, "only {accesses} accesses have been checked");
    }
}

#[test]
fn short_of_memory_the_model_still_holds() {
    let soak = scenario::named("soak").unwrap().with_memory(700);
    for seed in 1..=10 {
        let outcome = run(&soak, Protocol::V6_12, seed);
        assert!(outcome.is_expected, "seed {seed}: {}\n{:#?}", outcome.verdict, outcome.findings);
    }
}

/// Random operations show the cycle of January 2023 now and then, and nothing else.
#[test]
fn random_operations_show_the_cycle_or_nothing() {
    let soak = scenario::named("soak").unwrap();
    for protocol in [Protocol::JAN_2023, Protocol::JAN_2023_FILE, Protocol::V6_5_RC0] {
        let shown = (1..=6).filter(|&seed| {
            let outcome = run(soak, protocol, seed);
            let (name, verdict) = (protocol.name, &outcome.verdict);
            assert!(outcome.is_expected, "{name} with seed {seed}: {verdict}\n{:#?}", outcome.findings);
            outcome.has_findings()
        });
        assert!(shown.count() > 0, "{}: no seed shows it", protocol.name);
    }
}

#[test]
fn huge_pages_are_what_the_model_says_and_their_promises_add_up() {
    let soak = scenario::named("soak-hugetlb").unwrap();
    for protocol in Protocol::ALL.into_iter().chain([Protocol::V6_0]) {
        let (mut shared, mut robbed) = (0, 0);
        for seed in 1..=15 {
            let outcome = run(soak, protocol, seed);
            let (name, verdict) = (protocol.name, &outcome.verdict);
            assert!(outcome.is_expected, "{name} with seed {seed}: {verdict}\n{:#?}", outcome.findings);
            let count = |what: &str| outcome.stats.get(what).copied().unwrap_or(0);
            shared += count("tables_unshared");
            robbed += count("pages_taken_from_children");
        }
        assert!(shared > 0 && robbed > 0, "{}: {shared} tables were unshared, {robbed} pages taken", protocol.name);
    }
}

/// A page fault may find a huge page broken before its failure has been handled, and while its file is cut.
#[test]
fn a_signal_for_a_broken_huge_page_is_right_when_it_is_given() {
    let tour = scenario::named("tour-hugetlb").unwrap();
    for seed in [32, 49].into_iter().chain(1..=6) {
        let outcome = run(tour, Protocol::V6_1, seed);
        assert!(outcome.is_expected, "seed {seed}: {}\n{:#?}", outcome.verdict, outcome.findings);
    }
}

/// Swap on a file: whoever has the file open cannot change it, and what went there comes back.
#[test]
fn what_is_swapped_out_to_a_file_comes_back_whoever_tries_to_change_the_file() {
    let tour = scenario::named("tour-swap").unwrap();
    let (mut files, mut kept) = (0, 0);
    for seed in 1..=5 {
        let outcome = run(tour, Protocol::V6_12, seed);
        assert!(outcome.is_expected, "seed {seed}: {}\n{:#?}", outcome.verdict, outcome.findings);
        let count = |what: &str| outcome.stats.get(what).copied().unwrap_or(0);
        files += count("swap_files");
        kept += count("swap_file_kept");
    }
    assert!(files > 0 && kept > 0, "swap was on {files} files, which refused {kept} changes");
}

/// Blocks are read by their buffers, past the locks of pages that move, are cut off or are given up.
#[test]
fn a_block_that_is_read_by_its_buffers_is_what_its_page_holds() {
    for (id, least) in [("tour-movers", 100), ("tour-swap", 10), ("soak", 1)] {
        let outcome = run(scenario::named(id).unwrap(), Protocol::V6_12, 1);
        assert!(outcome.is_expected, "{id}: {}\n{:#?}", outcome.verdict, outcome.findings);
        let read = outcome.stats.get("blocks_read").copied().unwrap_or(0);
        assert!(read >= least, "{id}: only {read} blocks were read");
    }
}
