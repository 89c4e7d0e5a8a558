//! The catalogue: bugs of the kernel's history, each as a pair of runs.
//!
//! A [`Pair`] is data: the same machine and the same actors under two sets of rules, those of the kernel that had the bug
//! and those of the kernel that had it no more. Where no kernel release has exactly the bug, the rules carry a [`Bug`].
//! One file a family, under the ids of the history: `vma_lock` (V), `page_tables` (K: khugepaged; M: moving and freeing),
//! `hugetlb` (H, and M1, M2, F3: classes of its own), `waiting` (R), `groups` (C: groups of processes, and
//! processors), `file_systems` (F), `address_space` (what system calls do to an address
//! space); `stage` has the actors that many of them need.
//!
//! What cannot be shown is in [`ABSENT`], with the reason.
//!
//! To add a pair: an entry in the file of its family, and a `build` beside it that says who does what. An operation that
//! has to go wrong asks the protocol ([`Protocol::has`]) and its bug gets a name in `rules/bug.rs`.

mod absent;
mod address_space;
mod file_systems;
mod groups;
mod gup;
mod hugetlb;
mod memory;
mod page_tables;
mod stage;
mod userfaultfd;
mod vma_lock;
mod waiting;

use crate::{
    protocol::Protocol,
    run::{self, Outcome, Setup},
    scenario::{Expect, Plan},
    world::World,
};

pub use absent::{ABSENT, Absent};

#[cfg(doc)]
use crate::Bug;

/// One bug, twice: with it and without it.
#[derive(Clone, Copy)]
pub struct Pair {
    /// The id: a letter for the family and a number.
    pub id: &'static str,
    /// One line about it.
    pub title: &'static str,
    /// The story, for people.
    pub story: &'static str,
    /// The kernels that had it.
    pub kernels: &'static str,
    /// Who found it, and where that can be read.
    pub source: &'static str,
    /// What ended it.
    pub fix: &'static str,
    /// Pages of memory of the machine.
    pub memory: u64,
    /// The rules with the bug.
    pub buggy: Protocol,
    /// The rules without it. Nothing must be found under them.
    pub fixed: Protocol,
    /// What must be found under the rules with the bug.
    pub verdict: Expect,
    /// How many seeds, from 1 on, it may take until the verdict comes: 1 if every seed gives it.
    pub seeds: u64,
    pub(crate) build: fn(&World) -> Plan,
}

/// The families, in the order of `mm-sim list`.
const FAMILIES: &[&[Pair]] = &[
    vma_lock::PAIRS,
    address_space::PAIRS,
    page_tables::PAIRS,
    hugetlb::PAIRS,
    waiting::PAIRS,
    groups::PAIRS,
    file_systems::PAIRS,
    gup::PAIRS,
    userfaultfd::PAIRS,
    memory::PAIRS,
];

/// Returns all pairs.
pub fn all() -> impl Iterator<Item = &'static Pair> {
    FAMILIES.iter().copied().flatten()
}

/// Returns the pair of this id, in upper or lower case.
pub fn named(id: &str) -> Option<&'static Pair> {
    all().find(|pair| pair.id.eq_ignore_ascii_case(id))
}

impl Pair {
    /// Runs it with the bug.
    pub fn run_buggy(&self, seed: u64) -> Outcome {
        run::play(&self.setup(), self.buggy, self.verdict, seed)
    }

    /// Runs it without the bug.
    pub fn run_fixed(&self, seed: u64) -> Outcome {
        run::play(&self.setup(), self.fixed, Expect::Silent, seed)
    }

    /// Runs it with the bug until the verdict comes. Returns that outcome, or the last one if it never came.
    pub fn find(&self) -> Outcome {
        let shows = |outcome: &Outcome| outcome.is_expected;
        (1..self.seeds).map(|seed| self.run_buggy(seed)).find(shows).unwrap_or_else(|| self.run_buggy(self.seeds))
    }

    const fn setup(&self) -> Setup {
        Setup { id: self.id, memory: self.memory, build: self.build }
    }
}
