//! A run is a function of its seed, to the byte.

use mm_sim::{Protocol, run, scenario};

fn everything(id: &str, protocol: Protocol, seed: u64) -> String {
    let outcome = run(scenario::named(id).unwrap(), protocol, seed);
    let text: String = outcome.reports.iter().map(lockdep_report::text::render).collect();
    format!("{}\n{text}\n{}", serde_json::to_string_pretty(&outcome).unwrap(), outcome.journal.to_text())
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for (id, protocol) in
        [("mail", Protocol::JAN_2023), ("soak", Protocol::V6_6), ("mail-deadlock", Protocol::JAN_2023_FILE)]
    {
        assert_eq!(everything(id, protocol, 7), everything(id, protocol, 7), "{id}");
    }
}

#[test]
fn another_seed_gives_another_run() {
    let scenario = scenario::named("mail").unwrap();
    let steps = |seed| run(scenario, Protocol::V6_4, seed).steps;
    assert_ne!(steps(1), steps(2));
}
