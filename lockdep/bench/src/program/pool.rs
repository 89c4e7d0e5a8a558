//! A work-stealing pool that sorts: every worker has a queue, takes from its end, and steals from the beginning of others'.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use fastrand::Rng;
use lockdep::{Condvar, Mutex};

const WORKERS: usize = 4;
const NUMBERS: usize = 3_000_000;
/// What is sorted in one piece.
const PIECE: usize = 2_000;

type Task = Box<dyn FnOnce(&Worker) + Send>;

struct Pool {
    queues: [Mutex<VecDeque<Task>>; WORKERS],
    idle: Mutex<usize>,
    wake: Condvar,
    is_over: AtomicBool,
}

struct Worker {
    pool: Arc<Pool>,
    number: usize,
}

impl Pool {
    /// Puts tasks into all workers until `is_over`.
    fn run(first: impl FnOnce(&Worker) + Send + 'static) {
        let queues = std::array::from_fn(|_| Mutex::new(VecDeque::new()));
        let pool =
            Arc::new(Self { queues, idle: Mutex::new(0), wake: Condvar::new(), is_over: AtomicBool::new(false) });
        pool.queues[0].lock().push_back(Box::new(first));
        thread::scope(|scope| {
            for number in 0..WORKERS {
                let worker = Worker { pool: pool.clone(), number };
                scope.spawn(move || worker.work());
            }
        });
    }
}

impl Worker {
    fn spawn(&self, task: impl FnOnce(&Self) + Send + 'static) {
        self.pool.queues[self.number].lock().push_back(Box::new(task));
        if *self.pool.idle.lock() > 0 {
            self.pool.wake.notify_one();
        }
    }

    fn finish(&self) {
        let idle = self.pool.idle.lock();
        self.pool.is_over.store(true, SeqCst);
        self.pool.wake.notify_all();
        drop(idle);
    }

    fn work(&self) {
        while !self.pool.is_over.load(SeqCst) {
            match self.next() {
                Some(task) => task(self),
                None => self.sleep(),
            }
        }
    }

    fn next(&self) -> Option<Task> {
        if let Some(task) = self.pool.queues[self.number].lock().pop_back() {
            return Some(task);
        }
        (1..WORKERS).find_map(|distance| self.pool.queues[(self.number + distance) % WORKERS].lock().pop_front())
    }

    /// Sleeps until somebody has put something into a queue.
    fn sleep(&self) {
        let mut idle = self.pool.idle.lock();
        // Whoever pushes looks at `idle` afterwards, so nothing that is pushed from here on goes unnoticed.
        let is_empty = |queue: &Mutex<VecDeque<Task>>| queue.lock().is_empty();
        if self.pool.is_over.load(SeqCst) || !self.pool.queues.iter().all(is_empty) {
            return;
        }
        *idle += 1;
        self.pool.wake.wait(&mut idle);
        *idle -= 1;
    }
}

/// A part of a merge sort: what its two halves give to whoever finishes last.
struct Join {
    halves: [Mutex<Option<Vec<u64>>>; 2],
    missing: AtomicUsize,
    then: Mutex<Option<Then>>,
}

type Then = Box<dyn FnOnce(&Worker, Vec<u64>) + Send>;

fn sort(worker: &Worker, mut numbers: Vec<u64>, then: Then) {
    if numbers.len() <= PIECE {
        numbers.sort_unstable();
        return then(worker, numbers);
    }
    let right = numbers.split_off(numbers.len() / 2);
    let halves = std::array::from_fn(|_| Mutex::new(None));
    let join = Arc::new(Join { halves, missing: AtomicUsize::new(2), then: Mutex::new(Some(then)) });
    for (side, half) in [numbers, right].into_iter().enumerate() {
        let join = join.clone();
        worker.spawn(move |worker| sort(worker, half, Box::new(move |worker, sorted| join.give(worker, side, sorted))));
    }
}

impl Join {
    fn give(&self, worker: &Worker, side: usize, sorted: Vec<u64>) {
        *self.halves[side].lock() = Some(sorted);
        if self.missing.fetch_sub(1, SeqCst) > 1 {
            return;
        }
        let [left, right] = self.halves.each_ref().map(|half| half.lock().take().unwrap_or_default());
        let then = self.then.lock().take().expect("the last half comes once");
        then(worker, merged(&left, &right));
    }
}

fn merged(left: &[u64], right: &[u64]) -> Vec<u64> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left, right);
    while let ([first, ..], [other, ..]) = (left, right) {
        let side = if first <= other { &mut left } else { &mut right };
        merged.push(side[0]);
        *side = &side[1..];
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    merged
}

/// Sorts random numbers. Returns their median.
pub fn run() -> u64 {
    let mut rng = Rng::with_seed(1);
    let numbers: Vec<u64> = (0..NUMBERS).map(|_| rng.u64(..)).collect();
    let result = Arc::new(Mutex::new(Vec::new()));
    let end = result.clone();
    Pool::run(move |worker| {
        sort(
            worker,
            numbers,
            Box::new(move |worker, sorted| {
                *end.lock() = sorted;
                worker.finish();
            }),
        );
    });
    let sorted = result.lock();
    assert!(sorted.len() == NUMBERS && sorted.is_sorted(), "the pool sorts");
    sorted[NUMBERS / 2]
}
