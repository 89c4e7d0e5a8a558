//! Random operations of several processes: whatever they do, every load reads what the memory model says.

use super::{
    Expect, Plan, Scenario, checked,
    user::{Mappings, Pages, User},
};
use crate::{
    Advice, PAGE_SIZE, PMD_SIZE,
    mem::HUGE_PAGES,
    protocol::Protocol,
    sched::Rng,
    world::{File, Guest, World},
};

/// Operations of each thread.
const OPERATIONS: u32 = 90;
/// Files; the last two are of shared memory, one of them in huge folios.
const FILES: usize = 5;
/// Pages of an anonymous or small mapping.
const SMALL: u64 = 12;

/// A few pages more than a small mapping has.
const PAGES: Pages = Pages { size: PAGE_SIZE, near: SMALL + 4, small: 1 };

/// Random operations.
pub(in crate::scenario) const SOAK: Scenario = Scenario {
    id: "soak",
    title: "random operations of several processes and threads, drawn by the seed",
    story: "Threads map, unmap, protect, move, read, write and fork at random; the kernel truncates, writes back, collapses,\n\
            moves, merges and reclaims under them. Every access is checked against the memory model.",
    source: "the simulator's own property test",
    memory: 6000,
    default_protocol: Protocol::V6_12,
    expect: |protocol| match protocol.waits_under_imap() {
        // Whether khugepaged gets as far as that beside so many others is a matter of luck.
        true => Expect::SilentOrCyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        false => Expect::Silent,
    },
    build,
};

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    let mut rng = Rng::new(world.seed ^ 0x736f_616b);
    world.swapon(256);
    let files = [
        world.create(HUGE_PAGES),
        world.create(SMALL),
        world.create(2 * HUGE_PAGES),
        world.create_shmem(SMALL),
        world.create_huge_shmem(HUGE_PAGES + SMALL),
    ];
    let threads = if world.protocol().tears_forks() { 1 } else { 2 };
    for number in 0..3 {
        let Some(process) = plan.spawn(world) else { continue };
        let mappings = Mappings::default();
        // Before 6.4.1 a stack grew under the page faults that hold its VMA lock (V5 of the catalogue).
        let stack = (!world.protocol().grows_stacks_under_faults()).then(|| process.map_stack(2));
        let heap = (number == 0).then(|| process.map_anon(2 * HUGE_PAGES));
        if let Some(heap) = heap {
            process.advise(heap..heap + HUGE_PAGES * PAGE_SIZE, Advice::HugePage);
            mappings.lock().push((heap, 2 * HUGE_PAGES));
        }
        for thread in 0..threads {
            let user = User::new(&process, Rng::new(rng.next()), &mappings, PAGES);
            let body = Thread { kernel: world.clone(), user, files: files.clone(), heap, stack, guest: None };
            plan.actor(&format!("process-{number}.{thread}"), move || body.act());
        }
    }
    let (kernel, number) = (world.clone(), files.clone());
    let mut draw = Rng::new(rng.next());
    plan.actor("truncate", move || {
        (0..OPERATIONS / 4).for_each(|_| change_size(&kernel, &number, &mut draw));
    });
    let (kernel, collapsed) = (world.clone(), [files[0].clone(), files[4].clone()]);
    plan.actor("khugepaged", move || {
        for round in 0..OPERATIONS as usize / 6 {
            kernel.collapse(&collapsed[round % 2], 0);
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

/// A thread of a process.
struct Thread {
    kernel: World,
    user: User,
    files: [File; FILES],
    /// Where huge pages of anonymous memory are wanted.
    heap: Option<u64>,
    /// The first bottom of the process's stack.
    stack: Option<u64>,
    /// A virtual machine on the process's memory.
    guest: Option<Guest>,
}

impl Thread {
    fn act(mut self) {
        for word in 1..=u64::from(OPERATIONS) {
            // Bursts, and pauses in which khugepaged gets somewhere.
            if self.user.rng.below(8) == 0 {
                self.kernel.compute(self.user.rng.below(12_000));
            }
            match self.user.rng.below(34) {
                22 => self.write(word),
                23 => self.read(),
                0 | 1 => self.map(),
                2 => self.user.unmap(),
                3 => self.user.fork(word),
                4 => self.remap(),
                16 => self.user.protect(),
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
                33 => self.collapse_swapped(),
                5..=9 => self.user.load(),
                _ => self.user.store(word),
            }
        }
    }

    fn map(&mut self) {
        let file = self.files[self.user.rng.below(FILES as u64) as usize].clone();
        let (pages, shared) = (self.user.rng.below(2) * (HUGE_PAGES - SMALL) + SMALL, self.user.rng.below(2) == 0);
        let addr = match self.user.rng.below(3) {
            0 => self.user.process.map_anon(SMALL),
            _ => self.user.process.map_file(&file, 0, pages, shared),
        };
        self.user.add(addr, pages);
    }

    fn remap(&mut self) {
        let Some((addr, pages)) = self.user.pick() else { return };
        let first = self.user.rng.below(pages);
        let count = 1 + self.user.rng.below(pages - first);
        let range = addr + first * PAGE_SIZE..addr + (first + count) * PAGE_SIZE;
        let leave_empty = self.user.rng.below(3) == 0;
        let moved = if leave_empty {
            self.user.process.remap_leaving_empty(range.clone())
        } else {
            self.user.process.remap(range.clone())
        };
        if let Some(addr) = moved {
            self.user.add(addr, count);
            if !leave_empty && self.user.rng.below(2) == 0 {
                // And back, perhaps beside what has stayed.
                let _back = self.user.process.remap_to(addr..addr + count * PAGE_SIZE, range.start);
            }
        }
    }

    /// Touches a page of the stack or below it, maybe too far below.
    fn use_stack(&mut self, word: u64) {
        let Some(stack) = self.stack else { return };
        let addr = stack + PAGE_SIZE - self.user.rng.below(70) * PAGE_SIZE;
        checked(self.user.process.store(addr, word << 4));
        checked(self.user.process.load(addr));
    }

    /// Sets the size of the heap and touches its last page.
    fn use_heap(&mut self, word: u64) {
        let pages = self.user.rng.below(40);
        if let Some(heap) = self.user.process.brk(pages) {
            checked(self.user.process.store(heap + pages.saturating_sub(1) * PAGE_SIZE, word));
            checked(self.user.process.load(heap));
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
        let Some(range) = self.user.part() else { return };
        self.user.process.advise(range, ALL[self.user.rng.below(10) as usize]);
    }

    /// Swaps some pages out and asks for a huge page of what they belong to.
    fn collapse_swapped(&mut self) {
        let Some(heap) = self.heap else { return };
        let addr = heap + self.user.rng.below(2) * PMD_SIZE;
        self.user.process.advise(addr..addr + PMD_SIZE, Advice::HugePage);
        self.user.process.advise(addr..addr + SMALL * PAGE_SIZE, Advice::PageOut);
        self.kernel.compute(self.user.rng.below(900));
        self.user.process.advise(addr..addr + PMD_SIZE, Advice::Collapse);
    }

    fn lock(&mut self) {
        let Some(range) = self.user.part() else { return };
        if self.user.rng.below(3) == 0 {
            self.user.process.unlock(range);
        } else {
            checked(self.user.process.lock(range.start..range.end.min(range.start + 16 * PAGE_SIZE)));
        }
    }

    fn bind(&mut self) {
        let Some(range) = self.user.part() else { return };
        let node = self.user.rng.below(2) as u8;
        match self.user.rng.below(4) {
            0 | 1 => drop(self.user.process.bind_and_move(range, node)),
            2 => drop(self.user.process.migrate(1 - node, node)),
            _ => drop(self.user.process.bind(range, node)),
        }
    }

    fn sync(&mut self) {
        let Some(range) = self.user.part() else { return };
        self.user.process.sync(range);
    }

    fn show_other_part(&mut self) {
        let Some(range) = self.user.part() else { return };
        self.user.process.remap_file_pages(range, self.user.rng.below(4));
    }

    /// Asks the kernel to move pages, now or when they are used next.
    fn move_or_hint(&mut self) {
        let Some((addr, pages)) = self.user.pick() else { return };
        let range = addr..addr + pages.min(SMALL) * PAGE_SIZE;
        if self.user.rng.below(2) == 0 {
            self.user.process.move_pages(range);
        } else {
            self.user.process.numa_hint(range);
        }
    }

    /// A device writes to a page, and others do what they do meanwhile.
    fn pin(&mut self, word: u64) {
        let Some(addr) = self.user.address() else { return };
        let Ok(pin) = self.user.process.pin(addr) else { return };
        pin.write(word << 24);
        checked(self.user.process.load(addr));
        pin.write(word << 24 | 1);
    }

    /// A virtual machine uses the memory by page tables of its own; now and then it is made anew.
    fn run_guest(&mut self, word: u64) {
        let renew = self.user.rng.below(6) == 0;
        if let Some(old) = self.guest.take_if(|_| renew) {
            old.stop();
        }
        for _ in 0..3 {
            let Some(addr) = self.user.address() else { return };
            let store = self.user.rng.below(2) == 0;
            let guest = self.guest.get_or_insert_with(|| self.user.process.create_guest());
            if store {
                checked(guest.store(addr, word << 32));
            }
            checked(guest.load(addr));
        }
    }

    fn set_mergeable(&mut self) {
        let Some((addr, pages)) = self.user.pick() else { return };
        let mergeable = self.user.rng.below(3) > 0;
        self.user.process.set_mergeable(addr..addr + pages * PAGE_SIZE, mergeable);
    }

    /// Writes a word of this process to a file.
    fn write(&mut self, word: u64) {
        let Some(from) = self.user.address() else { return };
        let file = self.files[self.user.rng.below(FILES as u64) as usize].clone();
        checked(self.user.process.store(from, word << 12));
        checked(self.user.process.write(&file, self.user.rng.below(SMALL), from));
    }

    fn read(&mut self) {
        let Some(to) = self.user.address() else { return };
        let file = self.files[self.user.rng.below(FILES as u64) as usize].clone();
        let index = self.user.rng.below(SMALL);
        checked(self.user.process.read(&file, index, to));
        self.kernel.read_block(&file, index);
    }
}

/// Cuts a file, grows it again, writes it back, or punches a hole into one of shared memory.
fn change_size(kernel: &World, files: &[File; FILES], rng: &mut Rng) {
    let sizes = [HUGE_PAGES, SMALL, 2 * HUGE_PAGES, SMALL, HUGE_PAGES + SMALL];
    let number = rng.below(FILES as u64) as usize;
    match rng.below(3) {
        0 => {
            kernel.truncate(&files[number], rng.below(2) * rng.below(sizes[number]));
            kernel.compute(20);
            kernel.truncate(&files[number], sizes[number]);
        }
        1 => {
            kernel.truncate(&files[number], sizes[number]);
        }
        _ if number >= 3 => {
            let first = rng.below(SMALL);
            kernel.punch_hole(&files[number], first..first + 1 + rng.below(4));
        }
        _ => kernel.writeback(&files[number]),
    }
    kernel.compute(9000);
}
