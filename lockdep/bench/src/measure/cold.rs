//! What is new: nanoseconds and bytes per dependency, without stacks (the validator alone) and with them (the runtime).

use std::{
    collections::HashSet,
    hint::black_box,
    mem::size_of,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use fastrand::Rng;
use lockdep::{LockClass, Mutex, Policy, Session};
use lockdep_core::{Acquired, ClassId, HeldStack, Mode, Point, Request, Validator};

use crate::{
    measure::{Effort, classes},
    report::{Section, figure},
};

/// Measures.
///
/// # Errors
///
/// If the graph that was learnt is not the one that was shown.
pub fn run(effort: Effort) -> anyhow::Result<Section> {
    let count = if effort == Effort::Quick { 10_000 } else { 100_000 };
    let mut section = Section::new(
        "New dependencies",
        "Without stacks: the validator alone, in a random acyclic graph with ten dependencies a class, and in a chain \
         that is learnt from its tail to its head or the other way. With stacks: through real locks, sixteen calls deep, \
         every new acquisition with a capture of its stack. Bytes are those allocated and still in use at the end, per \
         dependency.",
    );
    section.row(["graph", "dependencies", "ns a dependency", "bytes a dependency"]);
    let mut add = |name: &str, edges: usize, cost: Cost| {
        let per = |value: f64| figure(value / edges as f64);
        section.row([name.to_owned(), edges.to_string(), per(cost.ns), per(cost.bytes)]);
    };
    let graph = random_graph(count, 10);
    add(&format!("random, {count} classes, no stacks"), graph.len(), validator(&graph)?);
    let mut chain: Vec<(u32, u32)> = (0..count).map(|class| (class, class + 1)).collect();
    add("chain, head first, no stacks", chain.len(), validator(&chain)?);
    chain.reverse();
    add("chain, tail first, no stacks", chain.len(), validator(&chain)?);
    let graph = random_graph(count / 10, 10);
    add(&format!("random, {} classes, with stacks", count / 10), graph.len(), runtime(count / 10, &graph)?);
    Ok(section)
}

struct Cost {
    ns: f64,
    bytes: f64,
}

/// Draws a random acyclic graph: distinct dependencies in random order, `degree` times as many as classes.
fn random_graph(classes: u32, degree: usize) -> Vec<(u32, u32)> {
    let mut rng = Rng::with_seed(3);
    // The classes are numbered independently of their order.
    let mut number: Vec<u32> = (0..classes).collect();
    rng.shuffle(&mut number);
    let mut edges = HashSet::new();
    while edges.len() < classes as usize * degree {
        let (a, b) = (rng.u32(..classes), rng.u32(..classes));
        if a != b {
            edges.insert((number[a.min(b) as usize], number[a.max(b) as usize]));
        }
    }
    let mut edges: Vec<_> = edges.into_iter().collect();
    edges.sort_unstable();
    rng.shuffle(&mut edges);
    edges
}

fn validator(edges: &[(u32, u32)]) -> anyhow::Result<Cost> {
    let mut result = None;
    let allocated = allocation_counter::measure(|| result = Some(learn_alone(edges)));
    let (validator, elapsed) = result.context("the measure ran")?;
    ensure!(validator.dependencies().dependencies().count() == edges.len(), "dependencies are lost");
    Ok(Cost { ns: elapsed.as_secs_f64() * 1e9, bytes: allocated.bytes_current as f64 })
}

fn learn_alone(edges: &[(u32, u32)]) -> (Validator, Duration) {
    let mut validator = Validator::new();
    let request = |class: u32| {
        // A class number of the runtime has room for a subclass below it, and class 0 is nobody's.
        let how = Acquired::new(ClassId::new(class + 1), Mode::Exclusive, false);
        Request::new(how, u64::from(class) + 1, Point::new(u64::from(class) + 1))
    };
    let start = Instant::now();
    for &(outer, inner) in edges {
        let held = HeldStack::new();
        let outer = request(outer);
        held.push(outer.how, outer.instance, outer.point);
        let outcome = validator.acquire(&held, &request(inner));
        assert!(outcome.violations.is_empty(), "the graph has no cycle");
    }
    (validator, start.elapsed())
}

fn runtime(count: u32, edges: &[(u32, u32)]) -> anyhow::Result<Cost> {
    let classes: Vec<&'static LockClass> = classes(count as usize);
    let locks: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
    let session = Session::new(Policy::Collect);
    // Each lock and each line is known, so that what follows is about dependencies only.
    session.enter(|| locks.iter().for_each(|lock| deeper(16, &|| drop(outer(lock)))));
    let mut elapsed = Duration::ZERO;
    let allocated = allocation_counter::measure(|| {
        session.enter(|| {
            let start = Instant::now();
            for &(first, second) in edges {
                deeper(16, &|| pair(&locks[first as usize], &locks[second as usize]));
            }
            elapsed = start.elapsed();
        });
    });
    ensure!(session.reports().is_empty(), "the graph has no cycle");
    let learnt = session.journal("lockdep-bench").dependencies.len();
    ensure!(learnt == edges.len(), "{learnt} dependencies learnt of {}", edges.len());
    Ok(Cost { ns: elapsed.as_secs_f64() * 1e9, bytes: allocated.bytes_current as f64 })
}

/// Calls `f` under `depth` more calls.
#[inline(never)]
fn deeper(depth: u32, f: &dyn Fn()) {
    if depth == 0 {
        return f();
    }
    deeper(depth - 1, f);
    black_box(());
}

#[inline(never)]
fn outer(lock: &Mutex<()>) -> lockdep::MutexGuard<'_, ()> {
    lock.lock()
}

#[inline(never)]
fn pair(first: &Mutex<()>, second: &Mutex<()>) {
    let guard = outer(first);
    drop(second.lock());
    drop(guard);
}

/// Measures a report from detection to text.
///
/// # Errors
///
/// If a cycle is not reported.
pub fn report() -> anyhow::Result<Section> {
    let mut section = Section::new(
        "A report of three dependencies",
        "From the acquisition that closes the cycle to the rendered text, stacks resolved; the first report of a process \
         also reads its debug information.",
    );
    section.row(["report", "milliseconds"]);
    for name in ["first", "second, elsewhere in the program"] {
        let classes = classes(3);
        let locks: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
        let session = Session::new(Policy::Collect);
        let close: fn(&Mutex<()>, &Mutex<()>) = if name == "first" { first_close } else { second_close };
        session.enter(|| {
            pair(&locks[0], &locks[1]);
            pair(&locks[1], &locks[2]);
        });
        let start = Instant::now();
        session.enter(|| close(&locks[2], &locks[0]));
        let reports = session.reports();
        let text: String = reports.iter().map(lockdep_report::text::render).collect();
        let elapsed = start.elapsed();
        ensure!(reports.len() == 1 && reports[0].cycle.len() == 3, "a cycle of three is reported: {text}");
        section.row([name.to_owned(), figure(elapsed.as_secs_f64() * 1e3)]);
    }
    Ok(section)
}

#[inline(never)]
fn first_close(outer: &Mutex<()>, inner: &Mutex<()>) {
    let guard = outer.lock();
    drop(inner.lock());
    drop(guard);
}

#[inline(never)]
fn second_close(outer: &Mutex<()>, inner: &Mutex<()>) {
    let guard = outer.lock();
    deeper(8, &|| drop(inner.lock()));
    drop(guard);
}

/// Measures what a lock takes, and what a lock that is gone leaves behind.
pub fn memory(effort: Effort) -> Section {
    let mut section = Section::new(
        "Memory of locks",
        "Bytes of a lock, and bytes still in use after short-lived locks have come and gone, each acquired under another.",
    );
    section.row(["", "parking_lot", "lockdep", "added"]);
    let mut size = |name: &str, theirs: usize, ours: usize| {
        section.row([name.to_owned(), theirs.to_string(), ours.to_string(), format!("+{}", ours - theirs)]);
    };
    size("`Mutex<u64>`", size_of::<parking_lot::Mutex<u64>>(), size_of::<Mutex<u64>>());
    size("`RwLock<u64>`", size_of::<parking_lot::RwLock<u64>>(), size_of::<lockdep::RwLock<u64>>());
    size("`MutexGuard<u64>`", size_of::<parking_lot::MutexGuard<u64>>(), size_of::<lockdep::MutexGuard<u64>>());
    let total = if effort == Effort::Quick { 1_000_000 } else { 10_000_000 };
    churn(1_000);
    for locks in [total / 10, total - total / 10] {
        let left = allocation_counter::measure(|| churn(locks)).bytes_current;
        section.row([format!("left by {locks} locks"), "0".to_owned(), left.to_string(), format!("+{left}")]);
    }
    section
}

fn churn(locks: u32) {
    let outer = Mutex::new(0);
    for number in 0..locks {
        let lock = Mutex::new(number);
        let guard = outer.lock();
        drop(black_box(&lock).lock());
        drop(guard);
    }
}
