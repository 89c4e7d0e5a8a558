//! `mm-sim list`.

use std::process::ExitCode;

use mm_sim::{Protocol, scenario};

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
    anstream::println!("\nprotocols");
    for protocol in Protocol::ALL {
        anstream::println!("  {:<20}{}", protocol.name, protocol.title);
    }
    Ok(ExitCode::SUCCESS)
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
    serde_json::json!({ "scenarios": scenarios, "protocols": Protocol::ALL })
}
