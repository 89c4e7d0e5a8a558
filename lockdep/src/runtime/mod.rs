//! To be written.
use crate::Policy;
use lockdep_core::{Journal, Report};

/// A validator of its own, for the threads that enter it.
#[derive(Clone, Debug)]
pub struct Session;

impl Session {
    /// A session that has learnt nothing.
    pub fn new(policy: Policy) -> Self {
        let _ = policy;
        Self
    }

    /// Runs `f`; what this thread acquires in it goes to this session.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }

    /// Returns the findings so far, in order.
    pub fn reports(&self) -> Vec<Report> {
        Vec::new()
    }

    /// Returns everything learnt so far, as a journal of `program`.
    pub fn journal(&self, program: &str) -> Journal {
        Journal::new(program)
    }
}
