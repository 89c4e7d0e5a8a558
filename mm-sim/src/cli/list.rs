//! `mm-sim list`.

use std::process::ExitCode;

use mm_sim::{Expect, Pair, Protocol, SWITCHES, Scenario, catalogue, scenario};

use super::paint;

pub(crate) fn list(json: bool) -> Result<ExitCode, String> {
    if json {
        anstream::println!("{:#}", as_json());
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = "scenarios\n".to_owned();
    let scenarios = || scenario::ALL.iter().chain(scenario::DIRECTED);
    let width = scenarios().map(|scenario| scenario.id.len()).max().unwrap_or(0) + 1;
    scenarios().for_each(|scenario| text += &of_scenario(scenario, width));
    text += "\nbugs, each with and without\n";
    catalogue::all().for_each(|pair| text += &of_pair(pair));
    text += "\nbugs that cannot be shown\n";
    for absent in catalogue::ABSENT {
        text += &paint::beside(&format!("  {:<6}", absent.id), absent.title);
        text += &paint::beside(&format!("  {:<6}{:<9}", "", "reason"), absent.reason);
    }
    text += "\nprotocols\n";
    for protocol in Protocol::ALL {
        text += &paint::beside(&format!("  {:<14}", protocol.name), protocol.title);
    }
    text += "\nwhat if a protocol had decided otherwise (--what-if KEY=VALUE)\n";
    for switch in SWITCHES {
        text += &paint::beside(&format!("  {:<26}", switch.key()), switch.about);
        text += &paint::beside(&format!("  {:<26}", ""), &switch.values().join(", "));
    }
    anstream::print!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn of_scenario(scenario: &Scenario, width: usize) -> String {
    let mut text = paint::beside(&format!("  {:<width$}", scenario.id), scenario.title);
    text += &paint::beside(&format!("  {:<width$}source   ", ""), scenario.source);
    let mut verdicts: Vec<(String, Vec<&str>)> = Vec::new();
    for protocol in Protocol::ALL {
        let verdict = (scenario.expect)(&protocol).to_string();
        match verdicts.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, names)) => names.push(protocol.name),
            None => verdicts.push((verdict, vec![protocol.name])),
        }
    }
    for (verdict, names) in verdicts {
        text +=
            &paint::beside(&format!("  {:<width$}verdict  ", ""), &format!("{verdict}: under {}", names.join(", ")));
    }
    text
}

fn of_pair(pair: &Pair) -> String {
    let mut text = paint::beside(&format!("  {:<6}", pair.id), pair.title);
    let (buggy, fixed) = (rules(&pair.buggy), rules(&pair.fixed));
    for (name, line) in [
        ("kernels", pair.kernels.to_owned()),
        ("source", pair.source.to_owned()),
        ("buggy", format!("{}: under {buggy}", pair.verdict)),
        ("fixed", format!("{}: under {fixed}; {}", Expect::Silent, pair.fix)),
    ] {
        text += &paint::beside(&format!("  {:<6}{name:<9}", ""), &line);
    }
    text
}

/// The name of a protocol, what it decides otherwise, and the bug that it carries besides.
pub(super) fn rules(protocol: &Protocol) -> String {
    let what_ifs: Vec<String> = protocol.what_ifs().iter().map(ToString::to_string).collect();
    let mut text = protocol.name.to_owned();
    what_ifs.iter().filter(|what_if| !what_if.starts_with("bug=")).for_each(|what_if| text += &format!(", {what_if}"));
    protocol.bug.iter().for_each(|bug| text += &format!(", and {}", bug.as_str()));
    text
}

fn as_json() -> serde_json::Value {
    let verdicts = |scenario: &mm_sim::Scenario| -> serde_json::Map<String, serde_json::Value> {
        let expect = |protocol: Protocol| (scenario.expect)(&protocol).to_string().into();
        Protocol::ALL.into_iter().map(|protocol| (protocol.name.to_owned(), expect(protocol))).collect()
    };
    let scenarios: Vec<_> = scenario::ALL
        .iter()
        .chain(scenario::DIRECTED)
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
    let absent = |absent: &catalogue::Absent| serde_json::json!({ "id": absent.id, "title": absent.title, "reason": absent.reason });
    let absents: Vec<_> = catalogue::ABSENT.iter().map(absent).collect();
    serde_json::json!({ "scenarios": scenarios, "bugs": bugs, "absent": absents, "protocols": Protocol::ALL, "what_if": switches })
}
