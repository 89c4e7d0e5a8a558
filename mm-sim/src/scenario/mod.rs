//! Scenarios: who does what on a machine, and what must come of it.
//!
//! * `mail`: the story of January 2023: khugepaged frees page tables while pages fault in and memory is reclaimed.
//! * `soak`: random operations of several processes, checked against the memory model.
//! * `hugetlb`: a tour of hugetlbfs, and random operations on it.
//! * `swap`: a tour of swap, writeback and files; `shmem`: one of shared memory.
//! * `directed`: small ones, each for one race.
//! * `tour_rmap`: guests, pins and the others who use the reverse map, one after the other.
//! * `tour_others`: the kernel and other processes reach into the memory of a process.
//! * `expect`: the expected verdict as a value.

mod directed;
mod expect;
mod hugetlb;
mod mail;
mod shmem;
mod soak;
mod swap;
mod tour_address_space;
mod tour_others;
mod tour_rmap;

pub use expect::Expect;

use crate::{
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
    soak::SOAK,
    tour_rmap::GUEST,
    tour_rmap::USERFAULT,
    tour_rmap::MOVERS,
    swap::TOUR,
    shmem::TOUR,
    tour_rmap::MEMORY,
    tour_address_space::CHANGES,
    tour_address_space::HUGE,
    tour_others::OTHERS,
    hugetlb::TOUR,
    hugetlb::SOAK,
];

/// Small scenarios, to be explored schedule by schedule.
pub const DIRECTED: &[Scenario] =
    &[directed::COLLAPSE, directed::WALK, directed::FORK, directed::COW, directed::TRUNCATE];

/// Returns the scenario of this id.
pub fn named(id: &str) -> Option<&'static Scenario> {
    ALL.iter().chain(DIRECTED).find(|scenario| scenario.id == id)
}
