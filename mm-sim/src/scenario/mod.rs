//! Scenarios: who does what on a machine, and what must come of it.
//!
//! * `mail`: the story of January 2023: khugepaged frees page tables while pages fault in and memory is reclaimed.
//! * `soak`: random operations of several processes, checked against the memory model.
//! * `tour`: every operation in a fixed order, part by part.
//! * `directed`: small ones, each for one race.
//! * `expect`: the expected verdict as a value.

mod directed;
mod expect;
mod mail;
mod soak;
mod tour;

pub use expect::Expect;

use std::ops::Range;

use crate::{
    PAGE_SIZE,
    op::Signal,
    protocol::Protocol,
    sched::Body,
    world::{Process, World},
};

/// A scenario: a machine, what is on it, the actors, and the verdict that each protocol must give.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What the command line calls it.
    pub id: &'static str,
    /// One line about it.
    pub title: &'static str,
    /// The story, for people.
    pub story: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Pages of memory of the machine.
    pub memory: u64,
    /// The protocol that shows the bug.
    pub default_protocol: Protocol,
    /// The expected verdict.
    pub expect: fn(&Protocol) -> Expect,
    pub(crate) build: fn(&World) -> Plan,
}

impl Scenario {
    /// The same on a machine with `pages` pages of memory.
    #[must_use]
    pub const fn with_memory(self, pages: u64) -> Self {
        Self { memory: pages, ..self }
    }
}

/// What a built scenario does: its actors, and the processes that are ended when they are done.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) actors: Vec<(String, Body)>,
    pub(crate) processes: Vec<Process>,
}

impl Plan {
    /// Starts a process with nothing mapped, which is ended when the actors are done. `None` without memory for it.
    pub(crate) fn spawn(&mut self, world: &World) -> Option<Process> {
        let process = world.spawn()?;
        self.processes.push(process.clone());
        Some(process)
    }

    /// Adds an actor.
    pub(crate) fn actor(&mut self, name: &str, body: impl FnOnce() + Send + 'static) {
        self.actors.push((name.to_owned(), Box::new(body)));
    }
}

/// All scenarios, in the order of `mm-sim list`.
pub const ALL: &[Scenario] = &[
    mail::MAIL,
    mail::NO_RECLAIM,
    mail::PRIMED,
    mail::FILE_FAULTS,
    mail::DEADLOCK,
    soak::PAGES,
    tour::GUEST,
    tour::USERFAULT,
    tour::MOVERS,
    tour::COPIES,
    tour::SWAP,
    tour::SHMEM,
    tour::SHMEM_HUGE,
    tour::MEMORY,
    tour::CHANGES,
    tour::HUGE,
    tour::HUGE_SWAP,
    tour::GIVEN_UP,
    tour::OTHERS,
    tour::HUGETLB,
    tour::USERFAULT_HUGE,
    tour::USERFAULT_CHANGES,
    soak::HUGETLB,
];

/// Small scenarios, to be explored schedule by schedule.
pub const DIRECTED: &[Scenario] = &[
    directed::COLLAPSE,
    directed::WALK,
    directed::FORK,
    directed::COW,
    directed::TRUNCATE,
    directed::MAPPED_LATE,
    directed::MOVED_HOLE,
    directed::MOVED_CUT,
    directed::MOVED_DIRTY,
    directed::SWAP_FILE,
    directed::BUFFERS,
];

/// Returns the scenario of this id.
pub fn named(id: &str) -> Option<&'static Scenario> {
    ALL.iter().chain(DIRECTED).find(|scenario| scenario.id == id)
}

/// A right signal is as good as a right value; a wrong one is a finding already.
fn checked<T>(_result: Result<T, Signal>) {}

/// The addresses of some pages of a mapping.
const fn pages(addr: u64, first: u64, count: u64) -> Range<u64> {
    addr + first * PAGE_SIZE..addr + (first + count) * PAGE_SIZE
}
