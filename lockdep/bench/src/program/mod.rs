//! Whole programs with watched locks, one a file; each runs for some tenths of a second.

mod map;
mod pool;

use std::{fmt, hint::black_box, str::FromStr, time::Instant};

use cpu_time::ProcessTime;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A sharded map of readers-writer locks, mostly read, by four threads.
    Map,
    /// A work-stealing pool of four workers that sorts.
    Pool,
    /// The simulator's random operations of several processes.
    #[cfg(feature = "compare")]
    Simulator,
}

/// What a run took, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// By the clock.
    pub wall: f64,
    /// Of processors, all threads together.
    pub cpu: f64,
}

impl Program {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Map,
        Self::Pool,
        #[cfg(feature = "compare")]
        Self::Simulator,
    ];

    /// Runs the program once.
    pub fn run(self) -> Cost {
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        match self {
            Self::Map => _ = black_box(map::run()),
            Self::Pool => _ = black_box(pool::run()),
            #[cfg(feature = "compare")]
            Self::Simulator => simulate(),
        }
        Cost { wall: wall.elapsed().as_secs_f64(), cpu: cpu.elapsed().as_secs_f64() }
    }
}

#[cfg(feature = "compare")]
fn simulate() {
    let soak = mm_sim::scenario::named("soak").expect("the simulator has a soak");
    for seed in 1..=4 {
        let outcome = mm_sim::run(soak, mm_sim::Protocol::V6_12, seed);
        assert!(outcome.failure.is_none() && !outcome.has_findings(), "{}", outcome.verdict);
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Pool => "pool",
            #[cfg(feature = "compare")]
            Self::Simulator => "simulator",
        })
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|program| program.to_string() == text);
        known.copied().ok_or_else(|| format!("no program {text:?}"))
    }
}
