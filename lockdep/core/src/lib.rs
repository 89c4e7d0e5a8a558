//! The brain of lockdep: plain values, without a thread-local, static, clock, file or lock.
//!
//! The module list is a map of the code, in the order of the data's way through it:
//!
//! * [`mode`]: how locks are held and wanted, and which of the two blocks which.
//! * [`class`]: lock classes and their registry.
//! * [`report`]: a finding as data.
//! * [`journal`]: the JSON-lines format of classes, dependencies and reports.

pub mod class;
pub mod journal;
pub mod mode;
pub mod report;

pub use class::{ClassId, ClassInfo, ClassKey, ClassRegistry, Site, Subclass};
pub use journal::{Journal, JournalError};
pub use mode::{DependencyKind, HoldKind, KindSet, Mode, WaitKind};
pub use report::{Acquisition, Code, Dependency, Fingerprint, Frame, Report};
