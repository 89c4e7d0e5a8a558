//! The process-wide runtime: what turns the brain, which is a value, into something that watches real threads.
//!
//! * `thread`: the fast path: a thread's held stack, nothing shared. `proven`: the acquisition points it has seen proven.
//! * `cold`: everything else that an acquisition can lead to. `findings`: what of it is told.
//! * `session`: a validator with what belongs to it; one for the process, others on demand. `settings`: the environment.
//! * `enter`: moving between sessions. `fork`: beginnings and ends of threads.
//! * `attention`: one word that every fast path reads: off, or the number of the latest thing to attend to; `state`: the
//!   process's own.
//! * `points`: which acquisition points are proven, as far as the session knows. `numbers`, `classes`: numbers for classes
//!   and locks. `stack`, `paths`: capture now, resolve when a report is rendered.
//! * `rules`: what classes say of themselves. `placed`: ranks, nest locks, pins. `contexts`, `guards`: interrupting code, polls, regions.
//! * `observe`: who wants to see everything: `trace`, `statistics`, `held_table`. `summary`, `budget`: what came of it, what it may take.
//! * `output`: policy, tracing events. `journal`: the file. `span`: the context that tracing knows.
//!
//! `attention`, `points`, `numbers` and `budget` are built of `sync` alone, so that the package `lockdep/loom` can try all
//! their schedules.
//!
//! No lock of this crate is used in here, and a thread that is inside is not watched.

// Lock order: learnt -> spans or stacks or table or THREADS or RESOLVED or registry or NAMES -> PREFIXES (orphans alone)
// Lock order: TRACE -> THREADS or registry or NAMES -> PREFIXES
mod attention;
mod budget;
pub(crate) mod classes;
mod cold;
mod contexts;
mod enter;
mod findings;
pub(crate) mod fork;
pub(crate) mod guards;
mod held_table;
mod journal;
mod numbers;
pub(crate) mod observe;
mod output;
mod paths;
pub(crate) mod placed;
mod points;
mod proven;
pub(crate) mod rules;
mod session;
mod settings;
mod span;
mod stack;
mod state;
pub(crate) mod statistics;
mod summary;
mod sync;
pub(crate) mod thread;
mod trace;

pub(crate) use cold::unwatched;
pub(crate) use contexts::{ContextCell, context_state};
pub use session::Session;
pub use span::SpanLayer;
pub use summary::{Summary, SummaryOnDrop};

/// Switches lock statistics on or off.
pub(crate) fn set_statistics(on: bool) {
    observe::set(observe::STATISTICS, on);
}

/// Switches the table of what all threads hold on or off.
pub(crate) fn set_held_table(on: bool) {
    held_table::set(on);
}

/// Returns what this thread holds.
pub(crate) fn held_here() -> lockdep_core::ThreadLocks {
    held_table::here()
}

/// Returns what all threads hold.
pub(crate) fn held_table() -> Vec<lockdep_core::ThreadLocks> {
    unwatched(held_table::read)
}
