//! A userfaultfd, as its holder sees it.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::Process;
use crate::{
    Bug,
    mem::{Message, Userfaultfd},
    op::{self, userfaultfd::fill::Filled},
    sched,
};

/// Steps that user code pauses for before it tries again.
const PAUSE: u64 = 30;

/// A userfaultfd of a process.
#[derive(Clone)]
pub struct Userfault {
    process: Process,
    ctx: Arc<Userfaultfd>,
}

impl Process {
    /// Opens a userfaultfd: the holder is told of pages that are missing, and brings them in.
    pub fn userfaultfd(&self) -> Userfault {
        Userfault {
            process: self.clone(),
            ctx: Userfaultfd::new(self.machine.new_id(), self.machine.protocol.has(Bug::UffdQueuesWithIrqsOn)),
        }
    }
}

impl Userfault {
    /// Polls the file. Returns whether somebody waits for a page.
    pub fn poll(&self) -> bool {
        self.ctx.poll()
    }

    /// Wants to be told of missing pages of the mappings of a range, and of writes to protected ones. They may be private, without
    /// a file or of shared memory, or of hugetlbfs. Returns whether there are such mappings that nobody else is told of.
    pub fn register(&self, range: Range<u64>, missing: bool, writes: bool) -> bool {
        let modes = op::userfaultfd::register::Modes { missing, wp: writes };
        op::userfaultfd::register::register(&self.process.machine, &self.process.mm, &self.ctx, &range, modes)
    }

    /// Ends that for a range.
    pub fn unregister(&self, range: Range<u64>) {
        op::userfaultfd::register::unregister(&self.process.machine, &self.process.mm, &self.ctx, &range);
    }

    /// Returns who waits for a page, if anybody has come since.
    pub fn read(&self) -> Option<Message> {
        self.ctx.read()
    }

    /// Brings in a page with the word at `from`, which is an address of the process too.
    pub fn copy(&self, addr: u64, from: u64) -> Filled {
        self.fill(addr, op::userfaultfd::fill::Source::User(from))
    }

    /// Brings in a page of zeros.
    pub fn zeropage(&self, addr: u64) -> Filled {
        self.fill(addr, op::userfaultfd::fill::Source::Zeros)
    }

    fn fill(&self, addr: u64, source: op::userfaultfd::fill::Source) -> Filled {
        op::userfaultfd::fill::mfill_atomic(&self.process.machine, &self.process.mm, &self.ctx, addr, source)
    }

    /// Brings in the page that is mapped at `from`, which is empty then.
    pub fn move_page(&self, addr: u64, from: u64) -> Filled {
        op::userfaultfd::move_pages::move_page(&self.process.machine, &self.process.mm, &self.ctx, addr, from)
    }

    /// Protects the pages of a range from writes, or lets them be written again.
    pub fn protect(&self, range: Range<u64>, protect: bool) -> Filled {
        let (machine, mm) = (&self.process.machine, &self.process.mm);
        op::userfaultfd::protect::mwriteprotect_range(machine, mm, &self.ctx, &range, protect)
    }

    /// Wakes those who wait for a page of a range; they fault again if it is not there.
    pub fn wake(&self, range: Range<u64>) {
        self.ctx.wake(&range);
    }

    /// Does what somebody who waits for a page of a range has asked for, as correct user code does: again while the kernel
    /// says so, and where it did nothing, and therefore woke nobody, whoever waits is woken to look for himself.
    pub fn resolve(&self, range: Range<u64>, fill: impl Fn(&Self) -> Filled) {
        loop {
            match fill(self) {
                Filled::Done => return,
                Filled::Again if !self.process.mm.is_killed.load(Relaxed) => sched::sleep(PAUSE),
                Filled::Again | Filled::Exists | Filled::No => return self.wake(range),
            }
        }
    }

    /// Closes it: pages that are missing are zeros again, and nobody waits any more.
    pub fn close(self) {
        op::userfaultfd::register::release(&self.process.machine, &self.process.mm, &self.ctx);
    }
}
