//! [`Observation`]: lock classes and dependencies that were really seen, whatever file they come from.
//!
//! One observation is one run, or one boot of a kernel: its class names tell its classes apart. `graph` holds it,
//! `name` takes class names apart, `journal` and `proc_lockdep` read files, `detect` tells the formats apart.

mod detect;
mod graph;
mod journal;
mod name;
mod proc_lockdep;

pub use detect::Format;
pub use graph::{Class, Observation, Source, Witness};
pub use name::ClassName;
