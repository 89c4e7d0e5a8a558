//! The expected verdict of a run.

use std::{collections::BTreeSet, fmt};

use lockdep::{Code, Report};

use crate::{
    finding::{Finding, Invariant},
    sched::Deadlock,
};

/// What a run must find: this, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Silent,
    /// A circular dependency through exactly these classes.
    Cycle(&'static [&'static str]),
    /// Circular dependencies that all go through the first class, one of them through the second one too, and maybe the
    /// deadlock itself.
    CyclesThrough(&'static str, &'static str),
    /// A circular dependency through exactly these classes, and the deadlock itself.
    Deadlock(&'static [&'static str]),
    /// Nothing, or what [`CyclesThrough`](Self::CyclesThrough) says: only some schedules show it.
    SilentOrCyclesThrough(&'static str, &'static str),
    /// The thread takes a lock of this class that it has already, and maybe the deadlock itself.
    Recursion(&'static str),
    /// The deadlock itself, through waits for exactly these, of which lockdep sees too little to tell anything.
    Hang(&'static [&'static str]),
    /// A broken invariant.
    Broken(Invariant),
}

impl Expect {
    pub(crate) fn is_met(self, reports: &[Report], findings: &[Finding], deadlock: Option<&Deadlock>) -> bool {
        let quiet = findings.is_empty() && deadlock.is_none();
        match self {
            Self::Silent => reports.is_empty() && quiet,
            Self::Cycle(classes) => {
                let classes: BTreeSet<_> = classes.iter().copied().collect();
                quiet && reports.len() == 1 && cycle_of(&reports[0]) == classes
            }
            Self::Deadlock(classes) => {
                let classes: BTreeSet<_> = classes.iter().copied().collect();
                let is_it = reports.iter().any(|report| cycle_of(report) == classes);
                findings.is_empty() && is_it && deadlock.is_some()
            }
            Self::Hang(waits) => {
                let waits: BTreeSet<_> = waits.iter().copied().collect();
                let base = |lock: &'_ str| {
                    lock.find(" of ").map_or(lock.len(), |at| if lock.contains("->") { at } else { lock.len() })
                };
                let is_it = |deadlock: &Deadlock| {
                    deadlock.waits.iter().map(|wait| &wait.lock[..base(&wait.lock)]).collect::<BTreeSet<_>>() == waits
                };
                reports.is_empty() && findings.is_empty() && deadlock.is_some_and(is_it)
            }
            Self::CyclesThrough(all, one) => {
                let through = |class: &str, report: &Report| cycle_of(report).contains(class);
                let all_are = reports.iter().all(|report| through(all, report));
                findings.is_empty() && all_are && reports.iter().any(|report| through(one, report))
            }
            Self::SilentOrCyclesThrough(all, one) => {
                let either = [Self::Silent, Self::CyclesThrough(all, one)];
                either.into_iter().any(|expect| expect.is_met(reports, findings, deadlock))
            }
            Self::Recursion(class) => {
                let is_it = |report: &Report| report.code == Code::Recursion && report.wanted.class == class;
                findings.is_empty() && !reports.is_empty() && reports.iter().all(is_it)
            }
            Self::Broken(invariant) => {
                !findings.is_empty() && findings.iter().any(|finding| finding.invariant == invariant)
            }
        }
    }
}

/// Returns the classes of a cycle, without their nesting levels.
fn cycle_of(report: &Report) -> BTreeSet<&str> {
    let base = |label: &'_ str| label.rfind('/').map_or(label.len(), |at| at);
    report.cycle.iter().map(|dependency| &dependency.outer.class[..base(&dependency.outer.class)]).collect()
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("silent"),
            Self::Cycle(classes) => write!(f, "circular-dependency {{{}}}", classes.join(", ")),
            Self::Deadlock(classes) => write!(f, "circular-dependency {{{}}} and deadlock", classes.join(", ")),
            Self::Hang(waits) => write!(f, "deadlock through {}", waits.join(" and ")),
            Self::CyclesThrough(all, one) => write!(f, "circular dependencies through {all}, one through {one} too"),
            Self::SilentOrCyclesThrough(all, one) => {
                write!(f, "{}, or {}", Self::Silent, Self::CyclesThrough(all, one))
            }
            Self::Recursion(class) => write!(f, "recursion of {class}"),
            Self::Broken(invariant) => write!(f, "broken: {}", invariant.as_str()),
        }
    }
}
