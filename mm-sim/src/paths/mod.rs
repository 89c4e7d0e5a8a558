//! Whether the operations take the documented locks in the documented order: code paths of the kernel, step by step, held
//! against what actors did.
//!
//! * [`check`]: runs the scenarios under each protocol and says of each path whether an operation has followed it.
//! * `documented`: the paths, from `data/paths.txt`; `places`: in which operations they are looked for, which protocol
//!   stands for which kernel, and what is left out and why, from `data/paths-places.txt`.
//! * `workload`: the runs; `matcher`: one operation against one path; `render`: the table as text.
//!
//! The lock order says which locks may nest. This says more: that the paths which the kernel's people wrote down are
//! there, with trylocks where they try and releases where they release.

mod documented;
mod matcher;
mod places;
mod render;
mod workload;

use std::collections::BTreeSet;

use serde::Serialize;

use self::{
    documented::{Documented, Step},
    matcher::Recording,
    places::Places,
    workload::Operation,
};
use crate::{catalogue, protocol::Protocol};

/// What came of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// An operation has followed it to the end.
    Covered,
    /// No operation has: the first step that is missing in the one that came furthest, and how many steps that has.
    Missing {
        /// The step.
        step: String,
        /// Steps before it.
        followed: usize,
    },
    /// It is not looked for, or no operation has followed it, and that is as it should be.
    Excepted {
        /// Why.
        why: String,
    },
}

/// A documented path under a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The name of the path.
    pub path: String,
    /// The kernels that it is documented for.
    pub kernel: String,
    /// The protocol that stands for them; none if the simulator has none.
    pub protocol: Option<String>,
    /// How many acquisitions and releases were looked for.
    pub steps: usize,
    /// Documented locks of it that the simulator does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// All paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// One path under one protocol each.
    pub rows: Vec<Row>,
    /// Exceptions for what is covered, or not in the table at all; places of paths that are not documented.
    pub stale: Vec<String>,
}

impl Table {
    /// Returns whether every path is covered or an exception, and every exception is needed.
    pub fn is_complete(&self) -> bool {
        self.stale.is_empty() && !self.rows.iter().any(|row| matches!(row.verdict, Verdict::Missing { .. }))
    }

    /// Returns how many rows are covered, and how many are exceptions.
    pub fn counts(&self) -> (usize, usize) {
        let count = |is: fn(&Verdict) -> bool| self.rows.iter().filter(|row| is(&row.verdict)).count();
        (count(|verdict| *verdict == Verdict::Covered), count(|verdict| matches!(verdict, Verdict::Excepted { .. })))
    }
}

/// A row that is being looked for.
struct Search<'a> {
    row: Row,
    steps: Vec<Step>,
    place: Option<&'a places::Place>,
    furthest: usize,
}

impl Search<'_> {
    fn is_found(&self) -> bool {
        self.furthest == self.steps.len()
    }

    fn look(&mut self, operation: &Operation<'_>, recording: &mut Option<Recording>, places: &Places) {
        let is_place = |scopes: &places::Scopes| match scopes.split_first() {
            Some((outer, inner)) => operation.name == outer && inner.iter().all(|name| operation.has(name)),
            None => false,
        };
        if !self.is_found() && self.place.is_some_and(|place| place.scopes.iter().any(is_place)) {
            let is_class = |lock: &str, class: &str| {
                places.locks.get(lock).is_some_and(|classes| classes.iter().any(|known| known == class))
            };
            let recording = recording.get_or_insert_with(|| Recording::new(operation.steps));
            self.furthest = self.furthest.max(recording.follows(&self.steps, &is_class));
        }
    }

    fn finish(mut self, places: &Places, used: &mut BTreeSet<String>) -> (Row, Option<String>) {
        let key = format!("{} @ {}", self.row.path, self.row.kernel);
        let special = self.row.protocol.as_ref().map(|protocol| format!("{key} under {protocol}"));
        let name = special.into_iter().chain([key]).find(|name| places.exceptions.contains_key(name));
        used.extend(name.clone());
        let is_found = self.place.is_some() && self.is_found();
        let stale = name.clone().filter(|_| is_found).map(|name| format!("{name}: it is covered"));
        self.row.verdict = match name.and_then(|name| places.exceptions.get(&name)) {
            _ if is_found => Verdict::Covered,
            Some(why) => Verdict::Excepted { why: why.clone() },
            None => Verdict::Missing {
                step: self.steps.get(self.furthest).map_or_else(String::new, |step| step.text.clone()),
                followed: self.furthest,
            },
        };
        (self.row, stale)
    }
}

/// Runs the scenarios and looks for every path, of all protocols or of one.
///
/// # Errors
///
/// If one of the built-in tables cannot be read, or names what there is not.
pub fn check(only: Option<&Protocol>) -> Result<Table, String> {
    let documented = documented::parse(documented::PATHS).map_err(|error| format!("data/paths.txt: {error}"))?;
    let places = Places::parse(places::PLACES).map_err(|error| format!("data/paths-places.txt: {error}"))?;
    let mut searches = Vec::new();
    for path in &documented {
        searches.extend(rows(path, &places)?);
    }
    searches.retain(|search| only.is_none_or(|only| search.row.protocol.as_deref() == Some(only.name)));
    let protocols: BTreeSet<_> = searches.iter().filter_map(|search| search.row.protocol.clone()).collect();
    for name in protocols {
        let of_it = |search: &&mut Search<'_>| search.row.protocol.as_ref() == Some(&name);
        let (mut bugs, mut rest): (Vec<_>, Vec<_>) =
            searches.iter_mut().filter(of_it).partition(|search| pair(search.place).is_some());
        if !rest.is_empty() {
            let protocol = protocol(&name).ok_or_else(|| format!("no such protocol: {name}"))?;
            workload::watch(protocol, |operation| look(&mut rest, operation, &places));
        }
        for search in &mut bugs {
            let id = pair(search.place).unwrap_or_default();
            let pair = catalogue::named(id).ok_or_else(|| format!("no such bug: {id}"))?;
            workload::watch_bug(pair, |operation| look(&mut [&mut *search], operation, &places));
        }
    }
    let (mut used, mut stale, mut rows) = (BTreeSet::new(), Vec::new(), Vec::new());
    for search in searches {
        let (row, unneeded) = search.finish(&places, &mut used);
        rows.push(row);
        stale.extend(unneeded);
    }
    if only.is_none() {
        let unused = places.exceptions.keys().filter(|name| !used.contains(*name));
        stale.extend(unused.map(|name| format!("{name}: no such path")));
        let known = |name: &str| {
            documented.iter().any(|path| path.path == name || format!("{} @ {}", path.path, path.kernel) == name)
        };
        stale.extend(places.known().filter(|name| !known(name)).map(|name| format!("{name}: no such path")));
    }
    Ok(Table { rows, stale })
}

/// Looks for all of them. Returns whether there is nothing left to look for.
fn look(searches: &mut [&mut Search<'_>], operation: &Operation<'_>, places: &Places) -> bool {
    let mut recording = None;
    searches.iter_mut().for_each(|search| search.look(operation, &mut recording, places));
    searches.iter().all(|search| search.is_found())
}

fn pair(place: Option<&places::Place>) -> Option<&str> {
    place.and_then(|place| place.pair.as_deref())
}

fn protocol(name: &str) -> Option<Protocol> {
    Protocol::named(name).or_else(|| (Protocol::V6_4_0.name == name).then_some(Protocol::V6_4_0))
}

/// Returns the rows of a path, nothing looked for yet.
fn rows<'a>(documented: &Documented, places: &'a Places) -> Result<Vec<Search<'a>>, String> {
    let Documented { path, kernel, steps } = documented;
    let place = places.of(path, kernel);
    if let Some(step) =
        steps.iter().find(|step| !places.locks.contains_key(&step.lock) && !places.lacking.contains_key(&step.lock))
    {
        return Err(format!("no lock of the simulator for {} of {path}", step.lock));
    }
    let protocols = match pair(place).and_then(catalogue::named) {
        Some(pair) => vec![Some(pair.buggy.name.to_owned())],
        None => {
            let names = places.kernels.get(kernel).ok_or_else(|| format!("no protocol for the kernel {kernel}"))?;
            names.iter().map(|name| (name != "none").then(|| name.clone())).collect()
        }
    };
    let (mut steps, left_out): (Vec<_>, Vec<_>) =
        steps.iter().cloned().partition(|step| places.locks.contains_key(&step.lock));
    if places.given.contains(path)
        && let Some(first) = steps.iter_mut().find(|step| step.lock == "folio_lock")
    {
        first.given = true;
    }
    let without: BTreeSet<_> = left_out.into_iter().map(|step| step.lock).collect();
    let row = |protocol| Row {
        path: path.clone(),
        kernel: kernel.clone(),
        protocol,
        steps: steps.len(),
        without: without.iter().cloned().collect(),
        verdict: Verdict::Covered,
    };
    let search = |protocol| Search { row: row(protocol), steps: steps.clone(), place, furthest: 0 };
    Ok(protocols.into_iter().map(search).collect())
}
