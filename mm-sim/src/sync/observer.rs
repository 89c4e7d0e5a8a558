//! Who watches a run: nobody, a survey of its acquisitions, or a trace of all that its actors do with locks.

use super::{
    survey::Survey,
    trace::{Step, Trace},
};
use crate::sched::ActorId;

/// What a run's actors report to. It changes nothing in the run.
#[derive(Debug, Default)]
pub(crate) enum Observer {
    /// Nobody.
    #[default]
    Nobody,
    /// The places of acquisitions, and whom they exclude.
    Survey(Survey),
    /// All that actors do with locks, in order.
    Trace(Trace),
}

impl Observer {
    /// Returns the survey, if it is one.
    pub(crate) const fn survey(&self) -> Option<&Survey> {
        match self {
            Self::Survey(survey) => Some(survey),
            Self::Nobody | Self::Trace(_) => None,
        }
    }

    /// Returns the trace, if it is one.
    pub(crate) const fn trace(&self) -> Option<&Trace> {
        match self {
            Self::Trace(trace) => Some(trace),
            Self::Nobody | Self::Survey(_) => None,
        }
    }

    /// Lets a trace note what an actor does.
    pub(crate) fn note(&self, me: ActorId, step: impl FnOnce() -> Step) {
        if let Some(trace) = self.trace() {
            trace.note(me, step());
        }
    }
}
