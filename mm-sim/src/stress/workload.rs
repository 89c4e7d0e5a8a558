//! What the threads of a stress run do.

use std::{collections::BTreeMap, time::Instant};

use super::{Mix, Stress};
use crate::{
    PAGE_SIZE,
    finding::Invariant,
    mem::HUGE_PAGES,
    scenario::Plan,
    sched::{self, Rng},
    world::{File, Process, World},
};

/// Pages of a thread's own memory.
const OWN: u64 = 24;
/// Pages of the file that is truncated.
const LOG: u64 = 16;
/// Pages that a thread of [`Mix::Faults`] touches between two mappings.
const FAULTS: u64 = 128;
/// Threads of a process.
const THREADS: u32 = 2;

/// Pages of memory of the machine.
pub(super) fn memory(stress: &Stress) -> u64 {
    3 * HUGE_PAGES + u64::from(stress.threads) * (2 * HUGE_PAGES + FAULTS)
}

/// The stage and the threads.
pub(super) fn build(world: &World, stress: &Stress) -> Plan {
    match stress.mix {
        Mix::Faults => build_faults(world, stress),
        Mix::All | Mix::Tours | Mix::Scenario(_) => build_all(world, stress),
    }
}

#[derive(Clone)]
struct Files {
    /// Never truncated; each thread has pages of its own in it.
    data: File,
    /// Cut and grown.
    log: File,
    /// Collapsed, dropped and collapsed again.
    code: File,
}

fn build_all(world: &World, stress: &Stress) -> Plan {
    let mut plan = Plan::default();
    let files = Files { data: world.create(HUGE_PAGES), log: world.create(LOG), code: world.create(HUGE_PAGES) };
    let mut rng = Rng::new(stress.seed);
    let end = Instant::now() + stress.time;
    let mut process = None;
    for number in 0..stress.threads {
        if number % THREADS == 0 {
            process = world.spawn();
            plan.processes.extend(process.clone());
        }
        let Some(process) = process.clone() else { continue };
        let mut user = User::new(process, files.clone(), u64::from(number), Rng::new(rng.next()));
        plan.actor(&format!("process-{}.{}", number / THREADS, number % THREADS), move || {
            while Instant::now() < end {
                user.act();
            }
        });
    }
    kernel(world, &files, end, &mut rng, &mut plan);
    plan
}

/// What a thread of the kernel does again and again.
type Turn = Box<dyn FnMut(&World, &Files, &mut Rng) + Send>;

/// The threads of the kernel.
fn kernel(world: &World, files: &Files, end: Instant, rng: &mut Rng, plan: &mut Plan) {
    let mut repeat = |name: &str, pause: u64, mut f: Turn| {
        let (world, files, mut rng) = (world.clone(), files.clone(), Rng::new(rng.next()));
        plan.actor(name, move || {
            while Instant::now() < end {
                f(&world, &files, &mut rng);
                world.compute(pause);
            }
        });
    };
    repeat(
        "truncate",
        2_000,
        Box::new(|world, files, rng| {
            world.truncate(&files.log, rng.below(LOG));
            world.truncate(&files.log, LOG);
            world.writeback(&files.data);
        }),
    );
    repeat(
        "khugepaged",
        5_000,
        Box::new(|world, files, rng| {
            world.collapse(&files.data, 0);
            if !world.collapse(&files.code, 0) || rng.below(2) == 0 {
                world.truncate(&files.code, 0);
                world.truncate(&files.code, HUGE_PAGES);
            }
        }),
    );
    repeat(
        "kswapd",
        20_000,
        Box::new(|world, _, _| {
            world.reclaim(16);
        }),
    );
}

/// A thread of a process.
struct User {
    process: Process,
    files: Files,
    number: u64,
    rng: Rng,
    /// Its own memory, and what it has written to each page.
    heap: u64,
    written: [u64; OWN as usize],
    data: u64,
    log: u64,
    code: u64,
    /// The last words seen in the data file: they only grow.
    seen: BTreeMap<u64, u64>,
    clock: u64,
}

impl User {
    fn new(process: Process, files: Files, number: u64, rng: Rng) -> Self {
        let heap = process.map_anon(OWN);
        let data = process.map_file(&files.data, 0, HUGE_PAGES, true);
        let log = process.map_file(&files.log, 0, LOG, true);
        let code = process.map_file(&files.code, 0, HUGE_PAGES, number.is_multiple_of(3));
        let (written, seen, clock) = ([0; OWN as usize], BTreeMap::new(), 0);
        Self { process, files, number, rng, heap, written, data, log, code, seen, clock }
    }

    fn act(&mut self) {
        self.clock += 1;
        match self.rng.below(32) {
            0 => self.map_and_unmap(),
            1 => self.fork(),
            2..=5 => self.on_log(),
            6 if self.rng.below(8) == 0 => self.on_code(),
            6..=14 => self.write_data(),
            15..=20 => self.read_data(),
            21..=26 => self.write_own(),
            _ => self.read_own(),
        }
    }

    /// A thread reads what it has written to memory that only it writes.
    fn read_own(&mut self) {
        let page = self.rng.below(OWN);
        if let Ok(word) = self.process.load(self.heap + page * PAGE_SIZE) {
            self.check(word == self.written[page as usize], || format!("own page {page} reads {word:#x}"));
        }
    }

    fn write_own(&mut self) {
        let page = self.rng.below(OWN);
        if self.process.store(self.heap + page * PAGE_SIZE, self.clock).is_ok() {
            self.written[page as usize] = self.clock;
        }
    }

    /// Every thread writes growing words to pages of its own in the shared file.
    fn write_data(&mut self) {
        let page = self.rng.below(4) * (HUGE_PAGES / 4) + self.number % (HUGE_PAGES / 4);
        let written = self.process.store(self.data + page * PAGE_SIZE, self.clock);
        if written.is_ok() {
            self.seen.insert(page, self.clock);
        }
    }

    fn read_data(&mut self) {
        let page = self.rng.below(4) * (HUGE_PAGES / 4) + self.rng.below(8);
        let Ok(word) = self.process.load(self.data + page * PAGE_SIZE) else { return };
        let last = self.seen.insert(page, word).unwrap_or(0);
        self.check(word >= last, || format!("page {page} of the file reads {word:#x} after {last:#x}"));
    }

    fn check(&self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            sched::finding(Invariant::WrongRead, what());
        }
    }

    /// Signals of pages that a truncation has cut off are right.
    fn on_log(&mut self) {
        let addr = self.log + self.rng.below(LOG) * PAGE_SIZE;
        let _checked = self.process.store(addr, self.clock).and_then(|()| self.process.load(addr));
    }

    fn on_code(&mut self) {
        let addr = self.code + self.rng.below(HUGE_PAGES) * PAGE_SIZE;
        let _checked = match self.rng.below(8) {
            0 => self.process.store(addr, self.clock),
            _ => self.process.load(addr).map(drop),
        };
    }

    fn map_and_unmap(&mut self) {
        let pages = 8 + self.rng.below(24);
        let addr = match self.rng.below(3) {
            0 => self.process.map_anon(pages),
            shared => self.process.map_file(&self.files.data, 0, HUGE_PAGES, shared == 1),
        };
        for page in 0..4 {
            let _checked = self.process.load(addr + page * PAGE_SIZE);
        }
        let cut = addr + self.rng.below(pages) * PAGE_SIZE;
        self.process.unmap(cut..cut + PAGE_SIZE);
        self.process.unmap(addr..addr + HUGE_PAGES * PAGE_SIZE);
    }

    /// A child has the parent's memory, and what it writes stays its own.
    fn fork(&mut self) {
        let Some(child) = self.process.fork() else { return };
        let page = self.rng.below(OWN);
        let addr = self.heap + page * PAGE_SIZE;
        let mine = self.written[page as usize];
        if let Ok(word) = child.load(addr) {
            self.check(word == mine, || format!("own page {page} reads {word:#x} in the child, not {mine:#x}"));
        }
        if child.store(addr, !self.clock).is_ok()
            && let Ok(word) = self.process.load(addr)
        {
            self.check(word == mine, || format!("own page {page} reads {word:#x} after the child wrote"));
        }
        child.exit();
    }
}

/// One process: every thread faults in memory of its own and reads a file, and now and then maps anew.
fn build_faults(world: &World, stress: &Stress) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(FAULTS);
    let end = Instant::now() + stress.time;
    let Some(process) = world.spawn() else { return plan };
    plan.processes.push(process.clone());
    for number in 0..stress.threads {
        let (process, file) = (process.clone(), file.clone());
        plan.actor(&format!("thread-{number}"), move || {
            while Instant::now() < end {
                let heap = process.map_anon(FAULTS);
                let text = process.map_file(&file, 0, FAULTS, true);
                for page in 0..FAULTS {
                    let _checked = process.store(heap + page * PAGE_SIZE, page);
                    let _checked = process.load(text + page * PAGE_SIZE);
                }
                process.unmap(heap..heap + FAULTS * PAGE_SIZE);
                process.unmap(text..text + FAULTS * PAGE_SIZE);
            }
        });
    }
    plan
}
