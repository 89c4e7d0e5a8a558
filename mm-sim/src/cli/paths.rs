//! `mm-sim paths`.

use std::process::ExitCode;

use mm_sim::{Protocol, paths};

use super::{FINDINGS, paint, unknown};

pub(crate) fn check(protocol: Option<&str>, json: bool) -> Result<ExitCode, String> {
    let named = |name: &str| {
        Protocol::named(name).ok_or_else(|| unknown("protocol", name, Protocol::ALL.iter().map(|known| known.name)))
    };
    let table = paths::check(protocol.map(named).transpose()?.as_ref())?;
    let is_complete = table.is_complete();
    if json {
        let value = serde_json::to_value(&table).map_err(|error| error.to_string())?;
        anstream::println!("{value:#}");
    } else {
        paint::print(&table.to_string(), is_complete);
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}
