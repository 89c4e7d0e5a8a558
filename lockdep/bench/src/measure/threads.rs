//! Threads that do not meet must not slow each other, whether all is known or much is new.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use cpu_time::ThreadTime;
use fastrand::Rng;
use lockdep::{LockClass, Mutex, Policy, Session};

use crate::{
    locks::{CLASSES, Lock, PlainMutex, WatchedMutex},
    measure::{Effort, classes},
    peers::{KeepcalmMutex, TracingMutex},
    report::{Section, figure},
    stats::{median, median_ratio},
};

/// Pairs of acquisitions of a sample.
const TIMES: u32 = 100_000;

/// Measures threads that know everything.
pub fn warm(effort: Effort) -> Section {
    let mut section = Section::new(
        "Two threads, distinct locks of the same classes",
        "Each thread takes and releases two locks of its own, one under the other. The share of its speed alone that each \
         of two threads keeps: by the clock, and by the processor time of the thread, which leaves out what other programs \
         on the machine take. Medians of interleaved rounds.",
    );
    section.row(["mutex", "ns a pair, alone", "share kept, clock", "share kept, processor time"]);
    section.row(share::<PlainMutex>("parking_lot", effort));
    section.row(share::<WatchedMutex>("**lockdep**", effort));
    section.row(share::<TracingMutex>("tracing-mutex", effort));
    section.row(share::<KeepcalmMutex>("keepcalm", effort));
    section
}

/// Locks on cache lines of their own, the neighbour that is fetched along included.
#[repr(align(128))]
struct Apart<L>([L; 2]);

/// Seconds by the clock and of a processor.
#[derive(Clone, Copy)]
struct Spent {
    wall: f64,
    cpu: f64,
}

fn share<L: Lock + Sync + Send>(name: &str, effort: Effort) -> [String; 4] {
    let locks = [(); 2].map(|()| Apart([L::new(&CLASSES[0]), L::new(&CLASSES[1])]));
    let times = if pairs(&locks[0].0, 2_000).wall > 1e-3 { TIMES / 20 } else { TIMES };
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds(31) {
        alone.push(thread::scope(|scope| scope.spawn(|| warmed(&locks[0].0, times, None)).join()).expect("no panic"));
        let barrier = Barrier::new(2);
        let both = thread::scope(|scope| {
            let threads = locks.each_ref().map(|locks| scope.spawn(|| warmed(&locks.0, times, Some(&barrier))));
            threads.map(|thread| thread.join().expect("no panic"))
        });
        together.push(Spent { wall: both[0].wall.max(both[1].wall), cpu: (both[0].cpu + both[1].cpu) / 2.0 });
    }
    let column = |spent: &[Spent], of: fn(&Spent) -> f64| spent.iter().map(of).collect::<Vec<_>>();
    let kept = |of: fn(&Spent) -> f64| figure(median_ratio(&column(&alone, of), &column(&together, of)));
    let ns = median(column(&alone, |spent| spent.cpu)) * 1e9 / f64::from(times);
    [name.to_owned(), figure(ns), kept(|spent| spent.wall), kept(|spent| spent.cpu)]
}

/// Runs once for the thread to know everything, then once for the clock.
fn warmed<L: Lock>(locks: &[L; 2], times: u32, barrier: Option<&Barrier>) -> Spent {
    pairs(locks, 1_000);
    if let Some(barrier) = barrier {
        barrier.wait();
    }
    pairs(locks, times)
}

#[inline(never)]
fn pairs<L: Lock>([outer, inner]: &[L; 2], times: u32) -> Spent {
    let (wall, cpu) = (Instant::now(), ThreadTime::now());
    for _ in 0..times {
        let guard = outer.acquire();
        drop(inner.acquire());
        drop(guard);
    }
    Spent { wall: wall.elapsed().as_secs_f64(), cpu: cpu.elapsed().as_secs_f64() }
}

const LEARNERS: usize = 8;
const CLASS_COUNT: usize = 1_000;
const EDGES: usize = 10_000;

/// Measures learning by many threads at once.
///
/// # Errors
///
/// If a dependency is lost.
pub fn cold(effort: Effort) -> anyhow::Result<Section> {
    let pair = Apart([WatchedMutex::new(&CLASSES[0]), WatchedMutex::new(&CLASSES[1])]);
    let (mut alone, mut learning, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds(7) {
        alone.push(beside(&pair.0, || thread::sleep(Duration::from_millis(200))));
        let classes = classes(CLASS_COUNT);
        let (session, edges) = (Session::new(Policy::Collect), draw());
        let locks: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
        let started = Instant::now();
        learning.push(beside(&pair.0, || learn(&session, &locks, &edges)));
        took.push(started.elapsed().as_secs_f64());
        complete(&session, &classes, &edges)?;
    }
    let [alone, learning, took] = [alone, learning, took].map(median);

    let mut section = Section::new(
        "Eight threads learn 10,000 dependencies at once",
        "Each of eight threads meets all dependencies of a random acyclic graph of 1,000 classes, each in an order of its \
         own, stacks included; a ninth, that knows everything it does, goes on with pairs of locks meanwhile. Its processor \
         time per pair shows whether it is slowed. Medians of some rounds. The run fails if a dependency is missing afterwards.",
    );
    section.row(["", "figure"]);
    section.row(["dependencies learnt, of 10,000".to_owned(), EDGES.to_string()]);
    section.row(["milliseconds until all eight were through".to_owned(), figure(took * 1e3)]);
    section.row(["microseconds per thread and dependency".to_owned(), figure(took * 1e6 / (LEARNERS * EDGES) as f64)]);
    section.row(["known pair, ns of processor time, alone".to_owned(), figure(alone)]);
    section.row(["known pair, ns of processor time, meanwhile".to_owned(), figure(learning)]);
    Ok(section)
}

/// Fails unless the session has learnt exactly these dependencies.
fn complete(session: &Session, classes: &[&LockClass], edges: &[(u32, u32)]) -> anyhow::Result<()> {
    let journal = session.journal("lockdep-bench");
    let names: HashMap<u32, &str> = journal.classes.iter().map(|class| (class.id, class.name.as_str())).collect();
    let learnt: HashSet<_> = journal.dependencies.iter().map(|edge| (names[&edge.outer], names[&edge.inner])).collect();
    let name = |class: u32| classes[class as usize].name();
    let lost = edges.iter().filter(|&&(outer, inner)| !learnt.contains(&(name(outer), name(inner)))).count();
    ensure!(lost == 0 && learnt.len() == EDGES, "{lost} dependencies are lost, {} learnt of {EDGES}", learnt.len());
    Ok(())
}

/// Draws distinct dependencies from lower to higher classes.
fn draw() -> Vec<(u32, u32)> {
    let mut rng = Rng::with_seed(2);
    let mut edges = HashSet::new();
    while edges.len() < EDGES {
        let (a, b) = (rng.u32(..CLASS_COUNT as u32), rng.u32(..CLASS_COUNT as u32));
        if a != b {
            edges.insert((a.min(b), a.max(b)));
        }
    }
    let mut edges: Vec<_> = edges.into_iter().collect();
    edges.sort_unstable();
    edges
}

fn learn(session: &Session, locks: &[Mutex<()>], edges: &[(u32, u32)]) {
    let barrier = Barrier::new(LEARNERS);
    thread::scope(|scope| {
        for number in 0..LEARNERS as u64 {
            let (barrier, mut edges) = (&barrier, edges.to_vec());
            scope.spawn(move || {
                Rng::with_seed(number).shuffle(&mut edges);
                barrier.wait();
                session.enter(|| {
                    for (outer, inner) in edges {
                        let guard = locks[outer as usize].lock();
                        drop(locks[inner as usize].lock());
                        drop(guard);
                    }
                });
            });
        }
    });
}

/// Runs `others` while a thread of its own works on known locks. Returns the nanoseconds of a processor that a pair took it.
fn beside(locks: &[WatchedMutex; 2], others: impl FnOnce()) -> f64 {
    let is_over = AtomicBool::new(false);
    let (ready, is_over) = (&Barrier::new(2), &is_over);
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            pairs(locks, 1_000);
            ready.wait();
            let mut samples = Vec::new();
            while !is_over.load(Relaxed) {
                samples.push(pairs(locks, 2_000).cpu * 1e9 / 2_000.0);
            }
            median(samples)
        });
        ready.wait();
        others();
        is_over.store(true, Relaxed);
        worker.join().expect("no panic")
    })
}
