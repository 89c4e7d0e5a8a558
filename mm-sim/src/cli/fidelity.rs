//! `mm-sim fidelity`.

use std::{fs, path::Path, process::ExitCode};

use lockdep_audit::Observation;
use mm_sim::{Protocol, fidelity};

use super::{FINDINGS, paint, rules::Rules};

pub(crate) fn compare(kernel: &Path, rules: &Rules, json: bool) -> Result<ExitCode, String> {
    let protocol = rules.protocol(Protocol::V6_12)?;
    let name = kernel.display().to_string();
    let bytes = fs::read(kernel).map_err(|error| format!("{name}: {error}"))?;
    let real = Observation::parse(&name, &bytes).map_err(|error| error.to_string())?;
    let simulated = fidelity::observe(protocol);
    let fidelity = fidelity::Fidelity::compare(&protocol, &real, &simulated).map_err(|error| error.to_string())?;
    let agrees = fidelity.contradictions.is_empty();
    if json {
        let mut value = serde_json::to_value(&fidelity).map_err(|error| error.to_string())?;
        value["recall"] = fidelity.recall().into();
        value["precision"] = fidelity.precision().into();
        anstream::println!("{value:#}");
    } else {
        paint::print(&fidelity.to_string(), agrees);
    }
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}
