//! A simulator of Linux memory management whose locks are watched by lockdep.
//!
//! The module list is a map of the code:
//!
//! * [`Protocol`]: which kernel's rules are in force (`protocol`).
//! * [`World`], [`Process`], [`File`]: what a scenario can do (`process`).
//! * [`scenario`]: who does what, and what must come of it; [`run`]: doing it.
//! * [`story`]: the main job.
//! * `op`: the operations, one a file; `mem`: the structures they work on; `machine`: what holds them together.
//! * `sched`: who runs when; `sync`: the locks; `classes`: their lock classes.
//! * `model`, [`Finding`]: what must hold; `check`: the invariants of a machine at rest.

mod check;
pub mod classes;
mod finding;
mod machine;
mod mem;
mod model;
mod op;
mod process;
mod protocol;
mod run;
pub mod scenario;
mod sched;
mod stats;
pub mod story;
mod sync;
mod tidy;

pub use finding::{Finding, Invariant};
pub use mem::{PAGE_SIZE, PMD_SIZE};
pub use op::Signal;
pub use process::{File, Process, World};
pub use run::{Outcome, run};
pub use scenario::{Expect, Scenario};
pub use sched::{Deadlock, Wait};
pub use protocol::{Exclusion, FileFaults, MmapMark, Protocol, Retract, View};
