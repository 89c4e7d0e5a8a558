//! Hugetlbfs: a tour of everything it does, and random operations on it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Expect, Plan, Scenario};
use crate::{
    Access, Advice, Huge, PAGE_SIZE, PMD_SIZE, PUD_SIZE,
    mem::HUGE_PAGES,
    op::Signal,
    protocol::Protocol,
    sched::Rng,
    world::{File, Process, World},
};

/// Pages that are shared by sharing their tables.
const GIGABYTE: u64 = PUD_SIZE / PAGE_SIZE;
/// Huge pages of the small file.
const SMALL: u64 = 4;

/// All operations, in an order of their own for each actor.
pub(super) const TOUR: Scenario = Scenario {
    id: "tour-hugetlb",
    title: "everything that hugetlbfs does: shared page tables, reservations, copies, holes, migration",
    story: "Two processes share the page tables of a file of 1 GiB and give them up again; a process forks with private\n\
            huge pages and both write; the file is cut, punched, allocated and moved under them.",
    source: "the simulator's own tour",
    memory: 30 * HUGE_PAGES + 500,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build: build_tour,
};

/// Random operations on hugetlbfs.
pub(super) const SOAK: Scenario = Scenario {
    id: "soak-hugetlb",
    title: "random operations on hugetlbfs of several processes and threads, drawn by the seed",
    story: "Threads map, unmap, protect, move, discard, read, write and fork huge pages at random; the kernel truncates,\n\
            punches holes, allocates, migrates and changes the pool under them. Every access is checked against the\n\
            memory model, and at the end the promises must add up.",
    source: "the simulator's own property test",
    memory: 40 * HUGE_PAGES + 1500,
    build: build_soak,
    ..TOUR
};

/// A right signal is as good as a right value; a wrong one is a finding already.
fn checked<T>(_result: Result<T, Signal>) {}

fn migrate(kernel: &World, file: &File, page: u64) {
    let _moved = kernel.migrate_huge(file, page);
}

fn allocate(kernel: &World, file: &File, page: u64) {
    let _done = kernel.allocate(file, page * HUGE_PAGES..(page + 1) * HUGE_PAGES);
}

fn resize(kernel: &World, pages: u64) {
    let _size = kernel.set_huge_pages(pages);
}

fn spawn(world: &World, plan: &mut Plan) -> Option<Process> {
    let process = world.spawn()?;
    plan.processes.push(process.clone());
    Some(process)
}

fn build_tour(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.set_huge_pages(28);
    let (big, small) = (world.create_huge(), world.create_huge());
    for number in 0..2 {
        tour_shared(world, &big, number, &mut plan);
    }
    tour_private(world, &small, &mut plan);
    tour_files(world, &big, &small, &mut plan);
    tour_directory(world, &small, &mut plan);
    plan
}

/// Shares page tables, and loses them in each of the ways there are.
fn tour_shared(world: &World, big: &File, number: u64, plan: &mut Plan) {
    let Some(process) = spawn(world, plan) else { return };
    let big = big.clone();
    plan.actor(&format!("sharer-{number}"), move || {
        for round in 0..3 {
            let Some(addr) = process.map_huge(&big, 0, GIGABYTE, Huge::SharedNoreserve) else { continue };
            for page in 0..6 {
                checked(process.store(addr + (page + number) * PMD_SIZE, page + 1));
                checked(process.load(addr + page * PMD_SIZE + PAGE_SIZE));
            }
            process.protect(addr..addr + 2 * PMD_SIZE, Access::READ);
            checked(process.store(addr + PMD_SIZE, 9));
            checked(process.load(addr + 3 * PMD_SIZE));
            let moved = process.remap(addr + 2 * PMD_SIZE..addr + PUD_SIZE).unwrap_or(addr + 2 * PMD_SIZE);
            checked(process.store(moved, round));
            process.advise(moved..moved + 4 * PMD_SIZE, Advice::DontNeed);
            checked(process.load(moved));
            process.advise(moved..moved + 2 * PMD_SIZE, Advice::Remove);
            process.unmap(moved + 8 * PMD_SIZE..moved + 16 * PMD_SIZE);
            process.unmap(addr..addr + PUD_SIZE);
            process.unmap(moved..moved + PUD_SIZE);
        }
    });
}

/// Private pages: promised, copied, taken from a child, given up and promised again.
fn tour_private(world: &World, small: &File, plan: &mut Plan) {
    let Some(process) = spawn(world, plan) else { return };
    let small = small.clone();
    plan.actor("private", move || {
        for round in 0..3 {
            let Some(own) = process.map_huge(&small, 0, SMALL * HUGE_PAGES, Huge::Private) else { continue };
            let poor = process.map_huge(&small, HUGE_PAGES, HUGE_PAGES, Huge::PrivateNoreserve);
            (0..SMALL).for_each(|page| checked(process.load(own + page * PMD_SIZE)));
            (0..SMALL - 1).for_each(|page| checked(process.store(own + page * PMD_SIZE, 10 + round)));
            if let Some(child) = process.fork() {
                checked(child.store(own, 20));
                checked(process.store(own, 30));
                checked(process.store(own + PMD_SIZE, 40));
                checked(child.load(own + PMD_SIZE));
                child.exit();
            }
            poor.into_iter().for_each(|poor| checked(process.store(poor, 50)));
            process.advise(own..own + 2 * PMD_SIZE, Advice::DontNeed);
            checked(process.store(own, 60));
            let own = process.remap(own..own + SMALL * PMD_SIZE).unwrap_or(own);
            checked(process.load(own));
            process.protect(own + PMD_SIZE..own + 2 * PMD_SIZE, Access::NONE);
            checked(process.load(own + PMD_SIZE));
            process.unmap(own..own + SMALL * PMD_SIZE);
            poor.into_iter().for_each(|poor| process.unmap(poor..poor + PMD_SIZE));
        }
    });
}

/// What is done to the files, and to the pool.
fn tour_files(world: &World, big: &File, small: &File, plan: &mut Plan) {
    let (kernel, big, small) = (world.clone(), big.clone(), small.clone());
    plan.actor("files", move || {
        for _ in 0..3 {
            kernel.allocate(&small, 0..2 * HUGE_PAGES);
            (0..4).for_each(|page| migrate(&kernel, &big, page));
            kernel.punch_hole(&big, HUGE_PAGES..4 * HUGE_PAGES);
            kernel.punch_hole(&small, HUGE_PAGES..2 * HUGE_PAGES);
            kernel.set_huge_pages(30);
            kernel.truncate(&big, 3 * HUGE_PAGES);
            kernel.truncate(&small, HUGE_PAGES);
            kernel.truncate(&small, SMALL * HUGE_PAGES);
            kernel.truncate(&big, GIGABYTE);
            kernel.set_huge_pages(28);
        }
    });
}

/// The directory is read into huge pages and into small ones, and a file in it is mapped with promises.
fn tour_directory(world: &World, small: &File, plan: &mut Plan) {
    let Some(process) = spawn(world, plan) else { return };
    let (directory, small) = (world.make_directory(), small.clone());
    plan.actor("readdir", move || {
        for name in 0..4 {
            let heap = process.map_anon(2);
            let Some(huge) = process.map_huge(&small, 0, 2 * HUGE_PAGES, Huge::Shared) else { continue };
            checked(process.readdir(&directory, name, heap));
            checked(process.readdir(&directory, name, huge));
            process.unmap(huge..huge + 2 * PMD_SIZE);
            process.unmap(heap..heap + 2 * PAGE_SIZE);
        }
    });
}

/// Operations of each thread.
const OPERATIONS: u32 = 40;

fn build_soak(world: &World) -> Plan {
    let mut plan = Plan::default();
    let mut rng = Rng::new(world.seed ^ 0x6875_6765);
    world.set_huge_pages(16 + rng.below(20));
    let files = [world.create_huge(), world.create_huge()];
    for number in 0..3 {
        let Some(process) = spawn(world, &mut plan) else { continue };
        let mappings = Mappings::default();
        for thread in 0..2 {
            let (process, files, mappings) = (process.clone(), files.clone(), mappings.clone());
            let user = User { kernel: world.clone(), process, files, rng: Rng::new(rng.next()), mappings };
            plan.actor(&format!("process-{number}.{thread}"), move || user.act());
        }
    }
    let (kernel, mut draw) = (world.clone(), Rng::new(rng.next()));
    plan.actor("files", move || {
        (0..OPERATIONS / 2).for_each(|_| change_file(&kernel, &files, &mut draw));
    });
    plan
}

/// Address and huge pages of what the threads of one process have mapped.
type Mappings = Arc<Mutex<Vec<(u64, u64)>>>;

/// A thread of a process.
struct User {
    kernel: World,
    process: Process,
    /// One of 1 GiB, and one of a few huge pages.
    files: [File; 2],
    rng: Rng,
    mappings: Mappings,
}

impl User {
    fn act(mut self) {
        for word in 1..=u64::from(OPERATIONS) {
            if self.rng.below(8) == 0 {
                self.kernel.compute(self.rng.below(4000));
            }
            match self.rng.below(16) {
                0 | 1 => self.map(),
                2 => self.with_range(|process, range| process.unmap(range)),
                3 => self.fork(word),
                4 => self.remap(),
                5 => self.with_range(|process, range| {
                    process.advise(range, Advice::DontNeed);
                }),
                6 => self.protect(),
                7..=10 => self.load(),
                _ => self.store(word),
            }
        }
    }

    fn map(&mut self) {
        let how = [Huge::Shared, Huge::SharedNoreserve, Huge::Private, Huge::PrivateNoreserve];
        let (file, first, count, how) = match self.rng.below(3) {
            0 => (&self.files[0], 0, GIGABYTE / HUGE_PAGES, Huge::SharedNoreserve),
            1 => (&self.files[0], self.rng.below(3), 1 + self.rng.below(4), how[self.rng.below(4) as usize]),
            _ => (&self.files[1], 0, 1 + self.rng.below(SMALL), how[self.rng.below(4) as usize]),
        };
        if let Some(addr) = self.process.map_huge(file, first * HUGE_PAGES, count * HUGE_PAGES, how) {
            self.mappings.lock().push((addr, count));
        }
    }

    /// Does something to a part of a mapping.
    fn with_range(&mut self, act: impl FnOnce(&Process, std::ops::Range<u64>)) {
        let Some((addr, count)) = self.pick() else { return };
        let first = self.rng.below(count);
        let count = 1 + self.rng.below(count - first);
        act(&self.process, addr + first * PMD_SIZE..addr + (first + count) * PMD_SIZE);
    }

    fn protect(&mut self) {
        let access = [Access::READ_WRITE, Access::READ_WRITE, Access::READ, Access::NONE][self.rng.below(4) as usize];
        self.with_range(|process, range| {
            process.protect(range, access);
        });
    }

    fn remap(&mut self) {
        let Some((addr, count)) = self.pick() else { return };
        if let Some(moved) = self.process.remap(addr..addr + count * PMD_SIZE) {
            self.mappings.lock().push((moved, count));
        }
    }

    fn fork(&mut self, word: u64) {
        let Some(child) = self.process.fork() else { return };
        for _ in 0..4 {
            let (Some(mine), Some(yours)) = (self.address(), self.address()) else { continue };
            checked(self.process.store(mine, word << 20));
            checked(child.load(mine));
            checked(child.store(yours, word << 16));
            checked(self.process.load(yours));
            checked(child.load(mine));
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
        let mappings = self.mappings.lock();
        let count = mappings.len() as u64;
        (count > 0).then(|| mappings[self.rng.below(count) as usize])
    }

    /// An address in one of the first huge pages of a mapping of this process, where others have been too.
    fn address(&mut self) -> Option<u64> {
        let (addr, count) = self.pick()?;
        Some(addr + self.rng.below(count.min(6)) * PMD_SIZE + self.rng.below(2) * PAGE_SIZE)
    }
}

/// Does something to a file, or to the pool.
fn change_file(kernel: &World, files: &[File; 2], rng: &mut Rng) {
    let number = rng.below(2) as usize;
    let (file, size) = (&files[number], [GIGABYTE, SMALL * HUGE_PAGES][number]);
    let first = rng.below(4);
    match rng.below(6) {
        0 => {
            kernel.truncate(file, first * HUGE_PAGES);
            kernel.compute(20);
            kernel.truncate(file, size);
        }
        1 => kernel.punch_hole(file, first * HUGE_PAGES..(first + 2) * HUGE_PAGES),
        2 => allocate(kernel, file, first),
        3 | 4 => (0..4).for_each(|page| migrate(kernel, file, page)),
        _ => resize(kernel, 16 + rng.below(20)),
    }
    kernel.compute(3000);
}
