//! Random operations of several processes: whatever they do, every load reads what the memory model says.

use std::{ops::Range, sync::Arc};

use parking_lot::Mutex;

use super::{Expect, Plan, Scenario};
use crate::{
    Access, Advice, PAGE_SIZE,
    mem::HUGE_PAGES,
    op::Signal,
    protocol::Protocol,
    sched::Rng,
    world::{File, Guest, Process, World},
};

/// Operations of each thread.
const OPERATIONS: u32 = 90;
/// Files; the last one is of shared memory.
const FILES: usize = 4;
/// Pages of an anonymous or small mapping.
const SMALL: u64 = 12;

/// Random operations.
pub(super) const SOAK: Scenario = Scenario {
    id: "soak",
    title: "random operations of several processes and threads, drawn by the seed",
    story: "Threads map, unmap, protect, move, read, write and fork at random; the kernel truncates, writes back, collapses,\n\
            moves, merges and reclaims under them. Every access is checked against the memory model.",
    source: "the simulator's own property test",
    memory: 6000,
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
    world.swapon(256);
    let files =
        [world.create(HUGE_PAGES), world.create(SMALL), world.create(2 * HUGE_PAGES), world.create_shmem(SMALL)];
    // Before 6.4.3 a fork tears what another thread writes meanwhile (V3 of the catalogue).
    let threads = if world.protocol().vma_lock && !world.protocol().fork_mark { 1 } else { 2 };
    for number in 0..3 {
        let Some(process) = world.spawn() else { continue };
        let mappings = Mappings::default();
        // Before 6.4.1 a stack grew under the page faults that hold its VMA lock (V5 of the catalogue).
        let stack = (!world.protocol().grows_stacks_under_faults()).then(|| process.map_stack(2));
        if number == 0 {
            let heap = process.map_anon(2 * HUGE_PAGES);
            process.advise(heap..heap + HUGE_PAGES * PAGE_SIZE, Advice::HugePage);
            mappings.lock().push((heap, 2 * HUGE_PAGES));
        }
        for thread in 0..threads {
            let (process, files, mappings) = (process.clone(), files.clone(), mappings.clone());
            let user =
                User { kernel: world.clone(), process, files, rng: Rng::new(rng.next()), mappings, stack, guest: None };
            plan.actor(&format!("process-{number}.{thread}"), move || user.act());
        }
        plan.processes.push(process);
    }
    let (kernel, number) = (world.clone(), files.clone());
    let mut draw = Rng::new(rng.next());
    plan.actor("truncate", move || {
        (0..OPERATIONS / 4).for_each(|_| change_size(&kernel, &number, &mut draw));
    });
    let (kernel, file) = (world.clone(), files[0].clone());
    plan.actor("khugepaged", move || {
        for _ in 0..OPERATIONS / 6 {
            kernel.collapse(&file, 0);
            kernel.khugepaged();
            kernel.compute(500);
        }
    });
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        for _ in 0..OPERATIONS / 6 {
            kernel.reclaim(16);
            kernel.compute(15_000);
        }
    });
    let kernel = world.clone();
    plan.actor("kcompactd", move || {
        for round in 0..OPERATIONS / 6 {
            kernel.compact();
            if round % 2 == 0 {
                kernel.ksm_scan();
            }
            kernel.compute(9000);
        }
    });
    plan
}

/// Address and pages of what the threads of one process have mapped.
type Mappings = Arc<Mutex<Vec<(u64, u64)>>>;

/// A thread of a process.
struct User {
    kernel: World,
    process: Process,
    files: [File; FILES],
    rng: Rng,
    mappings: Mappings,
    /// The first bottom of the process's stack.
    stack: Option<u64>,
    /// A virtual machine on the process's memory.
    guest: Option<Guest>,
}

impl User {
    fn act(mut self) {
        for word in 1..=u64::from(OPERATIONS) {
            // Bursts, and pauses in which khugepaged gets somewhere.
            if self.rng.below(8) == 0 {
                self.kernel.compute(self.rng.below(12_000));
            }
            match self.rng.below(34) {
                22 => self.write(word),
                23 => self.read(),
                0 | 1 => self.map(),
                2 => self.unmap(),
                3 => self.fork(word),
                4 => self.remap(),
                16 => self.protect(),
                17 => self.use_stack(word),
                18 => self.move_or_hint(),
                19 => self.pin(word),
                20 => self.set_mergeable(),
                24 => self.use_heap(word),
                25 | 26 => self.advise(),
                27 => self.lock(),
                28 => self.bind(),
                29 => self.sync(),
                30 => self.show_other_part(),
                31 | 32 => self.run_guest(word),
                5..=9 => self.load(),
                _ => self.store(word),
            }
        }
    }

    fn map(&mut self) {
        let file = self.files[self.rng.below(FILES as u64) as usize].clone();
        let (pages, shared) = (self.rng.below(2) * (HUGE_PAGES - SMALL) + SMALL, self.rng.below(2) == 0);
        let addr = match self.rng.below(3) {
            0 => self.process.map_anon(SMALL),
            _ => self.process.map_file(&file, 0, pages, shared),
        };
        self.mappings.lock().push((addr, pages));
    }

    fn unmap(&mut self) {
        let Some((addr, pages)) = self.pick() else { return };
        let first = self.rng.below(pages);
        let count = 1 + self.rng.below(pages - first);
        self.process.unmap(addr + first * PAGE_SIZE..addr + (first + count) * PAGE_SIZE);
    }

    fn remap(&mut self) {
        let Some((addr, pages)) = self.pick() else { return };
        let first = self.rng.below(pages);
        let count = 1 + self.rng.below(pages - first);
        let range = addr + first * PAGE_SIZE..addr + (first + count) * PAGE_SIZE;
        let leave_empty = self.rng.below(3) == 0;
        let moved = if leave_empty { self.process.remap_leaving_empty(range) } else { self.process.remap(range) };
        if let Some(addr) = moved {
            self.mappings.lock().push((addr, count));
        }
    }

    fn protect(&mut self) {
        let Some(range) = self.part() else { return };
        let access = [Access::READ_WRITE, Access::READ_WRITE, Access::READ, Access::NONE][self.rng.below(4) as usize];
        self.process.protect(range, access);
    }

    /// Touches a page of the stack or below it, maybe too far below.
    fn use_stack(&mut self, word: u64) {
        let Some(stack) = self.stack else { return };
        let addr = stack + PAGE_SIZE - self.rng.below(70) * PAGE_SIZE;
        checked(self.process.store(addr, word << 4));
        checked(self.process.load(addr));
    }

    /// Sets the size of the heap and touches its last page.
    fn use_heap(&mut self, word: u64) {
        let pages = self.rng.below(40);
        if let Some(heap) = self.process.brk(pages) {
            checked(self.process.store(heap + pages.saturating_sub(1) * PAGE_SIZE, word));
            checked(self.process.load(heap));
        }
    }

    fn advise(&mut self) {
        const ALL: [Advice; 10] = [
            Advice::DontNeed,
            Advice::DontNeed,
            Advice::Free,
            Advice::Cold,
            Advice::PageOut,
            Advice::WillNeed,
            Advice::Remove,
            Advice::HugePage,
            Advice::NoHugePage,
            Advice::Collapse,
        ];
        let Some(range) = self.part() else { return };
        self.process.advise(range, ALL[self.rng.below(10) as usize]);
    }

    fn lock(&mut self) {
        let Some(range) = self.part() else { return };
        if self.rng.below(3) == 0 {
            self.process.unlock(range);
        } else {
            checked(self.process.lock(range.start..range.end.min(range.start + 16 * PAGE_SIZE)));
        }
    }

    fn bind(&mut self) {
        let Some(range) = self.part() else { return };
        self.process.bind(range, self.rng.below(2) as u8);
    }

    fn sync(&mut self) {
        let Some(range) = self.part() else { return };
        self.process.sync(range);
    }

    fn show_other_part(&mut self) {
        let Some(range) = self.part() else { return };
        self.process.remap_file_pages(range, self.rng.below(4));
    }

    /// A part of a mapping.
    fn part(&mut self) -> Option<Range<u64>> {
        let (addr, pages) = self.pick()?;
        let first = self.rng.below(pages);
        let count = 1 + self.rng.below(pages - first);
        Some(addr + first * PAGE_SIZE..addr + (first + count) * PAGE_SIZE)
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

    /// Asks the kernel to move pages, now or when they are used next.
    fn move_or_hint(&mut self) {
        let Some((addr, pages)) = self.pick() else { return };
        let range = addr..addr + pages.min(SMALL) * PAGE_SIZE;
        if self.rng.below(2) == 0 {
            self.process.move_pages(range);
        } else {
            self.process.numa_hint(range);
        }
    }

    /// A device writes to a page, and others do what they do meanwhile.
    fn pin(&mut self, word: u64) {
        let Some(addr) = self.address() else { return };
        let Ok(pin) = self.process.pin(addr) else { return };
        pin.write(word << 24);
        checked(self.process.load(addr));
        pin.write(word << 24 | 1);
    }

    /// A virtual machine uses the memory by page tables of its own; now and then it is made anew.
    fn run_guest(&mut self, word: u64) {
        let renew = self.rng.below(6) == 0;
        if let Some(old) = self.guest.take_if(|_| renew) {
            old.stop();
        }
        for _ in 0..3 {
            let Some(addr) = self.address() else { return };
            let store = self.rng.below(2) == 0;
            let guest = self.guest.get_or_insert_with(|| self.process.create_guest());
            if store {
                checked(guest.store(addr, word << 32));
            }
            checked(guest.load(addr));
        }
    }

    fn set_mergeable(&mut self) {
        let Some((addr, pages)) = self.pick() else { return };
        let mergeable = self.rng.below(3) > 0;
        self.process.set_mergeable(addr..addr + pages * PAGE_SIZE, mergeable);
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

    /// Writes a word of this process to a file.
    fn write(&mut self, word: u64) {
        let Some(from) = self.address() else { return };
        let file = self.files[self.rng.below(FILES as u64) as usize].clone();
        checked(self.process.store(from, word << 12));
        checked(self.process.write(&file, self.rng.below(SMALL), from));
    }

    fn read(&mut self) {
        let Some(to) = self.address() else { return };
        let file = self.files[self.rng.below(FILES as u64) as usize].clone();
        checked(self.process.read(&file, self.rng.below(SMALL), to));
    }

    fn pick(&mut self) -> Option<(u64, u64)> {
        let mappings = self.mappings.lock();
        let count = mappings.len() as u64;
        (count > 0).then(|| mappings[self.rng.below(count) as usize])
    }

    /// An address near the start of a mapping of this process, where others have been too.
    fn address(&mut self) -> Option<u64> {
        let (addr, pages) = self.pick()?;
        Some(addr + self.rng.below(pages.min(SMALL + 4)) * PAGE_SIZE)
    }
}

/// A right signal is as good as a right value; a wrong one is a finding already.
fn checked<T>(_result: Result<T, Signal>) {}

/// Cuts a file, grows it again or writes it back.
fn change_size(kernel: &World, files: &[File; FILES], rng: &mut Rng) {
    let sizes = [HUGE_PAGES, SMALL, 2 * HUGE_PAGES, SMALL];
    let number = rng.below(FILES as u64) as usize;
    match rng.below(3) {
        0 => {
            kernel.truncate(&files[number], rng.below(2) * rng.below(sizes[number]));
            kernel.compute(20);
            kernel.truncate(&files[number], sizes[number]);
        }
        1 => kernel.truncate(&files[number], sizes[number]),
        _ => kernel.writeback(&files[number]),
    }
    kernel.compute(9000);
}
