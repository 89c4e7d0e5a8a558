//! A pipeline: threads joined by bounded queues of a mutex and two condition variables. Lines of a log come in, are parsed
//! by two threads, summed up by one, and looked at meanwhile by another.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use fastrand::Rng;
use lockdep::{Condvar, Mutex, RwLock};

const BATCHES: usize = 10_000;
const LINES: usize = 50;
const HOSTS: u64 = 500;
const PARSERS: usize = 2;
/// How many batches a queue has room for.
const ROOM: usize = 16;

struct Queue<T> {
    /// What is in it, and how many threads will put more into it.
    state: Mutex<(VecDeque<T>, usize)>,
    not_empty: Condvar,
    not_full: Condvar,
}

impl<T> Queue<T> {
    fn new(senders: usize) -> Self {
        let state = Mutex::new((VecDeque::new(), senders));
        Self { state, not_empty: Condvar::new(), not_full: Condvar::new() }
    }

    fn push(&self, item: T) {
        let mut state = self.state.lock();
        while state.0.len() >= ROOM {
            self.not_full.wait(&mut state);
        }
        state.0.push_back(item);
        self.not_empty.notify_one();
    }

    /// Returns the next item, or `None` when there will be no more.
    fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.0.pop_front() {
                self.not_full.notify_one();
                return Some(item);
            }
            if state.1 == 0 {
                return None;
            }
            self.not_empty.wait(&mut state);
        }
    }

    /// One of the threads that put items in will put no more.
    fn close(&self) {
        self.state.lock().1 -= 1;
        self.not_empty.notify_all();
    }
}

/// Bytes by host.
type Sums = BTreeMap<String, u64>;

fn read(lines: &Queue<String>) {
    let mut rng = Rng::with_seed(1);
    for _ in 0..BATCHES {
        let mut text = String::new();
        for _ in 0..LINES {
            let (host, bytes) = (rng.u64(..HOSTS), rng.u64(..100_000));
            writeln!(text, "host-{host} GET /page/{} {bytes}", rng.u16(..)).expect("a string takes everything");
        }
        lines.push(text);
    }
    lines.close();
}

fn parse(lines: &Queue<String>, records: &Queue<Vec<(String, u64)>>) {
    while let Some(text) = lines.pop() {
        let record = |line: &str| {
            let mut words = line.split(' ');
            let host = words.next()?.to_owned();
            Some((host, words.next_back()?.parse().ok()?))
        };
        records.push(text.lines().filter_map(record).collect());
    }
    records.close();
}

fn sum_up(records: &Queue<Vec<(String, u64)>>, sums: &RwLock<Sums>, total: &Mutex<u64>) {
    while let Some(batch) = records.pop() {
        let mut sums = sums.write();
        for (host, bytes) in batch {
            *total.lock() += bytes;
            *sums.entry(host).or_default() += bytes;
        }
    }
}

/// Looks which host is the largest, again and again.
fn look(sums: &RwLock<Sums>, is_over: &AtomicBool) -> u64 {
    let mut largest = 0;
    while !is_over.load(SeqCst) {
        largest = sums.read().values().copied().max().unwrap_or(0);
        thread::yield_now();
    }
    largest
}

/// Runs the pipeline. Returns the sum of everything.
pub fn run() -> u64 {
    let (lines, records) = (Queue::new(1), Queue::new(PARSERS));
    let (sums, total, is_over) = (RwLock::new(Sums::new()), Mutex::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| read(&lines));
        for _ in 0..PARSERS {
            scope.spawn(|| parse(&lines, &records));
        }
        let looking = scope.spawn(|| look(&sums, &is_over));
        sum_up(&records, &sums, &total);
        is_over.store(true, SeqCst);
        let largest = looking.join().expect("it only looks");
        assert!(largest <= *total.lock(), "what was seen was there");
    });
    let total = total.into_inner();
    assert_eq!(sums.read().values().sum::<u64>(), total, "nothing is lost");
    total
}
