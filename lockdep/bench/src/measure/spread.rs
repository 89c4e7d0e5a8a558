//! Spread working sets: more locks and classes than any cache holds.

use std::{hint::black_box, time::Instant};

use fastrand::Rng;
use lockdep::LockClass;

use crate::{
    locks::{Lock, PlainMutex, WatchedMutex},
    measure::{Effort, classes},
    report::{Section, figure},
    stats::median,
};

/// Locks and classes.
const SETS: [(usize, usize); 3] = [(1_000, 100), (100_000, 1_000), (100_000, 100_000)];
/// How many pairs are drawn. All are known before anything is measured.
const PAIRS: usize = 1 << 18;

/// Measures.
pub fn run(effort: Effort) -> Section {
    let mut section = Section::new(
        "Spread working sets",
        format!(
            "Locks drawn at random, {PAIRS} times: each alone, or two of different classes, the one of the lower class \
             first. Nanoseconds per acquisition and release; *added* is what lockdep's mutex takes more than parking_lot's \
             in the same round. Medians of interleaved rounds, every pair being known."
        ),
    );
    section.row([
        "locks / classes",
        "alone: parking_lot",
        "lockdep",
        "added",
        "pairs: parking_lot",
        "lockdep",
        "added",
    ]);
    for (locks, count) in SETS {
        let classes = classes(count);
        let (plain, watched) = (Set::<PlainMutex>::new(locks, &classes), Set::<WatchedMutex>::new(locks, &classes));
        let pairs = draw(locks, count);
        let mut cells = vec![format!("{locks} / {count}")];
        cells.extend(compare(effort, || plain.alone(&pairs), || watched.alone(&pairs)));
        cells.extend(compare(effort, || plain.nested(&pairs), || watched.nested(&pairs)));
        section.row(cells);
    }
    section
}

fn compare(effort: Effort, plain: impl Fn() -> f64, watched: impl Fn() -> f64) -> [String; 3] {
    // What is new is learnt here.
    watched();
    let rounds: Vec<(f64, f64)> = (0..effort.rounds(31)).map(|_| (plain(), watched())).collect();
    let added = median(rounds.iter().map(|(plain, watched)| watched - plain));
    let [plain, watched] =
        [median(rounds.iter().map(|round| round.0)), median(rounds.iter().map(|round| round.1))].map(figure);
    [plain, watched, format!("+{}", figure(added))]
}

/// Draws pairs of locks whose classes differ, in the order of their classes. Lock `n` is of class `n` modulo `classes`.
fn draw(locks: usize, classes: usize) -> Vec<(u32, u32)> {
    let mut rng = Rng::with_seed(1);
    let mut pairs = Vec::with_capacity(PAIRS);
    while pairs.len() < PAIRS {
        let (a, b) = (rng.u32(..locks as u32), rng.u32(..locks as u32));
        let class = |lock: u32| lock as usize % classes;
        if class(a) != class(b) {
            pairs.push(if class(a) < class(b) { (a, b) } else { (b, a) });
        }
    }
    pairs
}

struct Set<L>(Vec<L>);

impl<L: Lock> Set<L> {
    fn new(locks: usize, classes: &[&'static LockClass]) -> Self {
        Self((0..locks).map(|lock| L::new(classes[lock % classes.len()])).collect())
    }

    #[inline(never)]
    fn alone(&self, pairs: &[(u32, u32)]) -> f64 {
        let start = Instant::now();
        for &(lock, _) in pairs {
            drop(black_box(&self.0[lock as usize]).acquire());
        }
        start.elapsed().as_secs_f64() * 1e9 / pairs.len() as f64
    }

    #[inline(never)]
    fn nested(&self, pairs: &[(u32, u32)]) -> f64 {
        let start = Instant::now();
        for &(outer, inner) in pairs {
            let outer = black_box(&self.0[outer as usize]).acquire();
            drop(black_box(&self.0[inner as usize]).acquire());
            drop(outer);
        }
        start.elapsed().as_secs_f64() * 1e9 / (2 * pairs.len()) as f64
    }
}
