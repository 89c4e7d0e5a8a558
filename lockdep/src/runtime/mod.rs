//! The process-wide runtime: what turns the brain, which is a value, into something that watches real threads.
//!
//! From the top down, nobody above whom it uses:
//!
//! * `session`: a validator with what belongs to it, for its user; `guards`, `fork`, `placed`, `waits`, `queries`: what else the hooks
//!   ask for.
//! * `hot`: the fast path: what a thread has seen proven. `cold`: everything else that an acquisition or a release can lead to;
//!   `check`: asking the validator; `pins`: what must stay held; `contexts`: interrupting code, polls.
//! * `inside`: going inside with everything up to date; `enter`: moving between sessions; `process`: the session of the process, made
//!   as the environment says (`settings`). `summary`: what came of it.
//! * `observe`: tells whoever wants to see everything: `trace`, `statistics`, `held_table`. `marks`, `findings`: what is told, and where.
//! * `thread`: what one thread holds, and has seen proven (`proven`); nothing shared. `attempt`: an acquisition about to be made.
//! * `shared`: what the threads of a session share; `stack`, `paths`, `span`, `counters`, `journal`: its parts.
//! * `record`: what a lock carries; `lock_id`, `context_id`, `classes`, `rules`, `names`: which lock, context, class, thread.
//! * `state`: one word that every fast path reads (`attention`): off, or the number of the latest thing to attend to; `wanted`: whether
//!   anybody wants to see everything. `output`: policy, tracing events.
//! * `points`: which acquisition points are proven, as far as the session knows. `numbers`: numbers for classes and locks. `budget`:
//!   the memory it may take.
//!
//! `attention`, `points`, `numbers` and `budget` are built of `sync` alone, so that the package `lockdep/loom` can try all
//! their schedules.
//!
//! No lock of this crate is used in here, and a thread that is inside is not watched.

// Lock order: learnt -> spans or stacks or table or THREADS or RESOLVED or registry or NAMES -> PREFIXES (orphans alone)
// Lock order: TRACE -> THREADS or registry or NAMES -> PREFIXES
mod attempt;
mod attention;
mod budget;
mod check;
pub(crate) mod classes;
mod cold;
pub(crate) mod context_id;
pub(crate) mod contexts;
mod counters;
mod enter;
mod findings;
pub(crate) mod fork;
pub(crate) mod guards;
mod held_table;
pub(crate) mod hot;
mod inside;
mod journal;
pub(crate) mod lock_id;
mod marks;
mod names;
mod numbers;
mod observe;
mod output;
mod paths;
pub(crate) mod pins;
pub(crate) mod placed;
mod points;
mod process;
mod proven;
pub(crate) mod queries;
pub(crate) mod record;
pub(crate) mod rules;
mod session;
mod settings;
mod shared;
mod span;
mod stack;
mod state;
mod statistics;
mod summary;
mod sync;
pub(crate) mod thread;
mod trace;
pub(crate) mod waits;
pub(crate) mod wanted;

pub use session::Session;
pub use span::SpanLayer;
pub use summary::{Summary, SummaryOnDrop};
pub(crate) use thread::unwatched;

/// Switches lock statistics on or off.
pub(crate) fn set_statistics(on: bool) {
    wanted::set(wanted::STATISTICS, on);
}

/// Switches the table of what all threads hold on or off.
pub(crate) fn set_held_table(on: bool) {
    held_table::set(on);
}

/// Returns what all threads hold.
pub(crate) fn held_table() -> Vec<lockdep_core::ThreadLocks> {
    unwatched(held_table::read)
}

/// Prints the summary of the process when the result is dropped.
pub(crate) fn summary_on_drop() -> SummaryOnDrop {
    SummaryOnDrop::new(unwatched(|| process::session().clone()))
}
