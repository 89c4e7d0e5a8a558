//! [`Summary`]: what came of a run.

use std::{
    cell::RefCell,
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use lockdep_core::{Counts, Grade};

use super::{budget::Dropped, names, shared::Shared, statistics, thread::unwatched, wanted};

/// What came of a run so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many findings there are of each grade, the worst first, and how often they were made all together.
    pub findings: Vec<(Grade, usize, u64)>,
    /// How many classes were met, subclasses apart.
    pub classes: usize,
    /// How many dependencies between them were learnt.
    pub dependencies: usize,
    /// How many acquisition points are known.
    pub points: usize,
    /// How many stacks are kept.
    pub stacks: usize,
    /// How many spans are remembered, by name and fields.
    pub spans: usize,
    /// How many threads of the process have taken part, in any session.
    pub threads: usize,
    /// What the validator has done.
    pub counts: Counts,
    /// How many locks had their place within their class forgotten, to bound memory.
    pub forgotten_instances: u64,
    /// How much memory is in use, in bytes, approximately.
    pub memory: usize,
    /// The memory budget that was reached, in bytes, if statistics were dropped for it.
    pub dropped_statistics: Option<usize>,
    /// The same, if stacks were dropped for it.
    pub dropped_stacks: Option<usize>,
}

impl Summary {
    pub(super) fn of(shared: &Shared) -> Self {
        let learnt = shared.learnt.lock();
        let of_grade = |grade: Grade| {
            let alike = || learnt.grades().filter(|(_, other)| *other == grade);
            (grade, alike().count(), alike().map(|(times, _)| times).sum())
        };
        let dropped = |what| (shared.budget.dropped() >= what).then(|| shared.budget.limit());
        Self {
            findings: Grade::ALL.into_iter().rev().map(of_grade).filter(|(_, count, _)| *count > 0).collect(),
            classes: learnt.class_count(),
            dependencies: learnt.validator.dependencies().len(),
            points: shared.points.len(),
            stacks: shared.stacks.lock().len(),
            spans: shared.span_count(),
            threads: names::thread_count(),
            counts: learnt.validator.counts(),
            forgotten_instances: learnt.validator.forgotten_instances(),
            memory: shared.budget.used(),
            dropped_statistics: dropped(Dropped::Statistics),
            dropped_stacks: dropped(Dropped::Stacks),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            write!(f, "no findings")?;
        }
        for (index, (grade, count, times)) in self.findings.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let plural = if *count == 1 { "finding" } else { "findings" };
            write!(f, "{comma}{count} {plural} of grade {grade} (made {times} times)")?;
        }
        write!(f, "; {} classes, {} dependencies, {} points", self.classes, self.dependencies, self.points)?;
        write!(f, ", about {} KiB", self.memory / 1024)?;
        if self.forgotten_instances > 0 {
            write!(f, "; the places of {} locks within their classes were forgotten", self.forgotten_instances)?;
        }
        for (what, dropped) in [("statistics", self.dropped_statistics), ("stacks", self.dropped_stacks)] {
            if let Some(budget) = dropped {
                write!(f, "; {what} were dropped for the memory budget of {} KiB", budget / 1024)?;
            }
        }
        Ok(())
    }
}

/// Prints the summary of the process when it is dropped.
#[must_use = "the summary is printed when this is dropped"]
#[derive(Debug)]
pub struct SummaryOnDrop(Arc<Shared>);

impl SummaryOnDrop {
    /// For the process, whose session this is.
    pub(super) const fn new(process: Arc<Shared>) -> Self {
        Self(process)
    }
}

impl Drop for SummaryOnDrop {
    fn drop(&mut self) {
        let (statistics, summary) =
            unwatched(|| (statistics::is_on().then(|| statistics::read(&self.0)), Summary::of(&self.0)));
        if let Some(statistics) = statistics {
            eprint!("{}", lockdep_report::stats::render(&statistics));
        }
        eprintln!("lockdep: {summary}");
    }
}

thread_local! {
    static AT_END: RefCell<Option<SummaryOnDrop>> = const { RefCell::new(None) };
}

/// Prints the summary when the main thread ends, if this is the main thread.
pub(super) fn print_at_end(process: impl FnOnce() -> &'static Arc<Shared>) {
    if wanted::SUMMARY.load(Relaxed) && std::thread::current().name() == Some("main") {
        let _ = AT_END.try_with(|end| *end.borrow_mut() = Some(SummaryOnDrop::new(process().clone())));
    }
}
