//! [`Observation`]: lock classes and dependencies that were really seen, whatever file they come from.
//!
//! One observation is one run, or one boot of a kernel: its class names tell its classes apart. `graph` holds it,
//! `ways` searches it, `name` takes class names apart, `finding` is what a validator has said itself. Each format is a file: `journal`, `events`,
//! `proc_lockdep`, `proc_lockdep_chains` (its `chains`), `trace` (ftrace and perf, by way of `replay`), `log`. `detect` tells them apart,
//! `combine` puts files together that belong together.

mod chains;
mod combine;
mod detect;
mod events;
mod finding;
mod graph;
mod journal;
mod log;
mod name;
mod proc_lockdep;
mod proc_lockdep_chains;
mod replay;
mod trace;
mod ways;

pub use chains::{Chains, HeldTogether};
pub use combine::combine;
pub use detect::Format;
pub use finding::{Edge, Finding};
pub use graph::{Class, Dependencies, Key, Observation, Source, Witness};
pub use name::ClassName;
pub use ways::Ways;
