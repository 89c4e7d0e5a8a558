//! What the threads of the random scenarios have in common: they use what their process has mapped.

use std::{ops::Range, sync::Arc};

use parking_lot::Mutex;

use super::checked;
use crate::{Access, PAGE_SIZE, sched::Rng, world::Process};

/// What pages are like.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    /// The size of one, in bytes.
    pub(super) size: u64,
    /// How many of a mapping's first pages are accessed, so that threads meet.
    pub(super) near: u64,
    /// How many small pages at the start of one are accessed.
    pub(super) small: u64,
}

/// Address and pages of what the threads of one process have mapped.
pub(super) type Mappings = Arc<Mutex<Vec<(u64, u64)>>>;

/// A thread of a process, and what it draws.
pub(super) struct User {
    pub(super) process: Process,
    pub(super) rng: Rng,
    mappings: Mappings,
    pages: Pages,
}

impl User {
    pub(super) fn new(process: &Process, rng: Rng, mappings: &Mappings, pages: Pages) -> Self {
        Self { process: process.clone(), rng, mappings: mappings.clone(), pages }
    }

    /// Something is mapped, for the other threads too.
    pub(super) fn add(&self, addr: u64, pages: u64) {
        self.mappings.lock().push((addr, pages));
    }

    /// Draws a mapping: its address and its pages.
    pub(super) fn pick(&mut self) -> Option<(u64, u64)> {
        let mappings = self.mappings.lock();
        let count = mappings.len() as u64;
        (count > 0).then(|| mappings[self.rng.below(count) as usize])
    }

    /// Draws a part of a mapping: its addresses.
    pub(super) fn part(&mut self) -> Option<Range<u64>> {
        let (addr, pages) = self.pick()?;
        let first = self.rng.below(pages);
        let count = 1 + self.rng.below(pages - first);
        Some(addr + first * self.pages.size..addr + (first + count) * self.pages.size)
    }

    /// Draws an address near the start of a mapping, where others have been too.
    pub(super) fn address(&mut self) -> Option<u64> {
        let (addr, pages) = self.pick()?;
        let page = addr + self.rng.below(pages.min(self.pages.near)) * self.pages.size;
        Some(if self.pages.small == 1 { page } else { page + self.rng.below(self.pages.small) * PAGE_SIZE })
    }

    pub(super) fn load(&mut self) {
        if let Some(addr) = self.address() {
            checked(self.process.load(addr));
        }
    }

    pub(super) fn store(&mut self, word: u64) {
        if let Some(addr) = self.address() {
            checked(self.process.store(addr, word << 8 | self.rng.below(256)));
        }
    }

    pub(super) fn unmap(&mut self) {
        let Some(range) = self.part() else { return };
        self.process.unmap(range);
    }

    pub(super) fn protect(&mut self) {
        let Some(range) = self.part() else { return };
        let access = [Access::READ_WRITE, Access::READ_WRITE, Access::READ, Access::NONE][self.rng.below(4) as usize];
        self.process.protect(range, access);
    }

    /// A child becomes another program, looks at its arguments, and ends.
    fn become_another(&mut self, child: Process, word: u64) {
        let arguments: Vec<u64> = (0..=self.rng.below(7)).map(|number| word << 8 | number).collect();
        let Some((program, stack)) = child.exec(&arguments, self.rng.below(600)) else { return };
        for (&argument, page) in arguments.iter().zip(0..) {
            // It may not be able to, for lack of memory.
            let found = program.load(stack + page * PAGE_SIZE);
            assert!(found.is_err() || found == Ok(argument), "argument {page} is {found:?} instead of {argument}");
            checked(program.store(stack + page * PAGE_SIZE, word));
        }
        program.exit();
    }

    /// Makes a child; both write what the other one must not see.
    pub(super) fn fork(&mut self, word: u64) {
        let Some(child) = self.process.fork() else { return };
        for _ in 0..4 {
            let (Some(mine), Some(yours)) = (self.address(), self.address()) else { continue };
            checked(self.process.store(mine, word << 20));
            checked(child.load(mine));
            checked(child.store(yours, word << 16));
            checked(self.process.load(yours));
            checked(child.load(mine));
        }
        match word % 3 {
            0 => self.become_another(child, word),
            _ => child.exit(),
        }
    }
}
