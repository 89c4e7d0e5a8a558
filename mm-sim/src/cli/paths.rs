//! `mm-sim paths`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use mm_sim::{
    Protocol,
    paths::{self, Query, Tables},
};

use super::{FINDINGS, paint, rules::Rules};

/// Seeds that are run after the first while something is missing.
const SEEDS: u64 = 3;

/// What to look for.
pub(crate) struct What {
    pub(crate) path: Option<String>,
    pub(crate) rules: Rules,
    pub(crate) strict: bool,
    pub(crate) table: Option<PathBuf>,
    pub(crate) places: Option<PathBuf>,
}

pub(crate) fn check(what: &What, json: bool) -> Result<ExitCode, String> {
    let (table, places) = (read(what.table.as_deref())?, read(what.places.as_deref())?);
    let tables =
        Tables::read_or_builtin(borrow(table.as_ref()), borrow(places.as_ref())).map_err(|error| error.to_string())?;
    let protocol = if what.rules.are_default() { None } else { Some(what.rules.protocol(Protocol::V6_12)?) };
    let query = Query { protocol, path: what.path.as_deref(), mutant: None, more_seeds: SEEDS, is_strict: what.strict };
    let table = paths::check(&tables, &query);
    if table.rows.is_empty() {
        return Err(what.path.as_ref().map_or_else(
            || "no path of a kernel that this protocol stands for".to_owned(),
            |path| format!("no such path, or not one of this protocol's kernels: {path}"),
        ));
    }
    let is_complete = table.is_complete();
    if json {
        let text = serde_json::to_string_pretty(&table).map_err(|error| error.to_string())?;
        anstream::println!("{text}");
    } else {
        paint::print(&table.to_string(), is_complete);
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

/// Reads a file, if one was named: its name and its text.
fn read(file: Option<&Path>) -> Result<Option<(String, String)>, String> {
    let read = |file: &Path| {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        Ok((name, text))
    };
    file.map(read).transpose()
}

fn borrow(file: Option<&(String, String)>) -> Option<(&str, &str)> {
    file.map(|(name, text)| (name.as_str(), text.as_str()))
}
