//! The brain of lockdep: plain values, without a thread-local, static, clock, file or lock.
//!
//! The module list is a map of the code:
//!
//! * [`mode`]: how locks are held and wanted, and which of the two blocks which.
//! * [`class`]: lock classes and their registry.
//! * [`held`]: what one thread holds, in order, with the key of the whole sequence.
//! * [`chain`]: a cache of sequences already proven.
//! * [`graph`]: dependencies and the search for strong cycles; [`order`]: the topological order that spares most searches.
//! * `check`: the rules, one file each.
//! * [`validator`]: one acquisition in, what it teaches and what it breaks out; the only door to the rules.
//! * [`explain`]: from the validator's numbers to words.
//! * [`report`]: a finding as data.
//! * [`journal`]: the JSON-lines format of classes, dependencies and reports.

pub mod chain;
mod check;
pub mod class;
pub mod explain;
pub mod graph;
pub mod held;
pub mod journal;
pub mod mode;
pub mod order;
pub mod report;
pub mod validator;

pub use chain::ChainCache;
pub use class::{ClassId, ClassInfo, ClassKey, ClassRegistry, Site, Subclass};
pub use explain::Evidence;
pub use graph::{DependencyGraph, Inserted, Step};
pub use held::{Acquired, ChainKey, HeldLock, HeldStack, Point};
pub use journal::{Journal, JournalError};
pub use mode::{DependencyKind, HoldKind, KindSet, Mode, WaitKind};
pub use report::{Acquisition, Code, Dependency, Fingerprint, Frame, Report};
pub use validator::{Outcome, Request, Validator, Violation, Witness};
