//! Whether the operations take the documented locks in the documented order: code paths of the kernel, step by step, held
//! against what actors did.
//!
//! * [`check`]: runs the scenarios under each protocol and says of each path whether an operation has followed it.
//! * [`Tables`]: what is looked for, and where: `documented` (`data/paths.txt`) has the paths, `places`
//!   (`data/paths-places.txt`) the operations that take them, which protocol stands for which kernel, and the exceptions.
//! * `workload`: the runs; `operation`: what one operation did; `recording`: that made ready for `matcher`, which holds it against one
//!   path.
//! * `search`: a path under a protocol while it is looked for; [`Table`]: what came of all; `nearest`: how far an operation
//!   came that did not follow; `render`: as text.
//!
//! The lock order says which locks may nest. This says more: that the paths which the kernel's people wrote down are
//! there, with trylocks where they try and releases where they release.
//!
//! Every exception is looked for like everything else, and is stale once it is covered; so is every line of the tables that
//! names a lock or an operation which no run has met.

mod documented;
mod matcher;
mod nearest;
mod operation;
mod places;
mod recording;
mod render;
mod search;
mod table;
mod tables;
mod workload;

use std::{collections::BTreeMap, thread};

pub use self::{
    nearest::{Line, Nearest, Seen},
    table::{Row, Table, Verdict},
    tables::Tables,
};
use self::{
    search::{Runs, Search},
    workload::Classes,
};
use crate::{mutate::Mutant, protocol::Protocol};

/// What is looked for, and under which rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// The rows of one protocol, run by these rules, which may decide otherwise than its kernel.
    pub protocol: Option<Protocol>,
    /// The rows of one path.
    pub path: Option<&'a str>,
    /// A deliberate bug in all runs.
    pub mutant: Option<&'a Mutant>,
    /// How many more seeds are run while something is missing that is no exception: which operation meets what is partly luck.
    pub more_seeds: u64,
    /// Whether exceptions are missing like everything else that no operation follows.
    pub is_strict: bool,
}

impl Query<'_> {
    /// Returns whether nothing is left out.
    fn is_whole(&self) -> bool {
        self.protocol.is_none() && self.path.is_none() && self.mutant.is_none()
    }

    fn wants(&self, search: &Search<'_>) -> bool {
        let protocol = self.protocol.map(|protocol| protocol.name);
        (protocol.is_none() || search.protocol() == protocol) && self.path.is_none_or(|path| search.path() == path)
    }
}

/// Runs the scenarios and looks for the paths, the protocols side by side on threads of their own.
///
/// # Panics
///
/// If a thread cannot be started.
pub fn check(tables: &Tables, query: &Query<'_>) -> Table {
    let searches = tables.searches().into_iter().filter(|search| query.wants(search));
    let mut groups: BTreeMap<Runs<'_>, Group<'_>> = BTreeMap::new();
    for (at, search) in searches.enumerate() {
        groups.entry(search.runs()).or_default().push((at, search));
    }
    let (mut searched, mut met): (Group<'_>, Classes) = Default::default();
    thread::scope(|scope| {
        let start = |(runs, group)| scope.spawn(move || look(query, runs, group));
        let threads: Vec<_> = groups.into_iter().map(start).collect();
        for thread in threads {
            let (group, its) = thread.join().expect("a run catches the panics of its actors");
            searched.extend(group);
            met.extend(its);
        }
    });
    searched.sort_by_key(|(at, _)| *at);
    let searches: Vec<_> = searched.into_iter().map(|(_, search)| search).collect();
    let mut stale: Vec<_> = searches.iter().filter_map(Search::stale).collect();
    if query.is_whole() {
        stale.extend(tables.stale(&searches, &met));
    }
    Table { rows: searches.into_iter().map(|search| search.finish(query.is_strict)).collect(), stale }
}

/// Rows that need the same runs, numbered by their order in the file.
type Group<'a> = Vec<(usize, Search<'a>)>;

fn look<'a>(query: &Query<'_>, runs: Runs<'a>, mut group: Group<'a>) -> (Group<'a>, Classes) {
    let met = workload::look(query, runs, group.iter_mut().map(|(_, search)| search).collect());
    (group, met)
}
