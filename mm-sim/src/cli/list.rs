//! `mm-sim list`.

use std::process::ExitCode;

use mm_sim::{Expect, Pair, Protocol, SWITCHES, catalogue, scenario};

use super::rules::wrapped;

pub(crate) fn list(json: bool) -> Result<ExitCode, String> {
    if json {
        anstream::println!("{:#}", as_json());
        return Ok(ExitCode::SUCCESS);
    }
    anstream::println!("scenarios");
    for scenario in scenario::ALL {
        anstream::println!("  {:<20}{}", scenario.id, scenario.title);
        anstream::println!("  {:<20}source: {}", "", scenario.source);
        for protocol in Protocol::ALL {
            anstream::println!("  {:<20}{:<14}{}", "", protocol.name, (scenario.expect)(&protocol));
        }
    }
    anstream::println!("\nbugs, each with and without");
    catalogue::all().for_each(list_pair);
    anstream::println!("\nprotocols");
    for protocol in Protocol::ALL {
        anstream::println!("  {:<20}{}", protocol.name, protocol.title);
    }
    anstream::println!("\nwhat if a protocol had decided otherwise (--what-if KEY=VALUE)");
    for switch in SWITCHES {
        anstream::println!("  {:<26}{}", switch.key(), switch.about);
        for line in wrapped(&switch.values()) {
            anstream::println!("  {:<8}{line}", "");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list_pair(pair: &Pair) {
    anstream::println!("  {:<6}{}", pair.id, pair.title);
    let line = |name: &str, text: &str| anstream::println!("  {:<6}{name:<9}{text}", "");
    line("kernels", pair.kernels);
    line("source", pair.source);
    line("buggy", &format!("{}: {}", rules(&pair.buggy), pair.verdict));
    line("fixed", &format!("{}: {}; {}", rules(&pair.fixed), Expect::Silent, pair.fix));
}

/// The name of a protocol, and the bug that it carries besides.
pub(super) fn rules(protocol: &Protocol) -> String {
    protocol.bug.map_or_else(|| protocol.name.to_owned(), |bug| format!("{}, and {}", protocol.name, bug.as_str()))
}

fn as_json() -> serde_json::Value {
    let verdicts = |scenario: &mm_sim::Scenario| -> serde_json::Map<String, serde_json::Value> {
        let expect = |protocol: Protocol| (scenario.expect)(&protocol).to_string().into();
        Protocol::ALL.into_iter().map(|protocol| (protocol.name.to_owned(), expect(protocol))).collect()
    };
    let scenarios: Vec<_> = scenario::ALL
        .iter()
        .map(|scenario| {
            serde_json::json!({
                "id": scenario.id, "title": scenario.title, "source": scenario.source, "verdicts": verdicts(scenario),
            })
        })
        .collect();
    let bugs: Vec<_> = catalogue::all()
        .map(|pair| {
            serde_json::json!({
                "id": pair.id, "title": pair.title, "kernels": pair.kernels, "source": pair.source, "fix": pair.fix,
                "buggy": { "rules": rules(&pair.buggy), "verdict": pair.verdict.to_string() },
                "fixed": { "rules": rules(&pair.fixed), "verdict": Expect::Silent.to_string() },
            })
        })
        .collect();
    let switch = |switch: &mm_sim::Switch| serde_json::json!({ "key": switch.key(), "about": switch.about, "values": switch.values() });
    let switches: Vec<_> = SWITCHES.iter().map(switch).collect();
    serde_json::json!({ "scenarios": scenarios, "bugs": bugs, "protocols": Protocol::ALL, "what_if": switches })
}
