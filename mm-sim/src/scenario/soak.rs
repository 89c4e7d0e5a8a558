//! Random operations of several processes: whatever they do, every load reads what the memory model says.

use super::{Expect, Plan, Scenario};
use crate::{
    PAGE_SIZE,
    mem::HUGE_PAGES,
    op::Signal,
    process::{File, Process, World},
    protocol::Protocol,
    sched::Rng,
};

/// Operations of each thread.
const OPERATIONS: u32 = 60;
/// Pages of an anonymous or small mapping.
const SMALL: u64 = 12;

/// Random operations.
pub(super) const SOAK: Scenario = Scenario {
    id: "soak",
    title: "random operations of several processes and threads, drawn by the seed",
    story: "Threads map, unmap, read, write and fork at random; the kernel truncates, writes back, collapses and\n\
            reclaims under them. Every access is checked against the memory model.",
    source: "the simulator's own property test",
    memory: 2500,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.waits_under_imap() {
        true => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        false => Expect::Silent,
    },
    build,
};

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let mut rng = Rng::new(world.seed ^ 0x736f_616b);
    let files = [world.create(HUGE_PAGES), world.create(SMALL), world.create(2 * HUGE_PAGES)];
    for number in 0..3 {
        let Some(process) = world.spawn() else { continue };
        plan.processes.push(process.clone());
        for thread in 0..2 {
            let (process, files, rng) = (process.clone(), files.clone(), Rng::new(rng.next()));
            plan.actor(&format!("process-{number}.{thread}"), move || User::new(process, files, rng).act());
        }
    }
    let (kernel, rng) = (world.clone(), Rng::new(rng.next()));
    plan.actor("kernel", move || keep_house(&kernel, &files, rng));
    plan
}

/// A thread of a process, with the mappings it has made.
struct User {
    process: Process,
    files: [File; 3],
    rng: Rng,
    /// Address and pages.
    mappings: Vec<(u64, u64)>,
}

impl User {
    const fn new(process: Process, files: [File; 3], rng: Rng) -> Self {
        Self { process, files, rng, mappings: Vec::new() }
    }

    fn act(mut self) {
        for word in 1..=u64::from(OPERATIONS) {
            match self.rng.below(16) {
                0 | 1 => self.map(),
                2 => self.unmap(),
                3 => self.fork(word),
                4..=9 => self.load(),
                _ => self.store(word),
            }
        }
    }

    fn map(&mut self) {
        let file = self.files[self.rng.below(3) as usize].clone();
        let (pages, shared) = (self.rng.below(2) * (HUGE_PAGES - SMALL) + SMALL, self.rng.below(2) == 0);
        let addr = match self.rng.below(3) {
            0 => self.process.map_anon(SMALL),
            _ => self.process.map_file(&file, 0, pages, shared),
        };
        self.mappings.push((addr, pages));
    }

    fn unmap(&mut self) {
        let Some((addr, pages)) = self.pick() else { return };
        let first = self.rng.below(pages);
        let count = 1 + self.rng.below(pages - first);
        self.process.unmap(addr + first * PAGE_SIZE..addr + (first + count) * PAGE_SIZE);
    }

    fn fork(&mut self, word: u64) {
        let Some(child) = self.process.fork() else { return };
        for _ in 0..4 {
            if let Some(addr) = self.address() {
                checked(child.store(addr, word << 16));
                checked(self.process.store(addr, word << 20));
                checked(child.load(addr));
            }
        }
        child.exit();
    }

    fn load(&mut self) {
        if let Some(addr) = self.address() {
            checked(self.process.load(addr));
        }
    }

    fn store(&mut self, word: u64) {
        if let Some(addr) = self.address() {
            checked(self.process.store(addr, word << 8 | self.rng.below(256)));
        }
    }

    fn pick(&mut self) -> Option<(u64, u64)> {
        let count = self.mappings.len() as u64;
        (count > 0).then(|| self.mappings[self.rng.below(count) as usize])
    }

    /// An address near the start of a mapping of this thread, where others have been too.
    fn address(&mut self) -> Option<u64> {
        let (addr, pages) = self.pick()?;
        Some(addr + self.rng.below(pages.min(SMALL + 4)) * PAGE_SIZE)
    }
}

/// A right signal is as good as a right value; a wrong one is a finding already.
fn checked<T>(_result: Result<T, Signal>) {}

fn keep_house(kernel: &World, files: &[File; 3], mut rng: Rng) {
    let sizes = [HUGE_PAGES, SMALL, 2 * HUGE_PAGES];
    for _ in 0..OPERATIONS / 3 {
        let number = rng.below(3) as usize;
        match rng.below(6) {
            0 => kernel.truncate(&files[number], rng.below(sizes[number])),
            1 => kernel.truncate(&files[number], sizes[number]),
            2 => kernel.writeback(&files[number]),
            3 => drop(kernel.reclaim(16)),
            _ => drop(kernel.collapse(&files[number], 0)),
        }
        kernel.compute(40);
    }
}
