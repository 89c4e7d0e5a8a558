//! The brain of lockdep: plain values, without a thread-local, static, clock, file or lock.
//!
//! The module list is a map of the code:
//!
//! * [`mode`]: how locks are held and wanted, and which of the two blocks which.
//! * [`context`]: interrupts, signal handlers, polls: who can interrupt whom, and what may be waited for inside.
//! * [`class`]: lock classes and their registry; [`traits`]: what a class says of itself.
//! * [`held`]: what one thread holds, in order, with the key of the whole sequence.
//! * [`chain`]: a cache of sequences already proven.
//! * [`graph`]: dependencies and the search for strong cycles; [`order`]: the topological order that spares most searches.
//! * `instances`: the order of locks within a class.
//! * [`witness`]: who made a dependency; [`segment`]: what came before what; [`grade`]: how near a cycle is to a deadlock.
//! * `check`: the rules, one file each.
//! * [`validator`]: one acquisition ([`request`]) in, what it teaches and breaks ([`violation`]) and whether it need be
//!   checked again ([`proof`]) out; the only door to the rules.
//! * [`counts`]: what the validator has done.
//! * [`explain`]: from the validator's numbers to words.
//! * [`report`]: a finding as data.
//! * [`journal`]: the JSON-lines format of classes, dependencies and reports.
//! * [`listing`]: classes as the kernel lists them, and what threads hold.
//! * [`stats`]: contentions, wait and hold times per class.
//! * [`event`]: the JSON-lines format of traces; [`replay`]: a trace run through the validator.

pub mod chain;
mod check;
pub mod class;
pub mod context;
pub mod counts;
pub mod event;
pub mod explain;
pub mod grade;
pub mod graph;
pub mod held;
mod instances;
pub mod journal;
pub mod listing;
pub mod mode;
pub mod order;
pub mod proof;
pub mod replay;
pub mod report;
pub mod request;
pub mod segment;
pub mod stats;
pub mod traits;
pub mod validator;
pub mod violation;
pub mod witness;

pub use chain::ChainCache;
pub use class::{ClassId, ClassInfo, ClassKey, ClassRegistry, Site, Subclass};
pub use context::{ContextId, ContextSet, ContextState, Contexts, WaitType, WaitTypes};
pub use counts::Counts;
pub use event::Event;
pub use explain::Evidence;
pub use grade::{FailOn, Grade, Graded};
pub use graph::{DependencyGraph, Inserted, Step};
pub use held::{Acquired, ChainKey, HeldLock, HeldStack, Point};
pub use journal::{Journal, JournalError};
pub use listing::{ClassListing, ThreadLocks};
pub use mode::{DependencyKind, HoldKind, KindSet, Mode, WaitKind};
pub use proof::Proof;
pub use replay::Replay;
pub use report::{Acquisition, Code, Dependency, Fingerprint, Frame, Report};
pub use request::Request;
pub use segment::{SegmentId, Segments};
pub use stats::LockStats;
pub use traits::{Checking, ClassTraits, SameClass};
pub use validator::{Outcome, Validator};
pub use violation::{UsageNode, Violation};
pub use witness::Witness;
