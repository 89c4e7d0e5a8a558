//! Releases in an order of one's own: as many steps as there are locks above, and no allocation.

use std::time::Instant;

use crate::{
    locks::{Lock, PlainMutex, WatchedMutex},
    measure::{Effort, classes},
    report::{Section, figure},
    stats::median,
};

const HELD: [usize; 4] = [2, 8, 64, 512];

/// Measures.
pub fn run(effort: Effort) -> Section {
    let mut section = Section::new(
        "Release in any order",
        "Nanoseconds to release the lock that was acquired first while so many are held (what is above it has its keys \
         computed anew), and to release the one acquired last; medians. Allocations are those of all releases together.",
    );
    section.row(["locks held", "parking_lot", "lockdep, last acquired", "lockdep, first acquired", "allocations"]);
    for held in HELD {
        let classes = classes(held);
        let plain: Vec<PlainMutex> = classes.iter().map(|class| PlainMutex::new(class)).collect();
        let watched: Vec<WatchedMutex> = classes.iter().map(|class| WatchedMutex::new(class)).collect();
        let mut allocations = 0;
        let mut samples: [Vec<f64>; 3] = Default::default();
        for round in 0..=effort.rounds(201) {
            let figures = [
                release(&plain, 0, &mut 0),
                release(&watched, held - 1, &mut allocations),
                release(&watched, 0, &mut allocations),
            ];
            // In the first round all is new.
            if round > 0 {
                samples.iter_mut().zip(figures).for_each(|(samples, figure)| samples.push(figure));
            } else {
                allocations = 0;
            }
        }
        let [plain, last, first] = samples.map(|samples| figure(median(samples)));
        section.row([held.to_string(), plain, last, first, allocations.to_string()]);
    }
    section
}

/// Acquires all, then times a release; a few times, because one is too short for the clock.
fn release<L: Lock>(locks: &[L], index: usize, allocations: &mut u64) -> f64 {
    const TIMES: u32 = 16;
    let mut total = 0.0;
    for _ in 0..TIMES {
        let mut guards: Vec<_> = locks.iter().map(L::acquire).collect();
        let guard = guards.swap_remove(index);
        let counted = allocation_counter::measure(|| {
            let start = Instant::now();
            drop(guard);
            total += start.elapsed().as_secs_f64() * 1e9;
        });
        *allocations += counted.count_total;
    }
    (total / f64::from(TIMES) - clock_ns()).max(0.0)
}

/// Returns what reading the clock takes of every sample.
fn clock_ns() -> f64 {
    let samples = (0..16).map(|_| Instant::now().elapsed().as_secs_f64() * 1e9);
    median(samples)
}
