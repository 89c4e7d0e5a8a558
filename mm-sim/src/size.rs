//! Many processes with many VMAs: what a page fault costs does not depend on how many there are.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    PAGE_SIZE,
    mem::VmFlags,
    op::mmap::{self, Request},
    protocol::Protocol,
    sched::{Baton, Body, Context, Order, Rng},
    world::{Process, World},
};

/// Pages of a VMA.
const PAGES: u64 = 2;
/// Where the first VMA of a process is.
const BASE: u64 = 0x7f00_0000_0000;
/// Page faults of a measurement. Each is the first one in its VMA.
const FAULTS: u64 = 200;
/// Measurements at each size; the quickest counts.
const ROUNDS: u64 = 4;
/// The fewest VMAs that have one for every fault: the first process takes part in all measurements.
const MIN_VMAS: u64 = FAULTS * ROUNDS * 10 / 9 + 2;

/// A process, and how many of its VMAs have been touched.
type Touched = (Process, u64);

/// What page faults cost while so many processes exist.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Size {
    /// Processes.
    pub processes: u64,
    /// VMAs of all of them.
    pub vmas: u64,
    /// Scheduling points of a page fault: acquisitions, releases and steps.
    pub steps_per_fault: f64,
    /// Time of a page fault, in nanoseconds.
    pub nanos_per_fault: f64,
}

/// The measurements of one run, each with more processes than the one before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sizes(pub Vec<Size>);

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.first().map_or(1.0, |size| size.nanos_per_fault);
        let last = self.0.last().map_or(first, |size| size.nanos_per_fault);
        writeln!(f, "a page fault costs {:.2} times as much with the most processes as with one\n", last / first)?;
        writeln!(f, "{:>9} {:>9} {:>13} {:>12} {:>7}", "processes", "VMAs", "steps a fault", "ns a fault", "ratio")?;
        for size in &self.0 {
            let Size { processes, vmas, steps_per_fault, nanos_per_fault } = *size;
            let ratio = nanos_per_fault / first;
            writeln!(f, "{processes:>9} {vmas:>9} {steps_per_fault:>13.2} {nanos_per_fault:>12.0} {ratio:>7.2}")?;
        }
        Ok(())
    }
}

/// Measures with 1, 10, 100... up to `processes` processes of `vmas` VMAs each.
///
/// # Errors
///
/// If there are too few VMAs for the faults, or the simulator fails, in words.
pub fn measure(protocol: Protocol, processes: u64, vmas: u64) -> Result<Sizes, String> {
    if processes == 0 || vmas < MIN_VMAS {
        return Err(format!("it takes a process at least, and {MIN_VMAS} VMAs in each"));
    }
    let pages = processes * 64 + FAULTS * ROUNDS * 100;
    let world = World::new(protocol, pages, 1);
    world.machine.model.switch_off();
    let made: Arc<Mutex<Vec<Touched>>> = Arc::default();
    let context = Context::new();
    let mut sizes = Vec::new();
    let mut count = 1;
    loop {
        let count_now = count.min(processes);
        let (to, from) = (made.clone(), world.clone());
        play(&context, move || make(&from, &to, count_now, vmas))?;
        let (mut best, mut steps) = (Duration::MAX, 0);
        for round in 1..=ROUNDS {
            let (all, elapsed) = (made.clone(), Arc::new(Mutex::new(Duration::MAX)));
            let into = elapsed.clone();
            steps = play(&context, move || *into.lock() = fault(&mut all.lock(), round))?;
            best = best.min(*elapsed.lock());
        }
        let (faults, nanos) = (FAULTS as f64, best.as_nanos() as f64);
        let (steps_per_fault, nanos_per_fault) = (steps as f64 / faults, nanos / faults);
        sizes.push(Size { processes: count_now, vmas: count_now * vmas, steps_per_fault, nanos_per_fault });
        if count_now == processes {
            break;
        }
        count *= 10;
    }
    play(&context, move || made.lock().drain(..).for_each(|(process, _)| process.exit()))?;
    match context.findings.take().first() {
        Some(finding) => Err(format!("{}: {}", finding.invariant.as_str(), finding.text)),
        None => Ok(Sizes(sizes)),
    }
}

/// Does something as the only actor. Returns its steps.
fn play(context: &Context, what: impl FnOnce() + Send + 'static) -> Result<u64, String> {
    let body: Body = Box::new(what);
    let ran = Baton::run(Order::Drawn(Rng::new(1)), u64::MAX, context, vec![("size".to_owned(), body)]);
    ran.stop.map_or(Ok(ran.steps), |stop| Err(format!("{stop:?}")))
}

/// Makes processes until there are `count`, each with its page tables at the place of the faults.
fn make(world: &World, made: &Mutex<Vec<Touched>>, count: u64, vmas: u64) {
    let mut made = made.lock();
    while (made.len() as u64) < count {
        let Some(process) = world.spawn() else { return };
        let flags = VmFlags::READ_WRITE;
        for number in 0..vmas {
            let request = Request { addr: Some(address(number)), pages: PAGES, flags, file: None };
            mmap::mmap(&process.machine, &process.mm, request);
        }
        let _checked = process.store(address(0), 1);
        made.push((process, 1));
    }
}

const fn address(vma: u64) -> u64 {
    BASE + vma * PAGES * PAGE_SIZE
}

/// Faults the first pages of VMAs in, spread over the processes. Returns how long that took.
fn fault(processes: &mut [Touched], round: u64) -> Duration {
    let count = processes.len() as u64;
    let mut places = Vec::new();
    for fault in 0..FAULTS {
        let (process, touched) = &mut processes[(fault * 7919 % count) as usize];
        places.push((process.clone(), address(*touched)));
        *touched += 1;
    }
    let start = Instant::now();
    for (process, addr) in &places {
        let _checked = process.store(*addr, round);
    }
    start.elapsed()
}
