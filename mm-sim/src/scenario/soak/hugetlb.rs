//! Random operations on hugetlbfs: whatever happens, the promises add up, and every load reads what the memory model says.

use super::{
    Expect, Plan, Scenario,
    user::{Mappings, Pages, User},
};
use crate::{
    Advice, Huge, PAGE_SIZE, PMD_SIZE, PUD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    sched::Rng,
    world::{File, World},
};

/// Pages that are shared by sharing their tables.
const GIGABYTE: u64 = PUD_SIZE / PAGE_SIZE;
/// Huge pages of the small file.
const SMALL: u64 = 4;
/// Operations of each thread.
const OPERATIONS: u32 = 40;

/// The memory model knows two small pages of each.
const PAGES: Pages = Pages { size: PMD_SIZE, near: 6, small: 2 };

/// Random operations on hugetlbfs.
pub(in crate::scenario) const SOAK: Scenario = Scenario {
    id: "soak-hugetlb",
    title: "random operations on hugetlbfs of several processes and threads, drawn by the seed",
    story: "Threads map, unmap, protect, move, discard, read, write and fork huge pages at random; the kernel truncates,\n\
            punches holes, allocates, migrates and changes the pool under them. Every access is checked against the\n\
            memory model, and at the end the promises must add up.",
    source: "the simulator's own property test",
    memory: 40 * HUGE_PAGES + 1500,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build,
};

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let mut rng = Rng::new(world.seed ^ 0x6875_6765);
    world.set_huge_pages(16 + rng.below(20));
    let files = [world.create_huge(), world.create_huge()];
    for number in 0..3 {
        let Some(process) = plan.spawn(world) else { continue };
        let mappings = Mappings::default();
        for thread in 0..2 {
            let user = User::new(&process, Rng::new(rng.next()), &mappings, PAGES);
            let body = Thread { kernel: world.clone(), user, files: files.clone() };
            plan.actor(&format!("process-{number}.{thread}"), move || body.act());
        }
    }
    let (kernel, mut draw) = (world.clone(), Rng::new(rng.next()));
    plan.actor("files", move || {
        (0..OPERATIONS / 2).for_each(|_| change_file(&kernel, &files, &mut draw));
    });
    plan
}

/// A thread of a process.
struct Thread {
    kernel: World,
    user: User,
    /// One of 1 GiB, and one of a few huge pages.
    files: [File; 2],
}

impl Thread {
    fn act(mut self) {
        for word in 1..=u64::from(OPERATIONS) {
            if self.user.rng.below(8) == 0 {
                self.kernel.compute(self.user.rng.below(4000));
            }
            match self.user.rng.below(16) {
                0 | 1 => self.map(),
                2 => self.user.unmap(),
                3 => self.user.fork(word),
                4 => self.remap(),
                5 => self.discard(),
                6 => self.user.protect(),
                7..=10 => self.user.load(),
                _ => self.user.store(word),
            }
        }
    }

    fn map(&mut self) {
        let how = [Huge::Shared, Huge::SharedNoreserve, Huge::Private, Huge::PrivateNoreserve];
        let (file, first, count, how) = match self.user.rng.below(3) {
            0 => (&self.files[0], 0, GIGABYTE / HUGE_PAGES, Huge::SharedNoreserve),
            1 => (
                &self.files[0],
                self.user.rng.below(3),
                1 + self.user.rng.below(4),
                how[self.user.rng.below(4) as usize],
            ),
            _ => (&self.files[1], 0, 1 + self.user.rng.below(SMALL), how[self.user.rng.below(4) as usize]),
        };
        if let Some(addr) = self.user.process.map_huge(file, first * HUGE_PAGES, count * HUGE_PAGES, how) {
            self.user.add(addr, count);
        }
    }

    fn discard(&mut self) {
        let Some(range) = self.user.part() else { return };
        self.user.process.advise(range, Advice::DontNeed);
    }

    fn remap(&mut self) {
        let Some((addr, count)) = self.user.pick() else { return };
        if let Some(moved) = self.user.process.remap(addr..addr + count * PMD_SIZE) {
            self.user.add(moved, count);
        }
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
        1 => {
            kernel.punch_hole(file, first * HUGE_PAGES..(first + 2) * HUGE_PAGES);
        }
        2 => {
            kernel.allocate(file, first * HUGE_PAGES..(first + 1) * HUGE_PAGES);
        }
        3 | 4 => {
            let _moved = (0..4).filter(|&page| kernel.migrate_huge(file, page)).count();
        }
        _ => {
            kernel.set_huge_pages(16 + rng.below(20));
        }
    }
    kernel.compute(3000);
}
