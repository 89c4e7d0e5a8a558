//! A simulator of Linux memory management whose locks are watched by lockdep.
//!
//! The module list is a map of the code:
//!
//! * [`Protocol`]: which kernel's rules are in force (`rules`); [`WhatIf`]: one of them made otherwise.
//! * [`World`], [`Process`], [`File`]: what a scenario can do (`world`).
//! * [`scenario`]: who does what, and what must come of it; [`run`]: doing it.
//! * [`catalogue`]: bugs of the kernel's history, each with and without; [`Bug`]: what operations do wrong when told to.
//! * [`story`]: the main job.
//! * [`explore`]: other schedules of a small scenario, all with few preemptions or drawn ones.
//! * [`mutate`]: whether a bug would be noticed.
//! * [`size`]: many processes with many VMAs.
//! * [`stress`]: the operations on threads that really run at the same time.
//! * [`fidelity`]: how much of it a running kernel does too.
//! * [`paths`]: whether operations take the locks of the kernel's documented code paths, in their order.
//! * `op`: the operations, one a file; `mem`: the structures they work on; `machine`: what holds them together.
//! * `sched`: who runs when; `sync`: the locks; `classes`: their lock classes.
//! * `model`, [`Finding`]: what must hold; `check`: the invariants of a machine at rest.
//!
//! ```
//! use mm_sim::{Protocol, run, scenario};
//!
//! let mail = scenario::named("mail").unwrap();
//! let outcome = run(mail, Protocol::JAN_2023, 1);
//! assert_eq!(outcome.verdict, "circular-dependency {mapping->i_mmap_rwsem, vma->vm_lock, fs_reclaim}");
//! assert!(!run(mail, Protocol::V6_4, 1).has_findings());
//! ```

pub mod catalogue;
mod check;
pub mod classes;
pub mod explore;
pub mod fidelity;
mod finding;
mod machine;
mod mem;
mod model;
pub mod mutate;
mod op;
pub mod paths;
mod rules;
mod run;
pub mod scenario;
mod sched;
pub mod size;
mod stats;
pub mod story;
pub mod stress;
mod sync;
mod tidy;
mod world;

use rules::{bug, protocol, what_if};

pub use bug::Bug;
pub use catalogue::Pair;
pub use finding::{Finding, Invariant};
pub use mem::{Message, PAGE_SIZE, PMD_SIZE, PUD_SIZE};
pub use model::Access;
pub use op::{Advice, Signal, userfaultfd::fill::Filled};
pub use protocol::{
    Exclusion, FileFaults, HugetlbLocking, MmapMark, Protocol, Retract, StackGrowth, UserfaultLocks, View, VmaSequence,
};
pub use run::{Outcome, run};
pub use scenario::{Expect, Scenario};
pub use sched::{Deadlock, Schedule, Wait};
pub use sync::{Look, Place, Twist};
pub use what_if::{SWITCHES, Switch, WhatIf};
pub use world::{Directory, File, Guest, Huge, Pin, PlainDirectory, Process, Userfault, World};
